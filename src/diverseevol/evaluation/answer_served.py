"""Answers of a model behind an OpenAI-compatible address: `vllm serve`, `transformers serve` or any other.

With the Alpaca template the prompt goes to the completions API as text, which the server's tokenizer reads as
training did (it adds BOS by itself); with a chat template the turns go to the chat API and the server renders
them. `top_k` is a field of vLLM's; a server that refuses it gets `generation_config`, as `transformers serve`
wants it. Each question has a seed of its own; whether answers repeat is the server's affair.
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
from ..config.verbs import AnswerConfig
from ..errors import ModelError
from .answer_decode import SAMPLINGS, uniforms
from .answer_local import Prompt, Prompts, asked
from .api import FILTERED, ApiClient, Reply
from .journal import Line
from .questions import Question, answer_line

PAPER = SAMPLINGS["paper"]
REFUSED = {400, 422}
RETRIES = 6
TIMEOUT = 600.0


@dataclass
class ServedModel:
    """A server's model that answers.

    Without `prompts` the server's own template is used, and nothing is cut. The key is sent there and appears
    nowhere else.
    """

    given: AnswerConfig
    key: str | None
    prompts: Prompts | None
    is_chat: bool  # turns are sent, not text
    _takes_top_k: bool = field(default=True, init=False)

    def answer(self, questions: Sequence[Question], write: Callable[[Line], None], task: Task) -> None:
        """Answer the questions, on rank 0."""
        queue, model = deque(questions), str(self.given.served_model)

        async def work(client: ApiClient) -> None:
            while queue:
                question = queue.popleft()
                prompt = self.prompts.make(question) if self.prompts else None
                reply = await self._reply(client, question, prompt)
                finish = reply.finish if reply.finish in ("length", FILTERED) else "eos"
                n_tokens = reply.tokens_out if reply.is_counted else None
                is_cut = prompt is not None and prompt.is_cut
                write(answer_line(question, reply.text, n_tokens, finish, is_cut, model))
                task.advance()

        async def work_at_once() -> None:
            async with ApiClient(self.given.base_url, self.key, TIMEOUT, RETRIES) as client:
                await asyncio.gather(*(work(client) for _ in range(self.given.concurrency)))

        if dist.is_main():
            asyncio.run(work_at_once())

    async def _reply(self, client: ApiClient, question: Question, prompt: Prompt | None) -> Reply:
        takes_top_k, max_new = self._takes_top_k, prompt.max_new if prompt else self.given.max_new_tokens
        seed, sampling = int(uniforms(self.given.seed, question.id, 1)[0] * (1 << 31)), self.given.sampling
        body: dict[str, Any] = {"model": self.given.served_model, "max_tokens": max_new, "seed": seed}
        drawing = {"temperature": PAPER.temperature, "top_k": PAPER.top_k}
        if sampling == "greedy":
            body["temperature"] = 0.0
        elif sampling == "paper" and takes_top_k:
            body |= drawing
        elif sampling == "paper":
            body["generation_config"] = json.dumps({"do_sample": True, **drawing, "max_new_tokens": max_new})
        sample = prompt.sample if prompt else asked(question)
        if self.is_chat:
            texts = [(turn.role, [part for part in (turn.text, turn.input) if part]) for turn in sample.turns]
            said = [{"role": role, "content": "\n".join(parts)} for role, parts in texts]
            outcome = await client.ask("/chat/completions", {"messages": said, **body})
        else:
            assert self.prompts is not None, "the completions API needs the template"
            segments = self.prompts.encoder.prompter.generation_segments(sample)
            outcome = await client.ask(
                "/completions", {"prompt": "".join(segment.text for segment in segments), **body}
            )
        if isinstance(outcome, Reply):
            return outcome
        if outcome.status in REFUSED and "top_k" in outcome.text and takes_top_k:
            self._takes_top_k = False
            return await self._reply(client, question, prompt)
        advice = "Start the server or correct --base-url. The same command goes on."
        if outcome.status in REFUSED:
            advice = (
                "If it is about sampling, give --sampling model or greedy; if about length, a RUN or --model "
                "whose tokenizer cuts long questions."
            )
        elif outcome.status:
            advice = "Check --served-model and --base-url. The same command goes on."
        raise ModelError(
            f"no answer to question {question.id!r} from {self.given.base_url}: {outcome.text}. {advice}"
        )
