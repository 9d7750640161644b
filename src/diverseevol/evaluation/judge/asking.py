"""Asking the judge about many judgements at once: the cap, the retries, the budget, and every reply stored as it arrives.

A passing failure (429, 5xx, a time-out, a cut connection, half a response) is tried again after a wait that doubles, or the one that the
server asks for. A judgement that fails for good is left over for the next start; after several in a row the rest are left over,
too. An unreadable verdict is asked again, then kept as it is. Whatever stops the work, requests under way are waited for, for they are
paid for. What is lost is only what a kill or Ctrl-C finds under way: as many requests as are sent at once.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from ...errors import JudgeError
from ...progress import Task, Watch, duration
from .client import JudgeClient, Trouble
from .cost import Budget, most_tokens
from .pace import Pace, back_off
from .parse import Unreadable, read_scores
from .request import Judge, Request
from .store import Reply, ReplyStore, Tokens

MOST_IN_A_ROW = 10
LONGEST_WAIT = 600.0


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
    stopped_by: JudgeError | None = None


def is_settled(replies: list[Reply], judge: Judge, attempts: int) -> bool:
    """Whether a judgement need not be asked (again)."""
    return len(replies) >= attempts or any(not is_unreadable(reply, judge) for reply in replies)


def is_unreadable(reply: Reply, judge: Judge) -> bool:
    """Whether a reply holds no scores."""
    return isinstance(read_scores(reply.text, judge.template.n_answers), Unreadable)


def ask_all(
    judge: Judge,
    client: JudgeClient,
    requests: Iterable[tuple[Request, int]],
    store: ReplyStore,
    budget: Budget,
    limits: Limits,
    watch: Watch,
) -> Asked:
    """Ask, and store what comes back.

    Args:
        requests: Each with the number of replies that are stored already.
    """
    queue = deque(requests)

    async def run() -> Asked:
        async with client:
            with watch.task("judging", len(queue), "judgements") as task:
                asking = _Asking(judge, client, queue, store, budget, limits, watch, task)
                await asyncio.gather(*(asking.work() for _ in range(min(limits.concurrency, len(queue)))))
                return asking.asked

    return asyncio.run(run())


@dataclass
class _Asking:
    judge: Judge
    client: JudgeClient
    queue: deque[tuple[Request, int]]
    store: ReplyStore
    budget: Budget
    limits: Limits
    watch: Watch
    task: Task
    asked: Asked = field(default_factory=Asked)
    n_failed_in_a_row: int = 0
    noted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pace = Pace(self.limits.per_minute)
        self.noise = random.Random()

    async def work(self) -> None:
        """Take judgements until none is left or something stops the work."""
        while self.queue and not self.asked.stopped_by:
            request, n_stored = self.queue.popleft()
            try:
                reply = await self._reply(request, n_stored)
            except JudgeError as error:
                self.asked.stopped_by = self.asked.stopped_by or error
                return
            if reply is None:
                continue
            self.store.add(request.key, n_stored, reply, self.judge.model, self.judge.template.name)
            self.asked.n_replies += 1
            if is_unreadable(reply, self.judge) and n_stored + 1 < self.limits.attempts:
                self.queue.append((request, n_stored + 1))
            else:
                self.task.advance()

    async def _reply(self, request: Request, n_stored: int) -> Reply | None:
        """The reply to one request; None where it failed for good.

        Raises:
            JudgeError: nothing more can be asked.
        """
        messages = self.judge.template.fill(request.judgement)
        for n_failed in range(1, self.limits.retries + 2):
            await self.pace.turn()
            outcome = await self._once(request, messages, f"{request.key}-{n_stored}")
            if isinstance(outcome, Reply):
                self.n_failed_in_a_row = 0
                return outcome
            if outcome.is_hopeless:
                raise JudgeError(f"the judge at {self.client.url} refuses: {outcome.text}")
            if not outcome.is_passing or n_failed > self.limits.retries or self.asked.stopped_by:
                break
            await self._wait(outcome, n_failed)
        self._give_up(request, outcome.text)
        return None

    async def _once(self, request: Request, messages: list[dict[str, str]], name: str) -> Reply | Trouble:
        most = most_tokens(self.judge, request)
        reserved, used = await self.budget.reserve(most), Tokens()
        try:
            outcome = await self.client.ask(messages, self.judge.sampling, name)
            if isinstance(outcome, Reply) and not outcome.is_counted:
                outcome = Reply(outcome.text, outcome.finish, outcome.answered_by, most.n_in, most.n_out, False)
            if isinstance(outcome, Reply):
                used = Tokens(outcome.tokens_in, outcome.tokens_out)
            elif outcome.may_be_charged:
                used = most
                self.store.add_broken_off(request.key, most)
            return outcome
        finally:
            await self.budget.settle(reserved, most, used)

    async def _wait(self, trouble: Trouble, n_failed: int) -> None:
        seconds = back_off(n_failed, self.limits.first_wait, self.noise) if trouble.wait is None else trouble.wait
        if seconds > LONGEST_WAIT:
            raise JudgeError(
                f"the judge at {self.client.url} asks to wait {duration(seconds)}: {trouble.text}. Give the same command again then."
            )
        if trouble.text not in self.noted and len(self.noted) < MOST_IN_A_ROW:
            self.noted.add(trouble.text)
            self.watch.note(f"{trouble.text}; trying again after {duration(seconds)}")
        if trouble.is_for_all:
            self.pace.pause(seconds)
        else:
            await asyncio.sleep(seconds)

    def _give_up(self, request: Request, text: str) -> None:
        self.asked.failed[request.key] = text
        self.n_failed_in_a_row += 1
        if self.n_failed_in_a_row >= MOST_IN_A_ROW and not self.asked.stopped_by:
            raise JudgeError(f"{MOST_IN_A_ROW} requests in a row failed at {self.client.url}, the last: {text}")
