"""Asking a judge about many judgements at once: the key of each, the budget, every reply kept as it comes.

What is kept is never asked, and so never paid for, again, be it readable or not. What fails for good is left
over for the next start, and after several failures or unreadable verdicts in a row so are the rest. Whatever
stops the work, requests under way are waited for, for they are paid for; only a kill or Ctrl-C loses them.
Money is tokens times the prices that the user gives; a table of prices would soon be wrong. The estimate
takes four bytes of UTF-8 a token, which is near enough for English, and 200 tokens a reply (GPT-4's published
verdicts of DiverseEvol average 822 characters) until replies of the same judge are kept. The bound takes a
token a byte, which no tokenizer exceeds, and the longest reply.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ..base.progress import Task, Watch
from ..errors import ConfigError, EvaluationError
from .api import ApiClient, Failure, Reply
from .journal import Journal, Line
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


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of requests and replies."""

    n_in: int = 0
    n_out: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.n_in + other.n_in, self.n_out + other.n_out)

    def __mul__(self, n: int) -> Tokens:
        return Tokens(self.n_in * n, self.n_out * n)


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
        given = (self.sampling.get(key) for key in LENGTH_KEYS)
        return next((int(length) for length in given if isinstance(length, int)), None)

    def key(self, judgement: Judgement) -> str:
        """The same for every request that is the same to the judge, whatever it is called and whoever asks.

        The order is in it by the places of the answers, so round 3 against round 5 and round 5 against round
        3 share their replies.
        """
        asked = [self.model, self.template.text, dict(self.sampling), judgement.question, *judgement.shown]
        said = json.dumps(asked, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(said.encode("utf-8")).hexdigest()

    def most_tokens(self, judgement: Judgement) -> Tokens:
        """The most that one request can take; a reply without a set length counts as none."""
        return Tokens(self._n_bytes(judgement) + FRAME, self.longest_reply or 0)

    def expected_tokens(self, judgements: Iterable[Judgement], known: Iterable[Reply]) -> Tokens:
        """About what the replies to these will take."""
        n_bytes = [self._n_bytes(judgement) for judgement in judgements]
        counted = [reply.tokens_out for reply in known if reply.is_counted]
        reply = sum(counted) / len(counted) if counted else TYPICAL_REPLY
        n_out = round(min(reply, self.longest_reply or reply) * len(n_bytes))
        return Tokens(sum(n_bytes) // BYTES_A_TOKEN, n_out)

    def _n_bytes(self, judgement: Judgement) -> int:
        return sum(len(message["content"].encode("utf-8")) for message in self.template.fill(judgement))


class Budget:
    """Money that must not be exceeded: a request is sent only if even its highest cost is still there.

    Where only requests under way stand in the way, the next one waits for what they really cost.
    """

    def __init__(self, limit: float | None, prices: tuple[float, float] | None) -> None:
        """Take the prices per million tokens (sent, received), in whatever currency."""
        self.spent, self._reserved = Tokens(), Tokens()
        self._limit, self._prices = limit, prices

    def money(self, tokens: Tokens) -> float:
        """What these tokens cost; nothing where no price is known."""
        price_in, price_out = self._prices or (0.0, 0.0)
        return (tokens.n_in * price_in + tokens.n_out * price_out) / 1e6

    def words(self, tokens: Tokens) -> str:
        """So many tokens, and what they cost, for people."""
        money = f" = {self.money(tokens):,.4f}" if self._prices else ""
        return f"{tokens.n_in:,} tokens in and {tokens.n_out:,} out{money}"

    async def reserve(self, most: Tokens) -> None:
        """Set the highest cost of a request aside."""
        while self._limit is not None and self.money(self.spent + self._reserved + most) > self._limit:
            if self._reserved == Tokens():
                raise EvaluationError(
                    f"the budget of {self._limit:g} is used up: {self.money(self.spent):.4f} spent, and the "
                    f"next request may cost {self.money(most):.4f}. Give the same command with a higher "
                    f"--budget to go on."
                )
            await asyncio.sleep(POLL)
        self._reserved += most

    def settle(self, most: Tokens, used: Tokens) -> None:
        """Give back what was set aside, and count what was used."""
        self._reserved += most * -1
        self.spent += used


class Asking:
    """Judgements, each asked once: what a journal keeps of them, and what is still to be asked.

    Attributes:
        different: One judgement a key: those that show the judge the same are asked once.
        kept: The replies that there are, by their keys.
        n_replies: Replies received in this session.
        failed: Why a judgement is left over, by its key.
        stopped_by: Why all the rest are.
    """

    def __init__(
        self, judge: Judge, judgements: Iterable[Judgement], journal: Journal, budget: Budget
    ) -> None:
        self.judge, self.budget, self._journal = judge, budget, journal
        self.different: dict[str, Judgement] = {}
        for judgement in judgements:
            self.different.setdefault(judge.key(judgement), judgement)
        names = ("reply", "finish", "answered_by", "tokens_in", "tokens_out", "is_counted")
        lines = [line for line in journal.lines if line["key"] in self.different]
        self.kept = {line["key"]: Reply(*(line[name] for name in names)) for line in lines if "reply" in line}
        budget.spent = sum((Tokens(line["tokens_in"], line["tokens_out"]) for line in lines), Tokens())
        self.n_replies, self.failed = 0, dict[str, str]()
        self.stopped_by: EvaluationError | None = None

    @property
    def open(self) -> dict[str, Judgement]:
        """The judgements without a reply, by their keys."""
        return {key: judgement for key, judgement in self.different.items() if key not in self.kept}

    def run(self, client: ApiClient, n_at_once: int, watch: Watch) -> None:
        """Ask for what is open, so many at once, and keep what comes back."""
        queue, n_in_vain = deque(self.open.items()), 0

        async def work(task: Task) -> None:
            nonlocal n_in_vain
            while queue and self.stopped_by is None:
                key, judgement = queue.popleft()
                try:
                    why = await self._ask(client, key, judgement)
                    task.advance(key in self.kept)
                    n_in_vain = n_in_vain + 1 if why else 0
                    if n_in_vain >= MOST_IN_A_ROW:
                        raise EvaluationError(
                            f"{MOST_IN_A_ROW} requests in a row brought no scores from {client.url}, the "
                            f"last: {why}"
                        )
                except EvaluationError as error:
                    self.stopped_by = self.stopped_by or error

        async def work_at_once(task: Task) -> None:
            async with client:
                await asyncio.gather(*(work(task) for _ in range(min(n_at_once, len(queue)))))

        with watch.task("judging", len(queue), "judgements") as task:
            asyncio.run(work_at_once(task))

    async def _ask(self, client: ApiClient, key: str, judgement: Judgement) -> str | None:
        """Ask for one judgement and keep the reply; where this brought no scores, say why."""
        judge, messages = self.judge, self.judge.template.fill(judgement)
        most, used = judge.most_tokens(judgement), Tokens()
        await self.budget.reserve(most)
        try:
            found = await client.ask(
                "/chat/completions", {"model": judge.model, "messages": messages, **judge.sampling}, key
            )
            if isinstance(found, Failure):
                used = most * found.n_charged
            elif found.is_counted:
                used = Tokens(found.tokens_in, found.tokens_out)
            else:
                used = most
        finally:
            self.budget.settle(most, used)
        kept: Line = {"key": key}
        if isinstance(found, Failure):
            if found.n_charged:
                self._journal.add({**kept, "tokens_in": used.n_in, "tokens_out": used.n_out})
            # A server that has answered before knows the key: its 403 is about this request.
            if found.is_hopeless and not (found.status == 403 and self.n_replies):
                raise EvaluationError(f"the judge at {client.url} refuses: {found.text}")
            self.failed[key] = found.text
            return found.text
        # Thinking that never came to a verdict was paid for, too, and tells why there is none.
        text = f"<think>{found.thinking}" if found.thinking and not found.text else found.text
        kept |= {"reply": text, "finish": found.finish, "answered_by": found.answered_by}
        kept |= {"tokens_in": used.n_in, "tokens_out": used.n_out, "is_counted": found.is_counted}
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self._journal.add({**kept, "judge": judge.model, "template": judge.template.name, "at": at})
        self.kept[key] = replace(found, text=text, tokens_in=used.n_in, tokens_out=used.n_out)
        self.n_replies += 1
        scores = read_scores(text, found.finish)
        return f"unreadable: {scores}" if isinstance(scores, Unreadable) else None

    def verdicts(self, judgements: Iterable[Judgement], ours: str, opponent: str) -> list[Line]:
        """The lines of the judgements that have a reply, in the order given.

        Scores are ours first, whatever the order shown; null with "problem" where the reply is unreadable.
        """
        lines = []
        for judgement in judgements:
            reply = self.kept.get(self.judge.key(judgement))
            if reply is None:
                continue
            found = read_scores(reply.text, reply.finish)
            problem = {"problem": str(found)} if isinstance(found, Unreadable) else {}
            scores = (None, None) if isinstance(found, Unreadable) else judgement.ours_first(found)
            line: Line = {"question_id": judgement.question_id, "order": judgement.order}
            line |= {"score": scores[0], "opponent_score": scores[1], **problem}
            line |= {"reply": reply.text, "question": judgement.question, "category": judgement.category}
            line |= {"answer": judgement.answer, "opponent_answer": judgement.opponent_answer}
            line |= {"judge": self.judge.model, "answered_by": reply.answered_by}
            line |= {"template": self.judge.template.name, "ours": ours, "opponent": opponent}
            lines.append(line)
        return lines
