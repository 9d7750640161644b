"""Answers of a loaded model, on all ranks: batches of prompts of like length, longest first.

Each rank has the whole model and every ranks-th prompt of the order by length. A batch that does not fit in
memory is asked again in halves. One prompt at a time reads all weights for each token; a batch reads them
once for all its rows (benchmarks/answer.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..base import dist
from ..base.progress import Task
from ..errors import ModelError
from .answer_choose import Chooser, Sampling, uniforms
from .answer_decode import decode
from .answer_file import answer_line
from .answer_prompts import Prompts
from .journal import Line
from .questions import Question

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROWS = {"cpu": 64}
ROWS_ELSEWHERE = 128
Write = Callable[[Line], None]


@dataclass
class LocalModel:
    """A model that answers.

    Attributes:
        name: What the lines call it.
        n_rows: Prompts a batch at most; None: by the memory at hand.
    """

    model: PreTrainedModel
    prompts: Prompts
    sampling: Sampling
    seed: int
    name: str
    n_rows: int | None = None
    _n_tokens: int = field(default=0, init=False)
    _started: float = field(default=0.0, init=False)

    def answer(self, questions: Sequence[Question], write: Write, task: Task) -> None:
        """Answer this rank's part of the questions, which are the same on every rank.

        Raises:
            PromptError: the template refuses a question.
            ModelError: a single prompt does not fit in memory.
            NonFiniteError: the model computes NaN.
        """
        self.model.eval()
        lengths = [len(self.prompts.make(question).ids) for question in questions]
        order = sorted(range(len(questions)), key=lambda number: (-lengths[number], number))
        waiting = [questions[number] for number in order[dist.rank() :: dist.world_size()]]
        size = self.n_rows or self._rows_that_fit(max(lengths, default=1) + self.prompts.max_new)
        self._n_tokens, self._started = 0, time.perf_counter()
        while waiting:
            answered: set[int | str] = set()

            try:
                for question, line in self._batch(waiting[:size], task):
                    write(line)
                    answered.add(question.id)
                    task.advance(dist.world_size())
            except torch.OutOfMemoryError:
                if size == 1:
                    raise ModelError(
                        "out of memory answering a single question. Lower --max-new-tokens, or give --dtype "
                        "bfloat16."
                    ) from None
                size = max(1, size // 2)
            waiting = [question for question in waiting if question.id not in answered]

    def _batch(self, questions: Sequence[Question], task: Task) -> Iterator[tuple[Question, Line]]:
        """Answer some questions at once, giving each as it ends."""
        prompts = [self.prompts.make(question) for question in questions]
        texts, max_new = [prompt.ids for prompt in prompts], [prompt.max_new for prompt in prompts]
        uniforms_BN = np.stack([uniforms(self.seed, question.id, max(max_new)) for question in questions])
        chooser = Chooser(self.model, self.sampling, texts, uniforms_BN)

        def count(n_rows: int) -> None:
            self._n_tokens += n_rows
            seconds = time.perf_counter() - self._started
            task.about = f"{self._n_tokens * dist.world_size() / max(seconds, 1e-9):,.0f} tokens/s"

        for ended in decode(self.model, texts, max_new, self._stops(), chooser, count):
            # Not the library's skip_special_tokens: thinking's and tools' tokens, and a user's own, are part
            # of what is said.
            ids = [token for token in ended.ids if token not in self.prompts.encoder.frame]
            text = str(
                self.prompts.tokenizer.decode(
                    ids, skip_special_tokens=False, clean_up_tokenization_spaces=False
                )
            )
            question, is_cut = questions[ended.row], prompts[ended.row].is_cut
            yield question, answer_line(question, text, len(ended.ids), ended.finish, is_cut, self.name)

    def _stops(self) -> set[int]:
        """What ends an answer: EOS, the template's end of a turn, and all that generation_config names."""
        own = self.model.generation_config.eos_token_id if self.model.generation_config else None
        return self.prompts.encoder.stops.union(
            [] if own is None else own if isinstance(own, list) else [own]
        )

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
