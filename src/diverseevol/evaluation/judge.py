"""A model as judge: our answers against an opponent's, in both orders, over any OpenAI-compatible server.

judge_pairs (what is asked) → judge_template → judge_ask (api, journal) → judge_parse → judge_verdicts →
scoring
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..base.progress import SILENT, Watch
from ..base.text import some_of
from ..data.json_files import PACKED
from ..errors import ConfigError, EvaluationError
from ..run import RunFolder
from .api import ApiClient
from .journal import open_journal
from .judge_ask import (
    DEFAULT_SAMPLING,
    Asking,
    Budget,
    Judge,
    Limits,
    Prices,
    Replies,
    Tokens,
    by_key,
    expected_tokens,
    most_tokens,
)
from .judge_pairs import Pairing, pair_judgements, read_answers
from .judge_parse import Unreadable
from .judge_template import BUILT_IN, load_template
from .judge_verdicts import Verdict, verdicts_of, write_verdicts

ROUND_FILE = re.compile(r"round-(\d+)")
REPLIES = "replies.ndjson"
N_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Contest:
    """Answers of ours against an opponent's, and the file for the verdicts."""

    ours: str
    opponent: str
    pairing: Pairing
    file: Path

    @property
    def title(self) -> str:
        """Who against whom."""
        return f"{self.ours} against {self.opponent}"


def judge(
    model: str,
    opponent: str,
    run: Path | None = None,
    benchmark: str | None = None,
    *,
    round_name: str = "last",
    answers: Path | None = None,
    out: Path | None = None,
    template: str = BUILT_IN,
    sampling: Mapping[str, Any] | None = None,
    base_url: str | None = None,
    key: str | None = None,
    opponent_name: str | None = None,
    limits: Limits | None = None,
    budget: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
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
        template: pairwise, or a file.
        sampling: Keys of the chat API; None as a value leaves a default out.
        base_url: The server; None: OpenAI.
        key: Its key; sent there and written nowhere.
        opponent_name: What the verdicts call the opponent.
        limits: How hard to try.
        budget: Money that all judgements may cost; needs both prices and a longest reply.
        price_in: Money per million tokens sent; `price_out`: received.
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
    settings = {
        key: value for key, value in {**DEFAULT_SAMPLING, **(sampling or {})}.items() if value is not None
    }
    limits, asked_judge = limits or Limits(), Judge(model, load_template(template), settings)
    _check_finite(timeout=limits.timeout, budget=budget, price_in=price_in, price_out=price_out)
    prices = _prices(price_in, price_out, budget, asked_judge)
    contests, replies_file = _contests(run, benchmark, round_name, opponent, opponent_name, answers, out)
    with open_journal(replies_file, is_synced=True) as journal:
        session = _Session(asked_judge, contests, Replies(journal), limits, prices, watch)
        session.announce()
        if session.open:
            client = ApiClient(base_url, key, limits.timeout, limits.retries)
            agree()
            session.ask(client, budget)
        else:
            session.write()
    return [contest.file for contest in contests]


def _check_finite(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not math.isfinite(value):
            raise ConfigError(f"--{name.replace('_', '-')} is {value}: give a number.")


def _prices(
    price_in: float | None, price_out: float | None, budget: float | None, judge: Judge
) -> Prices | None:
    if price_in is not None and price_out is not None:
        if budget is not None and judge.longest_reply is None:
            raise ConfigError("--budget needs a longest reply: give max_tokens=N or max_completion_tokens=N.")
        return Prices(price_in, price_out)
    if price_in is not None or price_out is not None or budget is not None:
        raise ConfigError("money needs both prices: give --price-in and --price-out, per million tokens.")
    return None


def _contests(
    run: Path | None,
    benchmark: str | None,
    round_name: str,
    opponent: str,
    opponent_name: str | None,
    answers: Path | None,
    out: Path | None,
) -> tuple[list[Contest], Path]:
    """Who is judged against whom, and the file that keeps the judge's replies."""
    if answers is not None:
        if run is not None or benchmark is not None:
            raise ConfigError(
                "--answers judges a file; a run folder and --benchmark judge a run's answers. Give one of "
                "the two."
            )
        if out is None:
            raise ConfigError("--answers needs --out, the file for the verdicts.")
        pairing = pair_judgements(read_answers(answers), read_answers(Path(opponent)))
        contest = Contest(_stem(answers), opponent_name or _stem(Path(opponent)), pairing, out)
        return [contest], out.with_suffix(f".{REPLIES}")
    if run is None or benchmark is None:
        raise ConfigError("nothing to judge: give a run folder and --benchmark, or --answers and --out.")
    if out is not None:
        raise ConfigError("--out is for --answers; a run's verdicts go into its own folder. Leave it out.")
    folder, name = RunFolder(run), benchmark.partition("=")[0]
    return _of_run(folder, name, round_name, opponent, opponent_name), folder.replies_file(name)


def _of_run(
    run: RunFolder, benchmark: str, round_name: str, opponent: str, opponent_name: str | None
) -> list[Contest]:
    run.config()
    own_name, their_file = _opponent(opponent, run, benchmark)
    theirs, their_name = read_answers(their_file), opponent_name or own_name
    found = []
    for name in _asked_rounds(run, benchmark, round_name):
        file = run.answers_file(benchmark, name)
        if file == their_file:
            if round_name == "all":
                continue
            raise ConfigError(f"{name} cannot be its own opponent. Give another --round or --opponent.")
        pairing = pair_judgements(read_answers(file), theirs)
        found.append(
            Contest(name, their_name, pairing, run.verdicts_file(benchmark, f"{name}-vs-{their_name}"))
        )
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
    folder = run.answers_dir(benchmark)
    names = {file.stem for file in folder.glob("*.jsonl")} if folder.is_dir() else set()
    rounds = sorted((int(match[1]), name) for name in names if (match := ROUND_FILE.fullmatch(name)))
    asked = {
        "all": [name for _, name in rounds],
        "last": [name for _, name in rounds[-1:]],
        "base": ["base"] * ("base" in names),
    }
    found = asked.get(word) or [name for number, name in rounds if word.isdecimal() and number == int(word)]
    if not found:
        raise ConfigError(
            f"no answers of round {word} to {benchmark} in {run.root}; there are: "
            f"{', '.join(sorted(names)) or 'none'}. Make them "
            f"first: diverseevol answer {run.root} --benchmark {benchmark} --round {word}."
        )
    return found


def _stem(file: Path) -> str:
    return (file.with_suffix("") if file.suffix.lower() in PACKED else file).stem


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "opponent"


class _Session:
    """The judgements of some contests, those kept and those to ask, and what is said of them to people."""

    def __init__(
        self,
        judge: Judge,
        contests: Sequence[Contest],
        replies: Replies,
        limits: Limits,
        prices: Prices | None,
        watch: Watch,
    ) -> None:
        self.judge, self.contests, self.replies, self.limits = judge, contests, replies, limits
        self.prices, self.watch = prices, watch
        self.n_judgements = sum(len(contest.pairing.judgements) for contest in contests)
        self.different = by_key(judge, (each for contest in contests for each in contest.pairing.judgements))
        self.kept = replies.of(self.different)
        self.open = {key: judgement for key, judgement in self.different.items() if key not in self.kept}

    def announce(self) -> None:
        """Say what is missing, what is kept, and what the rest will take."""
        for contest in self.contests:
            for names, what in (
                (contest.pairing.without_opponent, "without an answer of the opponent's"),
                (contest.pairing.without_ours, "that only the opponent answered"),
            ):
                if names:
                    self.watch.note(
                        f"{contest.title}: {len(names)} questions {what}: {some_of(names, N_SHOWN)}"
                    )
        n_different = (
            f" ({len(self.different):,} different)" if len(self.different) < self.n_judgements else ""
        )
        self.watch.note(
            f"{self.n_judgements:,} judgements{n_different} by {self.judge.model} "
            f"({self.judge.template.name}): "
            f"{len(self.different) - len(self.open):,} stored, {len(self.open):,} to ask."
        )
        if not self.open:
            return
        about = self._words(expected_tokens(self.judge, list(self.open.values()), list(self.kept.values())))
        most = self._words(sum((most_tokens(self.judge, each) for each in self.open.values()), Tokens()))
        bounds = "" if self.judge.longest_reply is None else f"; at most {most}"
        spent = self.replies.spent(self.different)
        before = "" if spent == Tokens() else f" Spent so far: {self._words(spent)}."
        price = (
            "" if self.prices else " The price is not known: give --price-in and --price-out to see money."
        )
        self.watch.note(f"About {about}{bounds}.{before}{price}")

    def ask(self, client: ApiClient, budget: float | None) -> None:
        """Ask for what is not kept; what is there is written down whatever happens.

        Raises:
            EvaluationError: judgements are left over.
        """
        before = self.replies.spent(self.different)
        queue = deque(self.open.items())
        asking = Asking(self.judge, client, queue, self.replies, Budget(budget, self.prices, before))
        try:
            asking.run(self.limits.concurrency, self.watch)
        finally:
            self.write()
        spent = self.replies.spent(self.different)
        in_all = f" (in all {self._words(spent)})" if before != Tokens() else ""
        if spent != before:
            self.watch.note(f"{asking.n_replies:,} replies took {self._words(spent - before)}{in_all}.")
        n_left = len(self.different) - len(self.kept)
        if n_left:
            example = min(asking.failed.values(), default="")
            why = str(asking.stopped_by or f"{len(asking.failed)} requests failed, such as: {example}")
            raise EvaluationError(
                f"{n_left:,} of {len(self.different):,} judgements are left; the same command goes on with "
                f"them. {why}"
            )

    def write(self) -> None:
        """Write every contest's file of what is kept, and say how many verdicts it holds, and whose."""
        self.kept, names = self.replies.of(self.different), set[str]()
        for contest in self.contests:
            verdicts = verdicts_of(self.judge, contest.pairing.judgements, self.kept)
            names |= {verdict.reply.answered_by for verdict in verdicts if verdict.reply.answered_by}
            if verdicts:
                write_verdicts(contest.file, verdicts, self.judge, contest.ours, contest.opponent)
                n = f"{len(verdicts):,} of {len(contest.pairing.judgements):,} verdicts"
                self.watch.note(f"{contest.title}: {n}, {_unreadable(verdicts)}, in {contest.file}")
        if len(names) > 1:
            answered_by = ", ".join(sorted(names))
            self.watch.note(
                f"These verdicts come from several models behind {self.judge.model!r}: {answered_by}. "
                f"Compare with care."
            )

    def _words(self, tokens: Tokens) -> str:
        money = f" = {self.prices.of(tokens):,.4f}" if self.prices else ""
        return f"{tokens.n_in:,} tokens in and {tokens.n_out:,} out{money}"


def _unreadable(verdicts: Sequence[Verdict]) -> str:
    found = [
        (verdict.judgement.question_id, verdict.scores)
        for verdict in verdicts
        if isinstance(verdict.scores, Unreadable)
    ]
    such_as = f" (question {found[0][0]}: {found[0][1].reason})" if found else ""
    return f"{len(found):,} of them unreadable{such_as}"
