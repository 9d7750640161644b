"""Answers of a model behind an OpenAI-compatible address: `vllm serve`, `transformers serve` or any other.

With the Alpaca template the prompt goes to the completions API as text, which the server's tokenizer reads as training did (it adds BOS
by itself); with a chat template the turns go to the chat API and the server renders them. The client retries 429, 5xx and time-outs,
waiting longer each time and as long as Retry-After says. Sampling: `top_k` is a field of vLLM's; a server that refuses it gets
`generation_config`, as `transformers serve` wants it. Each question has a seed of its own; whether answers repeat is the server's affair.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any

from ... import dist
from ...errors import ModelError
from ...pool.sample import Sample
from ...progress import Task
from ..judge.client import NO_KEY, STRUCK_OUT, checked_key, checked_url, openai_package
from ..questions import Question
from .line import Said, answer_line
from .prompts import Prompts, dialogue
from .sampling import Sampling, uniforms

RETRIES = 8
REFUSED = {400, 422}
REFUSAL = "If it is about sampling, give --sampling model or greedy; if about length, a RUN or --model whose tokenizer cuts long questions."


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
    n_turns: int
    n_parallel: int = 8
    timeout: float = 600.0
    _takes_top_k: bool = field(default=True, init=False)
    _openai: Any = field(default=None, init=False)
    _client: Any = field(default=None, init=False)
    _secret: str = field(default="", init=False)

    def answer(self, questions: Sequence[Question], write: Callable[[dict[str, Any]], None], task: Task) -> None:
        """Answer the questions, on rank 0.

        Raises:
            ModelError: the server cannot be reached, or refuses a question.
            PromptError: the template refuses a question.
        """
        if not dist.is_main():
            return
        self._openai, self._secret = openai_package("a served model", ModelError), checked_key(self.key)
        self._client = self._openai.OpenAI(
            base_url=checked_url(self.base_url), api_key=self.key or NO_KEY, max_retries=RETRIES, timeout=self.timeout
        )
        # The client is closed behind its threads: one that is closed under them can leave them waiting for ever.
        with self._client, ThreadPoolExecutor(self.n_parallel, "answer") as threads:
            futures = {threads.submit(self._all_turns, question): question for question in questions}
            try:
                for future in as_completed(futures):
                    write(answer_line(futures[future], future.result(), self.model))
                    task.advance()
            finally:
                threads.shutdown(wait=False, cancel_futures=True)

    def _all_turns(self, question: Question) -> list[Said]:
        said: list[Said] = []
        for turn in range(min(self.n_turns, len(question.turns))):
            answers = tuple(part.text for part in said)
            prompt = self.prompts.make(question, answers) if self.prompts else None
            sample = prompt.sample if prompt else dialogue(question, answers)
            body = {"max_tokens": prompt.max_new if prompt else self.max_new, "seed": self._seed(question, turn)}
            text, finish, n_tokens = self._ask(sample, body, question)
            said.append(Said(text, n_tokens, finish, sample if prompt and prompt.is_cut else None))
        return said

    def _ask(self, sample: Sample, body: dict[str, Any], question: Question) -> tuple[str, str, int | None]:
        takes_top_k = self._takes_top_k
        try:
            reply = self._send(sample, {**body, **self._sampling(takes_top_k, body["max_tokens"])})
            return self._read(reply)
        except self._openai.APIStatusError as error:
            said = self._struck(
                f"{error.status_code} {error.response.text}"
            )  # the client drops bodies that are not in OpenAI's form
            if error.status_code in REFUSED and "top_k" in said and takes_top_k:
                self._takes_top_k = False
                return self._ask(sample, body, question)
            advice = REFUSAL if error.status_code in REFUSED else "Check --served-model and --base-url."
            raise ModelError(f"the server refused question {question.id!r}: {said}. {advice}") from None
        except self._openai.OpenAIError as error:
            cause = error.__cause__ or error
            said = self._struck(f"{type(cause).__name__}: {cause}")
            raise ModelError(
                f"no answer from {self.base_url}: {said}. Start the server or correct --base-url; the same command goes on."
            ) from None
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            raise ModelError(
                f"{self.base_url} did not send an answer to question {question.id!r} but {type(error).__name__}. Is it the right API?"
            ) from None

    def _send(self, sample: Sample, fields: dict[str, Any]) -> Any:  # noqa: ANN401 - the client has no types here
        if self.is_chat:
            return self._client.chat.completions.create(model=self.model, messages=_messages(sample), extra_body=fields)
        return self._client.completions.create(model=self.model, prompt=self._text(sample), extra_body=fields)

    def _read(self, reply: Any) -> tuple[str, str, int | None]:  # noqa: ANN401
        choice = reply.choices[0]
        text = choice.message.content if self.is_chat else choice.text
        n_tokens = reply.usage.completion_tokens if reply.usage else None
        clean = (text or "").encode("utf-8", "backslashreplace").decode()
        return self._kept(clean), "length" if choice.finish_reason == "length" else "eos", n_tokens

    def _sampling(self, takes_top_k: bool, max_new: int) -> dict[str, Any]:
        sampling = self.sampling
        if sampling.name == "model":
            return {}
        if sampling.temperature is None:
            return {"temperature": 0.0}
        if takes_top_k:
            return {"temperature": sampling.temperature, "top_k": sampling.top_k}
        config = {"do_sample": True, "temperature": sampling.temperature, "top_k": sampling.top_k, "max_new_tokens": max_new}
        return {"generation_config": json.dumps(config)}

    def _text(self, sample: Sample) -> str:
        """The prompt as text; EOS behind earlier answers is written out, as the tokenizer reads it."""
        assert self.prompts is not None, "the completions API needs the template"
        eos = str(self.prompts.tokenizer.eos_token)
        segments = self.prompts.encoder.prompter.generation_segments(sample)
        return "".join(segment.text + (eos if segment.ends_turn else "") for segment in segments)

    def _seed(self, question: Question, turn: int) -> int:
        return int(uniforms(self.seed, question.id, turn, 1)[0] * (1 << 31))

    def _struck(self, text: str) -> str:
        return " ".join(self._kept(text).split())[:300].rstrip(".")

    def _kept(self, text: str) -> str:
        return text.replace(self._secret, STRUCK_OUT) if self._secret else text


def _messages(sample: Sample) -> list[dict[str, str]]:
    return [{"role": turn.role, "content": "\n".join(part for part in (turn.text, turn.input) if part)} for turn in sample.turns]
