"""Asking the judge about many judgements at once: the cap, the budget, and every reply stored as it arrives.

Passing failures are tried again (api_patience.py). A judgement that fails for good is left over for the next start. An unreadable verdict is
asked again, behind all others, then kept as it is. After several failures or unreadable verdicts in a row the rest are left over: a judge that
never says scores is not paid for all of them. Whatever stops the work, requests under way are
waited for, for they are paid for. What is lost is only what a kill or Ctrl-C finds under way: as many requests as are sent at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ...base.progress import Task, Watch
from ...errors import EvaluationError
from ..api_client import ApiClient, Reply, Trouble
from ..api_patience import Pace, Patience
from .cost import Budget, most_tokens
from .pairs import Judgement
from .parse import Unreadable, read_scores
from .request import Judge
from .store import ReplyStore, Tokens
from .verdicts import why_unreadable

MOST_IN_A_ROW = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard to try.

    Attributes:
        concurrency: Requests under way at once.
        per_minute: Requests a minute; None: as many as come.
        retries: Further tries after a passing failure.
        attempts: Replies to one judgement before an unreadable one is kept.
        first_wait: Seconds before the first further try.
    """

    concurrency: int = 8
    per_minute: float | None = None
    retries: int = 6
    attempts: int = 3
    first_wait: float = 1.0


@dataclass
class Asked:
    """What happened: replies received, what is left over and why."""

    n_replies: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    stopped_by: EvaluationError | None = None


def is_settled(replies: list[Reply], judge: Judge, attempts: int) -> bool:
    """Whether a judgement need not be asked (again)."""
    return len(replies) >= attempts or any(not is_unreadable(reply, judge) for reply in replies)


def is_unreadable(reply: Reply, judge: Judge) -> bool:
    """Whether a reply holds no scores."""
    return isinstance(read_scores(reply.text, judge.template.n_answers), Unreadable)


def ask_all(
    judge: Judge,
    client: ApiClient,
    judgements: Iterable[tuple[str, Judgement, int]],
    store: ReplyStore,
    budget: Budget,
    limits: Limits,
    watch: Watch,
) -> Asked:
    """Ask, and store what comes back.

    Args:
        judgements: Each with its key before it, and the number of replies that are stored already behind it.
    """
    queue = deque(judgements)

    async def run() -> Asked:
        async with client:
            with watch.task("judging", len(queue), "judgements") as task:
                patience = Patience(watch, Pace(limits.per_minute), limits.retries, limits.first_wait)
                asking = _Asking(judge, client, queue, store, budget, limits.attempts, patience, task)
                await asyncio.gather(*(asking.work() for _ in range(min(limits.concurrency, len(queue)))))
                return asking.asked

    return asyncio.run(run())


@dataclass
class _Asking:
    judge: Judge
    client: ApiClient
    queue: deque[tuple[str, Judgement, int]]
    store: ReplyStore
    budget: Budget
    attempts: int
    patience: Patience
    task: Task
    asked: Asked = field(default_factory=Asked)
    n_in_vain: int = 0

    async def work(self) -> None:
        """Take judgements until none is left or something stops the work."""
        while self.queue and not self._is_stopped():
            try:
                await self._judge(*self.queue.popleft())
            except EvaluationError as error:
                self.asked.stopped_by = self.asked.stopped_by or error
                return

    async def _judge(self, key: str, judgement: Judgement, n_stored: int) -> None:
        """Ask about one judgement and store the reply.

        Raises:
            EvaluationError: nothing more can be asked, or it is of no use.
        """
        reply = await self._reply(key, judgement, n_stored)
        if reply is None:
            return
        self.store.add(key, n_stored, reply, self.judge.model, self.judge.template.name)
        self.asked.n_replies += 1
        found = read_scores(reply.text, self.judge.template.n_answers)
        if isinstance(found, Unreadable) and n_stored + 1 < self.attempts:
            self.queue.append((key, judgement, n_stored + 1))
        else:
            self.task.advance()
        if isinstance(found, Unreadable):
            self._in_vain(f"unreadable: {why_unreadable(reply, found).reason}")
        else:
            self.n_in_vain = 0

    def _in_vain(self, why: str) -> None:
        self.n_in_vain += 1
        if self.n_in_vain >= MOST_IN_A_ROW and not self._is_stopped():
            raise EvaluationError(
                f"{MOST_IN_A_ROW} requests in a row brought no scores from {self.client.url}, the last: {why}"
            )

    def _is_stopped(self) -> bool:
        return self.asked.stopped_by is not None

    async def _reply(self, key: str, judgement: Judgement, n_stored: int) -> Reply | None:
        """The reply about one judgement; None where it failed for good.

        Raises:
            EvaluationError: nothing more can be asked.
        """
        body = {
            "model": self.judge.model,
            "messages": self.judge.template.fill(judgement),
            **self.judge.sampling,
        }
        most = most_tokens(self.judge, judgement)
        outcome = await self.patience.tried(
            lambda: self._once(key, body, f"{key}-{n_stored}", most), self._is_stopped
        )
        if isinstance(outcome, Reply):
            # Thinking that never came to a verdict was paid for, too, and tells why there is none.
            return (
                outcome
                if outcome.text or not outcome.thinking
                else replace(outcome, text=f"<think>{outcome.thinking}")
            )
        # A server that has answered before knows the key: its 403 is about this request.
        if outcome.is_hopeless and not (outcome.status == 403 and self.asked.n_replies):
            raise EvaluationError(f"the judge at {self.client.url} refuses: {outcome.text}")
        self.asked.failed[key] = outcome.text
        self._in_vain(outcome.text)
        return None

    async def _once(self, key: str, body: dict[str, Any], name: str, most: Tokens) -> Reply | Trouble:
        """Send one request, if its highest cost is left, and count what it took."""
        reserved, used = await self.budget.reserve(most), Tokens()
        try:
            outcome = await self.client.ask("/chat/completions", body, name)
            if isinstance(outcome, Reply) and not outcome.is_counted:
                outcome = replace(outcome, tokens_in=most.n_in, tokens_out=most.n_out)
            if isinstance(outcome, Reply):
                used = Tokens(outcome.tokens_in, outcome.tokens_out)
            elif outcome.may_be_charged:
                used = most
                self.store.add_broken_off(key, most)
            return outcome
        finally:
            await self.budget.settle(reserved, most, used)
