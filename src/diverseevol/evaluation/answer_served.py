"""Answers of a model behind an OpenAI-compatible address: `vllm serve`, `transformers serve` or any other.

With the Alpaca template the prompt goes to the completions API as text, which the server's tokenizer reads as
training did (it adds BOS by itself); with a chat template the turns go to the chat API and the server renders
them. Sampling: `top_k` is a field of vLLM's; a server that refuses it gets `generation_config`, as
`transformers serve` wants it. Each question has a seed of its own; whether answers repeat is the server's
affair.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..base import dist
from ..base.progress import Task
from ..data.sample import Sample
from ..errors import ModelError
from .answer_choose import Sampling, uniforms
from .answer_file import answer_line
from .answer_prompts import Prompt, Prompts, asked
from .api import FILTERED, ApiClient, Reply
from .journal import Line
from .questions import Question

REFUSED = {400, 422}
RETRIES = 6
TIMEOUT = 600.0
REFUSAL = (
    "If it is about sampling, give --sampling model or greedy; if about length, a RUN or --model whose "
    "tokenizer "
    "cuts long questions."
)


@dataclass
class ServedModel:
    """A server's model that answers.

    Attributes:
        model: Its name at the server.
        key: The key, if the server wants one; it is sent and appears nowhere else.
        prompts: Renders and cuts the questions; None: the server's template does, and nothing is cut.
        is_chat: Whether turns are sent, not text.
        n_parallel: Requests under way at once.
    """

    base_url: str
    model: str
    key: str | None
    prompts: Prompts | None
    is_chat: bool
    sampling: Sampling
    max_new: int
    seed: int
    n_parallel: int = 8
    _takes_top_k: bool = field(default=True, init=False)

    def answer(self, questions: Sequence[Question], write: Callable[[Line], None], task: Task) -> None:
        """Answer the questions, on rank 0.

        Raises:
            ModelError: the server cannot be reached, or refuses a question.
            PromptError: the template refuses a question.
        """
        if dist.is_main():
            asyncio.run(self._answer(deque(questions), write, task))

    async def _answer(self, queue: deque[Question], write: Callable[[Line], None], task: Task) -> None:
        async with ApiClient(self.base_url, self.key, TIMEOUT, RETRIES) as client:

            async def work() -> None:
                while queue:
                    question = queue.popleft()
                    prompt = self.prompts.make(question) if self.prompts else None
                    reply = await self._reply(client, question, prompt)
                    finish = reply.finish if reply.finish in ("length", FILTERED) else "eos"
                    n_tokens = reply.tokens_out if reply.is_counted else None
                    is_cut = prompt is not None and prompt.is_cut
                    write(answer_line(question, reply.text, n_tokens, finish, is_cut, self.model))
                    task.advance()

            await asyncio.gather(*(work() for _ in range(self.n_parallel)))

    async def _reply(self, client: ApiClient, question: Question, prompt: Prompt | None) -> Reply:
        takes_top_k, max_new = self._takes_top_k, prompt.max_new if prompt else self.max_new
        seed = int(uniforms(self.seed, question.id, 1)[0] * (1 << 31))
        body = {
            "model": self.model,
            "max_tokens": max_new,
            "seed": seed,
            **self._sampling(takes_top_k, max_new),
        }
        sample = prompt.sample if prompt else asked(question)
        if self.is_chat:
            outcome = await client.ask("/chat/completions", {"messages": _messages(sample), **body})
        else:
            outcome = await client.ask("/completions", {"prompt": self._text(sample), **body})
        if isinstance(outcome, Reply):
            return outcome
        if outcome.status in REFUSED and "top_k" in outcome.text and takes_top_k:
            self._takes_top_k = False
            return await self._reply(client, question, prompt)
        said = f"no answer to question {question.id!r} from {self.base_url}: {outcome.text}."
        if outcome.status in REFUSED:
            raise ModelError(f"{said} {REFUSAL}")
        advice = (
            "Check --served-model and --base-url."
            if outcome.status
            else "Start the server or correct --base-url."
        )
        raise ModelError(f"{said} {advice} The same command goes on.")

    def _sampling(self, takes_top_k: bool, max_new: int) -> dict[str, Any]:
        sampling = self.sampling
        if sampling.name == "model":
            return {}
        if sampling.temperature is None:
            return {"temperature": 0.0}
        if takes_top_k:
            return {"temperature": sampling.temperature, "top_k": sampling.top_k}
        config = {
            "do_sample": True,
            "temperature": sampling.temperature,
            "top_k": sampling.top_k,
            "max_new_tokens": max_new,
        }
        return {"generation_config": json.dumps(config)}

    def _text(self, sample: Sample) -> str:
        """The prompt as text."""
        assert self.prompts is not None, "the completions API needs the template"
        return "".join(segment.text for segment in self.prompts.encoder.prompter.generation_segments(sample))


def _messages(sample: Sample) -> list[dict[str, str]]:
    return [
        {"role": turn.role, "content": "\n".join(part for part in (turn.text, turn.input) if part)}
        for turn in sample.turns
    ]
