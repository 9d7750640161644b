"""A model as judge: our answers against an opponent's, in both orders, over any OpenAI-compatible server.

judge_pairs (what is asked) → judge_template → judge_ask (api, journal) → judge_parse → scoring
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.files import write_jsonl
from ..base.progress import SILENT, Watch
from ..base.text import some_of
from ..config.verbs import JudgeConfig
from ..data.json_files import PACKED
from ..errors import ConfigError, EvaluationError
from ..run import RunFolder
from .api import ApiClient
from .journal import open_journal
from .judge_ask import DEFAULT_SAMPLING, Asking, Budget, Judge, Tokens
from .judge_pairs import Pairing, pair_judgements, read_answers
from .judge_template import load_template

ROUND_FILE = re.compile(r"round-(\d+)")
N_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Contest:
    """Answers of ours against an opponent's, and the file for the verdicts."""

    ours: str
    opponent: str
    pairing: Pairing
    file: Path


def judge(
    model: str,
    opponent: str,
    run: Path | None = None,
    benchmark: str | None = None,
    *,
    round_name: str = "last",
    answers: Path | None = None,
    out: Path | None = None,
    sampling: Mapping[str, Any] | None = None,
    settings: JudgeConfig | None = None,
    agree: Callable[[], None] = lambda: None,
    watch: Watch = SILENT,
) -> list[Path]:
    """Have a model judge answers; the same call again asks for what is left.

    Args:
        model: The judge's name at its server.
        opponent: A file of answers, a round (5, base), or OTHER_RUN:ROUND.
        run: A run folder with answers to `benchmark`; its verdicts and all replies go there, too.
        benchmark: Whose answers.
        round_name: Which of the run's answers: a round's number, base, last or all.
        answers: A file of answers instead of a run's, with `out`, the file for the verdicts.
        sampling: Keys of the chat API; None as a value leaves a default out.
        settings: The server, whose key is read from the environment, sent there and written nowhere; the
            instruction; how hard to try; and the money that all judgements may cost.
        agree: Is called before anything is sent, when the cost has been said; what it raises stops
            everything.
        watch: Is told what it costs and what came of it, and sees the progress.

    Returns:
        the files of verdicts.

    Raises:
        ConfigError: something is not said, said twice, or is not there.
        EvaluationError: answers cannot be read or paired, the judge refuses, or judgements are left over;
            what is there is written.
    """
    given = settings or JudgeConfig()
    keys = {
        key: value for key, value in {**DEFAULT_SAMPLING, **(sampling or {})}.items() if value is not None
    }
    asked_judge = Judge(model, load_template(given.template), keys)
    prices = None if given.price_in is None or given.price_out is None else (given.price_in, given.price_out)
    if prices is None and any(value is not None for value in (given.price_in, given.price_out, given.budget)):
        raise ConfigError("money needs both prices: give --price-in and --price-out, per million tokens.")
    if given.budget is not None and asked_judge.longest_reply is None:
        raise ConfigError("--budget needs a longest reply: give max_tokens=N or max_completion_tokens=N.")
    if run is not None and benchmark is not None and answers is None and out is None:
        folder, name = RunFolder(run), benchmark.partition("=")[0]
        contests = _of_run(folder, name, round_name, opponent, given.opponent_name)
        replies_file = folder.replies_file(name)
    elif run is None and benchmark is None and answers is not None and out is not None:
        pairing = pair_judgements(read_answers(answers), read_answers(Path(opponent)))
        contests = [Contest(_stem(answers), given.opponent_name or _stem(Path(opponent)), pairing, out)]
        replies_file = out.with_suffix(".replies.ndjson")
    else:
        raise ConfigError(
            "judging needs either a run folder and --benchmark, whose verdicts go into the run's own folder, "
            "or --answers and --out, the file for the verdicts. Give one of the two."
        )
    with open_journal(replies_file, is_synced=True) as journal:
        judgements = [judgement for contest in contests for judgement in contest.pairing.judgements]
        asking = Asking(asked_judge, judgements, journal, Budget(given.budget, prices))
        _announce(asking, contests, len(judgements), bool(prices), watch)
        if asking.open:
            key = os.environ.get(given.key_variable)
            client = ApiClient(given.base_url, key, given.timeout, given.retries)
            agree()
            _ask(asking, client, given.concurrency, contests, watch)
        else:
            _write(asking, contests, watch)
    return [contest.file for contest in contests]


def _of_run(
    run: RunFolder, benchmark: str, round_name: str, opponent: str, opponent_name: str | None
) -> list[Contest]:
    run.config()
    own_name, their_file = _opponent(opponent, run, benchmark)
    theirs, their_name = read_answers(their_file), opponent_name or own_name
    found = []
    for name in _asked_rounds(run, benchmark, round_name):
        file = run.answers_file(benchmark, name)
        if file != their_file:
            verdicts = run.verdicts_file(benchmark, f"{name}-vs-{their_name}")
            found.append(Contest(name, their_name, pair_judgements(read_answers(file), theirs), verdicts))
        elif round_name != "all":
            raise ConfigError(f"{name} cannot be its own opponent. Give another --round or --opponent.")
    return found


def _opponent(word: str, run: RunFolder, benchmark: str) -> tuple[str, Path]:
    """(name, file) of the opponent that `--opponent` names: a round, a file, or another run's round."""
    if word.isdecimal() or word in ("base", "last"):
        (name,) = _asked_rounds(run, benchmark, word)
        return name, run.answers_file(benchmark, name)
    if Path(word).is_file():
        return _plain(_stem(Path(word))), Path(word)
    folder, colon, round_name = word.rpartition(":")
    if colon and Path(folder).is_dir() and round_name != "all":
        other = RunFolder(Path(folder))
        (name,) = _asked_rounds(other, benchmark, round_name)
        return f"{_plain(Path(folder).resolve().name)}-{name}", other.answers_file(benchmark, name)
    raise ConfigError(
        f"--opponent {word!r} is neither a file, a round such as 5 or base, nor OTHER_RUN:ROUND with a run "
        f"folder."
    )


def _asked_rounds(run: RunFolder, benchmark: str, word: str) -> list[str]:
    """The names of answers that a word such as 3, base, last or all stands for."""
    names = sorted(file.stem for file in run.answers_dir(benchmark).glob("*.jsonl"))
    rounds = sorted((int(match[1]), name) for name in names if (match := ROUND_FILE.fullmatch(name)))
    asked = {"all": [name for _, name in rounds], "last": [name for _, name in rounds[-1:]]}
    asked["base"] = [name for name in names if name == "base"]
    found = asked.get(word) or [name for number, name in rounds if word.isdecimal() and number == int(word)]
    if not found:
        raise ConfigError(
            f"no answers of round {word} to {benchmark} in {run.root}; there are: "
            f"{', '.join(names) or 'none'}. Make them first: diverseevol answer {run.root} --benchmark "
            f"{benchmark} --round {word}."
        )
    return found


def _stem(file: Path) -> str:
    return (file.with_suffix("") if file.suffix.lower() in PACKED else file).stem


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "opponent"


def _announce(
    asking: Asking, contests: Sequence[Contest], n_judgements: int, is_priced: bool, watch: Watch
) -> None:
    """Say what is missing, what is kept, and what the rest will take."""
    for contest in contests:
        for names, what in (
            (contest.pairing.without_opponent, "without an answer of the opponent's"),
            (contest.pairing.without_ours, "that only the opponent answered"),
        ):
            if names:
                shown = some_of(names, N_SHOWN)
                watch.note(
                    f"{contest.ours} against {contest.opponent}: {len(names)} questions {what}: {shown}"
                )
    judge, left, n_different = asking.judge, list(asking.open.values()), len(asking.different)
    different = f" ({n_different:,} different)" if n_different < n_judgements else ""
    watch.note(
        f"{n_judgements:,} judgements{different} by {judge.model} ({judge.template.name}): "
        f"{len(asking.kept):,} stored, {len(left):,} to ask."
    )
    if not left:
        return
    words, spent = asking.budget.words, asking.budget.spent
    text = f"About {words(judge.expected_tokens(left, list(asking.kept.values())))}"
    if judge.longest_reply is not None:
        text += f"; at most {words(sum(map(judge.most_tokens, left), Tokens()))}"
    text += "." if spent == Tokens() else f". Spent so far: {words(spent)}."
    if not is_priced:
        text += " The price is not known: give --price-in and --price-out to see money."
    watch.note(text)


def _ask(
    asking: Asking, client: ApiClient, n_at_once: int, contests: Sequence[Contest], watch: Watch
) -> None:
    """Ask for what is not kept; what is there is written down whatever happens."""
    before = asking.budget.spent
    try:
        asking.run(client, n_at_once, watch)
    finally:
        _write(asking, contests, watch)
    spent, words = asking.budget.spent, asking.budget.words
    if spent != before:
        in_all = "" if before == Tokens() else f" (in all {words(spent)})"
        watch.note(f"{asking.n_replies:,} replies took {words(spent + before * -1)}{in_all}.")
    n_left, example = len(asking.open), min(asking.failed.values(), default="")
    if n_left:
        why = asking.stopped_by or f"{len(asking.failed)} requests failed, such as: {example}"
        raise EvaluationError(
            f"{n_left:,} of {len(asking.different):,} judgements are left; the same command goes on with "
            f"them. {why}"
        )


def _write(asking: Asking, contests: Sequence[Contest], watch: Watch) -> None:
    """Write every contest's file of what is kept, and say how many verdicts it holds, and whose."""
    names = set[str]()
    for contest in contests:
        lines = asking.verdicts(contest.pairing.judgements, contest.ours, contest.opponent)
        names |= {line["answered_by"] for line in lines if line["answered_by"]}
        if not lines:
            continue
        write_jsonl(contest.file, lines)
        unread = [f"question {line['question_id']}: {line['problem']}" for line in lines if "problem" in line]
        such_as = f" ({unread[0]})" if unread else ""
        watch.note(
            f"{contest.ours} against {contest.opponent}: {len(lines):,} of "
            f"{len(contest.pairing.judgements):,} verdicts, {len(unread):,} of them unreadable{such_as}, in "
            f"{contest.file}"
        )
    if len(names) > 1:
        watch.note(
            f"These verdicts come from several models behind {asking.judge.model!r}: "
            f"{', '.join(sorted(names))}. Compare with care."
        )
