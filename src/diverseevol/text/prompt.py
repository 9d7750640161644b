"""From a sample to segments of text, each trained on or not: the Alpaca template, and what a template is.

Source: Stanford Alpaca (https://github.com/tatsu-lab/stanford_alpaca), its two templates to the character;
they end in `### Response:` with nothing behind it, and the target is the output and EOS, directly behind.
What Alpaca does not define follows LLaMA-Factory's `alpaca` template where that has a word for it:

* Dialogues: the preamble once, then `### Instruction:` / `### Input:` / `### Response:` sections, EOS behind
  every assistant turn. The first user turn decides which preamble it is.
* A system turn at the start replaces the preamble; a later one is a `### System:` section.
* Tools on offer are a `### Tools:` section behind the preamble, an assistant's calls JSON text in its own
  turn (behind what it says, on a new line), a tool's answer a `### Observation:` section, which is never
  trained on.

The model's own chat template is in chat_template.py. Which of the tokenizer's added tokens a text may name is
one rule for both: an assistant's text may name all but those that frame turns, a prompt none of those that
are special or that the tokenizer's template writes; what may not stays text. Cost: a few string operations a
sample; no torch, no transformers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol

from ..config import PromptConfig
from ..data.sample import Sample, Turn
from ..errors import PromptError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PREAMBLE = "Below is an instruction that describes a task"
WITH_INPUT = (
    f"{PREAMBLE}, paired with an input that provides further context. Write a response that appropriately "
    "completes the request."
)
WITHOUT_INPUT = f"{PREAMBLE}. Write a response that appropriately completes the request."
RESPONSE = "\n\n### Response:"
HEADINGS = {"system": "System", "tool": "Observation"}
NO_TOKEN = re.compile(r"(?!)")
NOTHING_TRAINED = "no assistant turn of the sample is trained on, so its loss mask would be all zero"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a sample's text.

    Attributes:
        text: The characters.
        is_trained: Whether the loss counts them (and the EOS behind them).
        ends_turn: Whether EOS follows, as an id and not as text.
        is_apart: Whether the text is tokenised apart from what stands before it, so that no token spans the
            border: how a control token's text in a record is kept from becoming that token.
    """

    text: str
    is_trained: bool = False
    ends_turn: bool = False
    is_apart: bool = False


class Prompter(Protocol):
    """A template: what a sample reads like in training, and up to where a model is asked to go on.

    Attributes:
        border: Matches the tokens that frame turns: no text of a record becomes one of them, and they are no
            part of an answer.
        stops: The tokens beside EOS that the template ends an assistant's turn with.
        writes_bos: Whether the segments hold all that stands in front of a text, as the text of tokens.
    """

    @property
    def border(self) -> re.Pattern[str]: ...  # noqa: D102

    @property
    def stops(self) -> tuple[str, ...]: ...  # noqa: D102

    @property
    def writes_bos(self) -> bool: ...  # noqa: D102

    def segments(self, sample: Sample) -> tuple[Segment, ...]:
        """Render a whole sample.

        Raises:
            PromptError: the template cannot express the sample, or nothing in it is trained on.
        """

    def generation_segments(self, sample: Sample) -> tuple[Segment, ...]:
        """Render the prompt that a model answers: everything before the text of the last assistant turn.

        It is the beginning of what `segments` gives for the same sample, so questions are asked as they were
        trained. A sample that does not end in an assistant turn is rendered up to where its answer would
        begin.

        Raises:
            PromptError: the template cannot express the sample.
        """


@dataclass(frozen=True, slots=True)
class AlpacaPrompter:
    """The Alpaca templates; EOS follows every answer, and the tokenizer's own front is put before the text.

    Attributes:
        control: Matches the tokens that stay text in prompts.
        border: Matches the tokens that stay text in answers, too.
    """

    control: re.Pattern[str] = NO_TOKEN
    border: re.Pattern[str] = NO_TOKEN
    stops: tuple[str, ...] = ()
    writes_bos: bool = False

    def segments(self, sample: Sample) -> tuple[Segment, ...]:
        """Render a whole sample, EOS behind every assistant turn.

        Raises:
            PromptError: no assistant turn is trained on, or one keeps its thinking under a key of its own.
        """
        if not any(turn.is_trained for turn in sample.turns):
            raise PromptError(NOTHING_TRAINED)
        for number, turn in enumerate(sample.turns):
            if turn.thinking:
                raise PromptError(
                    f"turn {number} keeps its thinking under a key of its own, for which the Alpaca template "
                    "has no place: put it into the content, or set prompt.template=chat"
                )
        return self._rendered(sample)

    def generation_segments(self, sample: Sample) -> tuple[Segment, ...]:
        """Render everything before the last assistant turn, and `### Response:`."""
        turns = (*before_answer(sample), Turn("assistant", ""))
        return self._rendered(Sample(turns, sample.tools))[:-1]

    def _rendered(self, sample: Sample) -> tuple[Segment, ...]:
        """Text up to each assistant turn and what it says; `text` collects what is not yet in a segment."""
        turns = sample.turns
        first_user = next((turn for turn in turns if turn.role == "user"), None)
        text = WITH_INPUT if first_user and first_user.input else WITHOUT_INPUT
        if turns and turns[0].role == "system":
            text, turns = turns[0].text or text, turns[1:]
        text += f"\n\n### Tools:\n{sample.tools}" if sample.tools else ""
        segments: list[Segment] = []
        for turn in turns:
            if turn.role == "assistant":
                said = "\n".join(filter(None, (turn.text, turn.tool_calls)))
                *parts, last = _apart(said, self.border, turn.is_trained)
                segments += [*_apart(text + RESPONSE, self.control), *parts, replace(last, ends_turn=True)]
                text = ""
            elif turn.role == "user":
                text += f"\n\n### Instruction:\n{turn.text}"
                text += f"\n\n### Input:\n{turn.input}" if turn.input else ""
            else:
                text += f"\n\n### {HEADINGS[turn.role]}:\n{turn.text}"
        return (*segments, *(_apart(text, self.control) if text else ()))


def resolve_template(prompt: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> Literal["alpaca", "chat"]:
    """Say which template `auto` stands for: the model's own where it has one.

    Raises:
        PromptError: `chat` is asked for and the tokenizer has no chat template.
    """
    if prompt.template == "chat" and not tokenizer.chat_template:
        raise PromptError(
            f"prompt.template is 'chat', but the tokenizer of {tokenizer.name_or_path!r} has no chat "
            "template. Set prompt.template=alpaca, or give the tokenizer a chat template."
        )
    return "chat" if prompt.template != "alpaca" and tokenizer.chat_template else "alpaca"


def before_answer(sample: Sample) -> tuple[Turn, ...]:
    """Give the turns that a model answers: all of them, less a last one that is an assistant's."""
    is_answered = bool(sample.turns) and sample.turns[-1].role == "assistant"
    return sample.turns[:-1] if is_answered else sample.turns


def _apart(text: str, tokens: re.Pattern[str], is_trained: bool = False) -> list[Segment]:
    """A text, cut behind the first character of every token that it must not name."""
    cuts = [0, *(token.start() + 1 for token in tokens.finditer(text)), len(text)]
    return [Segment(text[start:end], is_trained, is_apart=start > 0) for start, end in pairwise(cuts)]
