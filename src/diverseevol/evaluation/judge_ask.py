"""Asking a judge about many judgements at once: the key of each, the budget, every reply kept as it comes.

What is kept is never asked, and so never paid for, again, be it readable or not. A judgement that fails for
good is left over for the next start. After several failures or unreadable verdicts in a row the rest are left
over: a judge that never says scores is not paid for all of them. Whatever stops the work, requests under way
are waited for, for they are paid for. What is lost is only what a kill or Ctrl-C finds under way: as many
requests as are sent at once.

Money is tokens times the prices that the user gives; there is no table of prices, for it would soon be wrong.
The estimate takes four bytes of UTF-8 a token, which is near enough for English, and 200 tokens a reply
(GPT-4's published verdicts of DiverseEvol average 822 characters) until replies of the same judge are kept.
The bound takes a token a byte, which no tokenizer exceeds, and the longest reply.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ..base.progress import Task, Watch
from ..errors import ConfigError, EvaluationError
from .api import ApiClient, Reply
from .journal import Journal
from .judge_pairs import Judgement
from .judge_parse import Unreadable, read_scores
from .judge_template import Template

DEFAULT_SAMPLING: Mapping[str, Any] = {"temperature": 0, "max_tokens": 1024}
"""Temperature 0 as in the paper; the length is ours."""
LENGTH_KEYS = ("max_completion_tokens", "max_tokens")
OWN_KEYS = {"model", "messages", "stream", "n"}
MOST_IN_A_ROW = 10
BYTES_A_TOKEN = 4
TYPICAL_REPLY = 200
FRAME = 200
"""Tokens that a server may put around the messages: its chat template, a system message of its own."""
POLL = 0.02
"""Seconds between two looks at what requests under way have really cost."""


@dataclass(frozen=True)
class Judge:
    """Who judges, by which instruction, and how it samples: with the texts this decides what a reply says.

    Attributes:
        sampling: Keys of the chat API beside model and messages, sent as they are.
    """

    model: str
    template: Template
    sampling: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULT_SAMPLING))

    def __post_init__(self) -> None:
        for key in sorted(OWN_KEYS & set(self.sampling)):
            raise ConfigError(
                f"the judge's setting {key} is not free: one reply a request, not streamed. Leave it out."
            )

    @property
    def longest_reply(self) -> int | None:
        """Tokens of a reply at most, where a setting says so."""
        return next(
            (int(self.sampling[key]) for key in LENGTH_KEYS if isinstance(self.sampling.get(key), int)), None
        )

    def key(self, judgement: Judgement) -> str:
        """The same for every request that is the same to the judge, whatever it is called and whoever asks.

        The order is in it by the places of the answers, so round 3 against round 5 and round 5 against round
        3 share their replies.
        """
        asked = [self.model, self.template.text, dict(self.sampling), judgement.question, *judgement.shown]
        return hashlib.sha256(
            json.dumps(asked, sort_keys=True, ensure_ascii=False).encode("utf-8")
        ).hexdigest()

    def n_bytes(self, judgement: Judgement) -> int:
        """How long the messages are."""
        return sum(len(message["content"].encode("utf-8")) for message in self.template.fill(judgement))


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of requests and replies."""

    n_in: int = 0
    n_out: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.n_in + other.n_in, self.n_out + other.n_out)

    def __sub__(self, other: Tokens) -> Tokens:
        return Tokens(self.n_in - other.n_in, self.n_out - other.n_out)

    def __mul__(self, n: int) -> Tokens:
        return Tokens(self.n_in * n, self.n_out * n)


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per million tokens, in whatever currency."""

    per_million_in: float
    per_million_out: float

    def of(self, tokens: Tokens) -> float:
        """What these tokens cost."""
        return (tokens.n_in * self.per_million_in + tokens.n_out * self.per_million_out) / 1e6


def most_tokens(judge: Judge, judgement: Judgement) -> Tokens:
    """The most that one request can take; a reply without a set length counts as none."""
    return Tokens(judge.n_bytes(judgement) + FRAME, judge.longest_reply or 0)


def expected_tokens(judge: Judge, judgements: Sequence[Judgement], known: Sequence[Reply]) -> Tokens:
    """About what the replies to these will take."""
    counted = [reply.tokens_out for reply in known if reply.is_counted]
    reply = sum(counted) / len(counted) if counted else TYPICAL_REPLY
    n_in = sum(judge.n_bytes(judgement) for judgement in judgements) // BYTES_A_TOKEN
    return Tokens(n_in, round(min(reply, judge.longest_reply or reply) * len(judgements)))


class Replies:
    """Every reply of a judge, in a journal, as it arrives; scores follow from the reply (judge_parse.py)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def add(self, key: str, reply: Reply, judge: Judge) -> None:
        """Keep a reply for good."""
        kept = {
            "reply": reply.text,
            "finish": reply.finish,
            "answered_by": reply.answered_by,
            "tokens_in": reply.tokens_in,
        }
        kept |= {"tokens_out": reply.tokens_out, "is_counted": reply.is_counted, "judge": judge.model}
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._journal.add({"key": key, **kept, "template": judge.template.name, "at": at})

    def add_failed(self, key: str, most: Tokens) -> None:
        """Note a request that got no reply but may have been charged, with the most that it can have cost."""
        self._journal.add({"key": key, "tokens_in": most.n_in, "tokens_out": most.n_out})

    def of(self, keys: Collection[str]) -> dict[str, Reply]:
        """The replies to these requests that there are."""
        names = ("reply", "finish", "answered_by", "tokens_in", "tokens_out", "is_counted")
        lines = (line for line in self._journal.lines if line["key"] in keys and "reply" in line)
        return {line["key"]: Reply(*(line[name] for name in names)) for line in lines}

    def spent(self, keys: Collection[str]) -> Tokens:
        """What these requests took, those that failed included."""
        lines = [line for line in self._journal.lines if line["key"] in keys]
        return sum((Tokens(line["tokens_in"], line["tokens_out"]) for line in lines), Tokens())


class Budget:
    """Money that must not be exceeded: a request is sent only if even its highest cost is still there.

    Where only requests under way stand in the way, the next one waits for what they really cost.
    """

    def __init__(self, limit: float | None, prices: Prices | None, spent: Tokens) -> None:
        self.spent = spent
        self._limit, self._prices, self._reserved = limit, prices, Tokens()

    async def reserve(self, most: Tokens) -> None:
        """Set the highest cost of a request aside.

        Raises:
            EvaluationError: it is more than what is left.
        """
        while self._limit is not None and self._money(self.spent + self._reserved + most) > self._limit:
            if self._reserved == Tokens():
                raise EvaluationError(
                    f"the budget of {self._limit:g} is used up: {self._money(self.spent):.4f} spent, and "
                    f"the next request may cost "
                    f"{self._money(most):.4f}. Give the same command with a higher --budget to go on."
                )
            await asyncio.sleep(POLL)
        self._reserved += most

    def settle(self, most: Tokens, used: Tokens) -> None:
        """Give back what was set aside, and count what was used."""
        self._reserved -= most
        self.spent += used

    def _money(self, tokens: Tokens) -> float:
        return self._prices.of(tokens) if self._prices else 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard to try.

    Attributes:
        concurrency: Requests under way at once.
        retries: Further tries after a passing failure.
        timeout: Seconds to wait for a reply.
    """

    concurrency: int = 8
    retries: int = 6
    timeout: float = 120.0


@dataclass
class Asking:
    """Judgements to be asked, and what came of it.

    Attributes:
        queue: Each judgement with its key before it.
        n_replies: Replies received.
        failed: Why a judgement is left over, by its key.
        stopped_by: Why all the rest are.
    """

    judge: Judge
    client: ApiClient
    queue: deque[tuple[str, Judgement]]
    replies: Replies
    budget: Budget
    n_replies: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    stopped_by: EvaluationError | None = None
    _n_in_vain: int = 0

    def run(self, n_at_once: int, watch: Watch) -> None:
        """Ask, so many at once, and keep what comes back."""

        async def ask_all(task: Task) -> None:
            async with self.client:
                await asyncio.gather(*(self._work(task) for _ in range(min(n_at_once, len(self.queue)))))

        with watch.task("judging", len(self.queue), "judgements") as task:
            asyncio.run(ask_all(task))

    async def _work(self, task: Task) -> None:
        """Take judgements until none is left or something stops the work."""
        while self.queue and self.stopped_by is None:
            key, judgement = self.queue.popleft()
            try:
                reply = await self._reply(key, judgement)
                if reply is None:
                    self._in_vain(self.failed[key])
                    continue
                self.replies.add(key, reply, self.judge)
                self.n_replies += 1
                task.advance()
                found = read_scores(reply.text)
                if isinstance(found, Unreadable):
                    self._in_vain(f"unreadable: {found.because(reply.finish).reason}")
                else:
                    self._n_in_vain = 0
            except EvaluationError as error:
                self.stopped_by = self.stopped_by or error

    def _in_vain(self, why: str) -> None:
        self._n_in_vain += 1
        if self._n_in_vain >= MOST_IN_A_ROW:
            raise EvaluationError(
                f"{MOST_IN_A_ROW} requests in a row brought no scores from {self.client.url}, the last: {why}"
            )

    async def _reply(self, key: str, judgement: Judgement) -> Reply | None:
        """The reply about one judgement, counted; None where it failed for good.

        Raises:
            EvaluationError: nothing more can be asked, or its highest cost is not left.
        """
        body = {
            "model": self.judge.model,
            "messages": self.judge.template.fill(judgement),
            **self.judge.sampling,
        }
        most, used = most_tokens(self.judge, judgement), Tokens()
        await self.budget.reserve(most)
        try:
            outcome = await self.client.ask("/chat/completions", body, key)
            if isinstance(outcome, Reply):
                if not outcome.is_counted:
                    outcome = replace(outcome, tokens_in=most.n_in, tokens_out=most.n_out)
                used = Tokens(outcome.tokens_in, outcome.tokens_out)
                # Thinking that never came to a verdict was paid for, too, and tells why there is none.
                is_thought = not outcome.text and outcome.thinking
                return replace(outcome, text=f"<think>{outcome.thinking}") if is_thought else outcome
            if outcome.n_charged:
                used = most * outcome.n_charged
                self.replies.add_failed(key, used)
        finally:
            self.budget.settle(most, used)
        # A server that has answered before knows the key: its 403 is about this request.
        if outcome.is_hopeless and not (outcome.status == 403 and self.n_replies):
            raise EvaluationError(f"the judge at {self.client.url} refuses: {outcome.text}")
        self.failed[key] = outcome.text
        return None


def by_key(judge: Judge, judgements: Iterable[Judgement]) -> dict[str, Judgement]:
    """One judgement a key: those that show the judge the same are asked once."""
    found: dict[str, Judgement] = {}
    for judgement in judgements:
        found.setdefault(judge.key(judgement), judgement)
    return found
