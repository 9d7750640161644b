"""One call of `judge`: what it will cost, the asking, and what came of it, said to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..base.progress import Watch
from ..errors import EvaluationError
from ..evaluation.api_client import ApiClient, Reply
from ..evaluation.judge.asking import Asked, Limits, ask_all, is_settled
from ..evaluation.judge.cost import Budget, Prices, expected_tokens, most_tokens, spent_tokens
from ..evaluation.judge.pairs import Missing
from ..evaluation.judge.parse import Unreadable
from ..evaluation.judge.request import Judge
from ..evaluation.judge.store import ReplyStore, Tokens
from ..evaluation.judge.verdicts import (
    Verdict,
    missing_file,
    n_replaced,
    verdicts_of,
    write_missing,
    write_verdicts,
)
from .judge_files import Contest

N_SHOWN = 20


@dataclass
class JudgeSession:
    """The judgements of some contests, those stored and those to ask."""

    judge: Judge
    contests: Sequence[Contest]
    store: ReplyStore
    limits: Limits
    prices: Prices | None
    limit: float | None
    watch: Watch
    asked: Asked = field(default_factory=Asked)

    def __post_init__(self) -> None:
        judgements = [judgement for contest in self.contests for judgement in contest.pairing.judgements]
        self.different = self.judge.by_key(judgements)
        self.stored = self.store.replies(self.different)
        self.spent = self._spent()
        self.open = {key: judgement for key, judgement in self.different.items() if not self._is_settled(key)}

    def announce(self) -> None:
        """Say what is missing, what is stored, and what the rest will take."""
        for contest in self.contests:
            self._say_missing(contest)
            if n := n_replaced(contest.file, contest.pairing.judgements, self.judge):
                self.watch.note(
                    f"{contest.file} holds {n} other verdicts, which new ones will replace; their replies stay stored."
                )
        n_judgements = sum(len(contest.pairing.judgements) for contest in self.contests)
        n_different = f" ({len(self.different):,} different)" if len(self.different) < n_judgements else ""
        self.watch.note(
            f"{n_judgements:,} judgements{n_different} by {self.judge.model} ({self.judge.template.name}): "
            f"{len(self.different) - len(self.open):,} stored, {len(self.open):,} to ask."
        )
        if self.open:
            known = [reply for replies in self.stored.values() for reply in replies]
            about = expected_tokens(self.judge, self.open.values(), known)
            most = sum((most_tokens(self.judge, judgement) for judgement in self.open.values()), Tokens())
            bounds = "" if self.judge.longest_reply is None else f"; at most {self._words(most)}"
            self.watch.note(
                f"About {self._words(about)}{bounds}, if every first reply is readable.{self._before()}"
            )

    def ask(self, client: ApiClient) -> None:
        """Ask for what is not stored; what is there is written down whatever happens."""
        budget = Budget(self.limit, self.prices, self.spent)
        todo = [(key, judgement, len(self.stored.get(key, ()))) for key, judgement in self.open.items()]
        try:
            self.asked = ask_all(self.judge, client, todo, self.store, budget, self.limits, self.watch)
        except BaseException:
            self._write()
            raise

    def close(self) -> None:
        """Write the files of verdicts, and say what it took and what is left.

        Raises:
            EvaluationError: judgements are left over.
        """
        before = self.spent
        verdicts = self._write()
        used = Tokens(self.spent.n_in - before.n_in, self.spent.n_out - before.n_out)
        in_all = f" (in all {self._words(self.spent)})" if before != Tokens() else ""
        if self.asked.n_replies or used != Tokens():
            self.watch.note(f"{self.asked.n_replies:,} replies took {self._words(used)}{in_all}.")
        self._say_origin(verdicts)
        n_left = sum(not self._is_settled(key) for key in self.open)
        if n_left:
            raise EvaluationError(self._why_left(n_left))

    def _write(self) -> list[Verdict]:
        """Write every contest's files from the store, and say how many verdicts they hold."""
        self.stored = self.store.replies(self.different)
        self.spent = self._spent()
        everything = []
        for contest in self.contests:
            verdicts = verdicts_of(self.judge, contest.pairing.judgements, self.stored)
            write_missing(contest.file, contest.pairing.missing)
            if verdicts:
                write_verdicts(contest.file, verdicts, self.judge, contest.ours, contest.opponent)
                n = f"{len(verdicts):,} of {len(contest.pairing.judgements):,} verdicts"
                self.watch.note(f"{contest.title}: {n}, {_unreadable(verdicts)}, in {contest.file}")
            everything += verdicts
        return everything

    def _spent(self) -> Tokens:
        replies: list[Reply] = [reply for found in self.stored.values() for reply in found]
        return spent_tokens(replies) + self.store.broken_off(self.different)

    def _is_settled(self, key: str) -> bool:
        return is_settled(self.stored.get(key, []), self.judge, self.limits.attempts)

    def _words(self, tokens: Tokens) -> str:
        money = f" = {self.prices.of(tokens):,.4f}" if self.prices else ""
        return f"{tokens.n_in:,} tokens in and {tokens.n_out:,} out{money}"

    def _before(self) -> str:
        spent = "" if self.spent == Tokens() else f" Spent so far: {self._words(self.spent)}."
        return (
            spent
            if self.prices
            else f"{spent} The price is not known: give --price-in and --price-out to see money."
        )

    def _say_missing(self, contest: Contest) -> None:
        for side, what in (
            ("opponent", "without an answer of the opponent's"),
            ("ours", "that only the opponent answered"),
        ):
            names = [_name(item) for item in contest.pairing.missing if item.side == side]
            if names:
                more = f" and {len(names) - N_SHOWN} more" if len(names) > N_SHOWN else ""
                where = missing_file(contest.file)
                self.watch.note(
                    f"{contest.title}: {len(names)} questions {what}: {', '.join(names[:N_SHOWN])}{more}; listed in {where}"
                )

    def _say_origin(self, verdicts: Sequence[Verdict]) -> None:
        names = sorted({verdict.reply.answered_by for verdict in verdicts if verdict.reply.answered_by})
        if len(names) > 1:
            self.watch.note(
                f"These verdicts come from several models behind {self.judge.model!r}: {', '.join(names)}. Compare with care."
            )

    def _why_left(self, n_left: int) -> str:
        if self.asked.stopped_by:
            why = str(self.asked.stopped_by)
        else:
            why = f"{len(self.asked.failed)} requests failed, such as: {min(self.asked.failed.values(), default='')}"
        return f"{n_left:,} of {len(self.different):,} judgements are left; the same command goes on with them. {why}"


def _name(item: Missing) -> str:
    return str(item.question_id) if item.question_id is not None else repr((item.question or "")[:40])


def _unreadable(verdicts: Sequence[Verdict]) -> str:
    found = [
        (verdict.judgement.question_id, verdict.scores)
        for verdict in verdicts
        if isinstance(verdict.scores, Unreadable)
    ]
    such_as = f" (question {found[0][0]}: {found[0][1].reason})" if found else ""
    return f"{len(found):,} of them unreadable{such_as}"
