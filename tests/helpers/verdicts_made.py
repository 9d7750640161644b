"""Verdict files made for tests, in both layouts."""

import json


def own(file, rows, **extra):
    """A line a judgement from (question, order, score, opponent's) rows."""
    lines = [
        {"question_id": q, "order": o, "score": s, "opponent_score": t, "ours": "m", "opponent": "them", **extra}
        for q, o, s, t in rows
    ]
    return write(file, lines)


def single(file, rows, **extra):
    return write(file, [{"question_id": q, "score": s, "ours": "m", **extra} for q, s in rows])


def published(file, rows, **changed):
    """A line a question from (question, [ours, theirs] of order 0, [ours, theirs] of order 1) rows, as the published files are."""
    lines = []
    for q, first, second in rows:
        lines.append(
            {
                "question_id": q,
                "question_text": f"question {q}",
                "assistant1_QUERY0": "run/rd_1",
                "assistant2_QUERY0": "gpt",
                "eval_QUERY0": first,
                "response_QUERY0": reply(first),
                "assistant1_QUERY1": "gpt",
                "assistant2_QUERY1": "run/rd_1",
                "eval_QUERY1": second,
                "response_QUERY1": reply(second[::-1] if isinstance(second, list) else second),
                **changed,
            }
        )
    return write(file, lines)


def reply(shown):
    return " ".join(map(str, shown)) + "\nBecause." if isinstance(shown, list) else "I cannot say."


def write(file, lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return file


def kinds(problems):
    return [(problem.kind, problem.question_id, problem.order) for problem in problems]
