"""What judging costs: estimated before, bounded meanwhile, counted after.

Money is tokens times the prices that the user gives; there is no table of prices, for it would soon be wrong. The estimate takes four
bytes of UTF-8 a token, which is near enough for English, and 200 tokens a reply (GPT-4's published verdicts of DiverseEvol average 822
characters) until replies of the same judge are stored. The bound takes a token a byte, which no tokenizer exceeds, and the longest reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...errors import EvaluationError
from ..api_client import Reply
from .pairs import Judgement
from .request import Judge
from .store import Tokens

BYTES_A_TOKEN = 4
TYPICAL_REPLY = 200
FRAME = 200
"""Tokens that a server may put around the messages: its chat template, a system message of its own."""
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Money per million tokens, in whatever currency."""

    per_million_in: float
    per_million_out: float

    def of(self, tokens: Tokens) -> float:
        """What these tokens cost."""
        return (tokens.n_in * self.per_million_in + tokens.n_out * self.per_million_out) / MILLION


def most_tokens(judge: Judge, judgement: Judgement) -> Tokens:
    """The most that one request can take; a reply without a set length counts as none."""
    return Tokens(_n_bytes(judge, judgement) + FRAME, judge.longest_reply or 0)


def expected_tokens(judge: Judge, judgements: Iterable[Judgement], known: Sequence[Reply]) -> Tokens:
    """About what the replies to these will take."""
    counted = [reply.tokens_out for reply in known if reply.is_counted]
    reply = sum(counted) / len(counted) if counted else TYPICAL_REPLY
    sizes = [_n_bytes(judge, judgement) for judgement in judgements]
    longest = judge.longest_reply
    return Tokens(sum(sizes) // BYTES_A_TOKEN, round(min(reply, longest or reply) * len(sizes)))


def spent_tokens(replies: Iterable[Reply]) -> Tokens:
    """What replies took."""
    return sum((Tokens(reply.tokens_in, reply.tokens_out) for reply in replies), Tokens())


def _n_bytes(judge: Judge, judgement: Judgement) -> int:
    return sum(len(message["content"].encode("utf-8")) for message in judge.template.fill(judgement))


class Budget:
    """Money that must not be exceeded: a request is sent only if even its highest cost is still there.

    Where only requests under way stand in the way, the next one waits for what they really cost.
    """

    def __init__(self, limit: float | None, prices: Prices | None, spent: Tokens) -> None:
        self.prices = prices
        self.spent = spent
        self._limit = limit
        self._reserved = 0.0
        self._n_under_way = 0
        self._scale = 1.0
        self._settled = asyncio.Condition()

    def _money(self, tokens: Tokens) -> float:
        return self.prices.of(tokens) if self.prices else 0.0

    async def reserve(self, most: Tokens) -> float:
        """Set the highest cost of a request aside, and say how much it is.

        Raises:
            EvaluationError: it is more than what is left.
        """
        async with self._settled:
            money = self._money(most) * self._scale
            while self._limit is not None and self._money(self.spent) + self._reserved + money > self._limit:
                if not self._n_under_way:
                    raise EvaluationError(
                        f"the budget of {self._limit:g} is used up: {self._money(self.spent):.4f} spent, and the next request "
                        f"may cost {money:.4f}. Give the same command with a higher --budget to go on."
                    )
                await self._settled.wait()
            self._reserved += money
            self._n_under_way += 1
            return money

    async def settle(self, reserved: float, most: Tokens, used: Tokens) -> None:
        """Give back what was set aside, and count what was used."""
        async with self._settled:
            self._reserved -= reserved
            self._n_under_way -= 1
            self.spent += used
            if self._money(most) > 0:  # a server that bills more than the bound is believed from then on
                self._scale = max(self._scale, self._money(used) / self._money(most))
            self._settled.notify_all()
