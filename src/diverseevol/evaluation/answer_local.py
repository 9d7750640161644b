"""A loaded model that answers by the prompt of training, on all ranks: batches of like length, longest first.

A model reads `context` tokens, prompt and answer together: `max_new_tokens`, but half at most, are kept free
for the answer. A longer prompt is cut from the left of the input or, if it has none, of the question itself;
the template stays whole. Each rank has the whole model and every ranks-th prompt.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..base import dist
from ..base.progress import Task
from ..data.sample import Sample, Turn
from ..errors import ModelError, PromptError
from ..text.tokens import Encoder
from .answer_decode import Chooser, Sampling, decode, uniforms
from .journal import Line
from .questions import Question, answer_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROWS = {"cpu": 64}
ROWS_ELSEWHERE = 128


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked: the tokens, the dialogue after any cutting, and how long the answer may be."""

    ids: list[int]
    sample: Sample
    max_new: int
    is_cut: bool


@dataclass(frozen=True)
class Prompts:
    """Makes prompts for one model by the template of its training; `context` is None where it has no end."""

    encoder: Encoder
    tokenizer: PreTrainedTokenizerBase
    context: int | None
    max_new: int

    def make(self, question: Question) -> Prompt:
        """The prompt of a question; of one of several turns, of the first."""
        sample = asked(question)
        ids = self.encoder.encode_prompt(sample)
        if self.context is None:
            return Prompt(ids, sample, self.max_new, is_cut=False)
        room = self.context - min(self.max_new, self.context // 2)
        is_cut = len(ids) > room
        while len(ids) > room:
            (turn,) = sample.turns
            if not (turn.input or turn.text):
                raise PromptError(
                    f"the template alone has {len(ids)} tokens, but a prompt may have {room}. Lower "
                    f"--max-new-tokens."
                )
            rest = self._without_first(turn.input or turn.text, len(ids) - room)
            sample = Sample((replace(turn, input=rest) if turn.input else replace(turn, text=rest),))
            ids = self.encoder.encode_prompt(sample)
        return Prompt(ids, sample, min(self.max_new, self.context - len(ids)), is_cut)

    def _without_first(self, text: str, n_tokens: int) -> str:
        """A text less its first `n_tokens` tokens, and what is left of a word that was cut in two."""
        found = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        starts = [start for start, _ in found["offset_mapping"][n_tokens:]]
        rest = text[max(1, starts[0]) :] if starts else ""
        if starts and not text[max(1, starts[0]) - 1].isspace() and not rest[:1].isspace():
            word, _, behind = rest.partition(" ")
            rest = behind if len(word) < 40 else rest
        return rest.lstrip()


def asked(question: Question) -> Sample:
    """The dialogue that asks a question."""
    return Sample((Turn("user", question.turns[0], question.input),))


@dataclass
class LocalModel:
    """A model that answers, `n_rows` prompts at once, or as many as memory allows."""

    model: PreTrainedModel
    prompts: Prompts
    sampling: Sampling
    seed: int
    name: str
    n_rows: int | None = None

    def answer(self, questions: Sequence[Question], write: Callable[[Line], None], task: Task) -> None:
        """Answer this rank's part of the questions, which are the same on every rank."""
        self.model.eval()
        lengths = [len(self.prompts.make(question).ids) for question in questions]
        order = sorted(range(len(questions)), key=lambda number: (-lengths[number], number))
        waiting = [questions[number] for number in order[dist.rank() :: dist.world_size()]]
        size = self.n_rows or self._rows_that_fit(max(lengths, default=1) + self.prompts.max_new)
        started, n_tokens = time.perf_counter(), 0

        def count(n_rows: int) -> None:
            nonlocal n_tokens
            n_tokens += n_rows * dist.world_size()
            task.about = f"{n_tokens / max(time.perf_counter() - started, 1e-9):,.0f} tokens/s"

        while waiting:
            answered: set[int | str] = set()
            try:
                for line in self._batch(waiting[:size], count):
                    write(line)
                    answered.add(line["question_id"])
                    task.advance(dist.world_size())
            except torch.OutOfMemoryError:
                if size == 1:
                    raise ModelError(
                        "out of memory answering a single question. Lower --max-new-tokens, or give --dtype "
                        "bfloat16."
                    ) from None
                size = max(1, size // 2)
            waiting = [question for question in waiting if question.id not in answered]

    def _batch(self, questions: Sequence[Question], count: Callable[[int], None]) -> Iterator[Line]:
        """Answer some questions at once, giving the line of each as it ends."""
        prompts = [self.prompts.make(question) for question in questions]
        texts, max_new = [prompt.ids for prompt in prompts], [prompt.max_new for prompt in prompts]
        uniforms_BN = np.stack([uniforms(self.seed, question.id, max(max_new)) for question in questions])
        chooser = Chooser(self.model, self.sampling, texts, uniforms_BN)
        encoder, decoded = self.prompts.encoder, self.prompts.tokenizer.decode
        own = self.model.generation_config.eos_token_id if self.model.generation_config else None
        stops = encoder.stops.union([] if own is None else own if isinstance(own, list) else [own])
        for ended in decode(self.model, texts, max_new, stops, chooser, count):
            # Not the library's skip_special_tokens: thinking's and tools' tokens, and a user's own, are part
            # of what is said.
            ids = [token for token in ended.ids if token not in encoder.frame]
            text = str(decoded(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
            is_cut = prompts[ended.row].is_cut
            yield answer_line(questions[ended.row], text, len(ended.ids), ended.finish, is_cut, self.name)

    def _rows_that_fit(self, n_tokens: int) -> int:
        """Rows whose caches take no more than half of the memory that is left."""
        config = self.model.config.get_text_config()
        n_heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        weight = self.model.get_input_embeddings().weight
        row_bytes = 2 * config.num_hidden_layers * n_heads * width * weight.element_size() * n_tokens
        if weight.device.type == "cuda":
            free = torch.cuda.mem_get_info(weight.device)[0]
        else:
            free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES") // dist.world_size()
        return max(1, min(ROWS.get(weight.device.type, ROWS_ELSEWHERE), int(free // 2 // row_bytes)))
