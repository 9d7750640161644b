"""From a question to the prompt that a model answers: the training prompt to the token, cut if too long.

The room: a model reads `context` tokens, prompt and answer together. An answer gets as many of them as it may
have (`max_new_tokens`), but never more than half of them are kept free for it; the prompt gets the rest. A
prompt that is longer is cut from the left of the question's input or, if it has none, of the question itself;
the template stays whole. An answer stops where the context ends.
Cost: a prompt is tokenised once, one that is cut some three to six times.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..data.sample import Sample, Turn
from ..errors import PromptError
from ..text.tokens import Encoder
from .questions import Question

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a model is asked.

    Attributes:
        ids: Its tokens.
        sample: The dialogue as it is asked, that is, after any cutting.
        max_new: Tokens that the answer may have.
        is_cut: Whether the question had to be shortened.
    """

    ids: list[int]
    sample: Sample
    max_new: int
    is_cut: bool


@dataclass(frozen=True)
class Prompts:
    """Makes prompts for one model.

    Attributes:
        encoder: The template and tokenizer of training.
        context: Tokens that the model reads, prompt and answer together; None: no known end.
        max_new: Tokens that an answer may have at most.
    """

    encoder: Encoder
    tokenizer: PreTrainedTokenizerBase
    context: int | None
    max_new: int

    @property
    def room(self) -> int | None:
        """Tokens that a prompt may have; None: any number."""
        return None if self.context is None else self.context - min(self.max_new, self.context // 2)

    def make(self, question: Question) -> Prompt:
        """The prompt of a question; of one of several turns, of the first.

        Raises:
            PromptError: the template refuses the question, or fills the context by itself.
        """
        sample = asked(question)
        ids = self.encoder.encode_prompt(sample)
        room = self.room
        is_cut = room is not None and len(ids) > room
        if room is not None and is_cut:
            sample = self._cut(sample, len(ids) - room, room)
            ids = self.encoder.encode_prompt(sample)
        left = self.max_new if self.context is None else self.context - len(ids)
        return Prompt(ids, sample, min(self.max_new, left), is_cut)

    def _cut(self, sample: Sample, excess: int, room: int) -> Sample:
        """Shorten the question until its prompt has at most `room` tokens: its input, then its text."""
        (turn,) = sample.turns
        while excess > 0 and (turn.input or turn.text):
            rest = self._without_first(turn.input or turn.text, excess)
            turn = replace(turn, input=rest) if turn.input else replace(turn, text=rest)
            excess = len(self.encoder.encode_prompt(Sample((turn,)))) - room
        if excess > 0:
            raise PromptError(
                f"the template alone has {room + excess} tokens, but a prompt may have {room}. Lower "
                f"--max-new-tokens."
            )
        return Sample((turn,))

    def _without_first(self, text: str, n_tokens: int) -> str:
        """A text less its first `n_tokens` tokens, and what is left of a word that was cut in two."""
        offsets = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)[
            "offset_mapping"
        ]
        starts = [start for start, _ in offsets[n_tokens:]]
        rest = text[max(1, starts[0]) :] if starts else ""
        if starts and not text[max(1, starts[0]) - 1].isspace() and not rest[:1].isspace():
            word, _, behind = rest.partition(" ")
            rest = behind if len(word) < 40 else rest
        return rest.lstrip()


def asked(question: Question) -> Sample:
    """The dialogue that asks a question."""
    return Sample((Turn("user", question.turns[0], question.input),))
