"""Faults of judge."""

from . import Fault

FAULTS = [
    Fault("evaluation/judge_parse.py", "if len(scores) == 1:", "if False:", "tests/evaluation/test_judge_parse.py"),
    Fault("evaluation/judge_parse.py", "elif FRACTION.fullmatch(first):", "elif False:", "tests/evaluation/test_judge_parse.py"),
    Fault("evaluation/judge_parse.py", "PAIR.fullmatch(first)", "PAIR.match(first)", "tests/evaluation/test_judge_parse.py"),
    Fault(
        "evaluation/judge_template.py",
        "mark in marks if not any(mark in text for text in texts)",
        "mark in marks",
        "tests/evaluation/test_judge_template.py",
    ),
    Fault(
        "evaluation/judge_pairs.py",
        "return (scores[1], scores[0]) if self.order else scores",
        "return scores",
        "tests/evaluation/test_judge_pairs.py",
    ),
    Fault(
        "evaluation/judge_pairs.py",
        "tuple(answer.shown for answer in theirs.values())",
        "()",
        "tests/evaluation/test_judge_pairs.py",
    ),
    Fault(
        "evaluation/judge_ask.py",
        "judgement.question, *judgement.shown]",
        "judgement.question, *sorted(judgement.shown)]",
        "tests/evaluation/test_judge.py",
    ),
    Fault("evaluation/journal.py", "fcntl.LOCK_EX", "fcntl.LOCK_SH", "tests/evaluation/test_answer.py"),
    Fault("evaluation/judge_ask.py", "self.spent + self._reserved + most", "self.spent + most", "tests/evaluation/test_judge.py"),
    Fault(
        "evaluation/api.py",
        'text = text.replace(self._secret, "[key]") if self._secret else text',
        "text = str(text)",
        "tests/evaluation/test_api.py",
    ),
    Fault("evaluation/api.py", "max_retries=retries", "max_retries=0", "tests/evaluation/test_api.py"),
    Fault("evaluation/judge_ask.py", "n_in_vain + 1 if why else 0", "n_in_vain + 1", "tests/evaluation/test_judge.py"),
    Fault("evaluation/judge_ask.py", "used = most * found.n_charged", "used = Tokens()", "tests/evaluation/test_judge.py"),
    Fault(
        "evaluation/judge_ask.py",
        "while queue and self.stopped_by is None",
        "while queue",
        "tests/evaluation/test_judge.py",
    ),
    Fault("evaluation/judge_ask.py", "judgement.ours_first(found)", "found", "tests/evaluation/test_verdict_files.py"),
]
