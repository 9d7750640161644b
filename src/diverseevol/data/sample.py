"""What every format is turned into: a dialogue whose turns say who speaks and what is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a dialogue.

    Attributes:
        role: Who speaks; `tool` is the answer of a tool to an assistant's call.
        text: What is said, exactly as the record has it.
        input: A user turn's separate input, kept apart because the Alpaca template has a slot of its own for
            it.
        is_trained: Whether the loss counts this turn; only ever true for an assistant's.
        tool_calls: The calls an assistant turn makes, as JSON text; empty where there are none.
        thinking: What an assistant thinks before it speaks, where the record keeps it apart from the text.
        call_id: The id of the call that a tool's turn answers, where the record says it.
        name: The name of the tool that answers, where the record says it.
    """

    role: Role
    text: str
    input: str = ""
    is_trained: bool = False
    tool_calls: str = ""
    thinking: str = ""
    call_id: str = ""
    name: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that is thought, said or called in it, in the order in which it is written; no empty text."""
        return tuple(part for part in (self.thinking, self.text, self.input, self.tool_calls) if part)


@dataclass(frozen=True, slots=True)
class Sample:
    """A whole dialogue; `tools` is the JSON text of the tools on offer, empty where there are none."""

    turns: tuple[Turn, ...]
    tools: str = ""


def plain_text(sample: Sample, between: str = "\n") -> str:
    """What is said in a sample, without a template: thinking, texts, inputs and calls, a line apart.

    System turns are left out: most pools repeat theirs in every row, and a model that reads few tokens would
    see nothing else.
    """
    turns = [turn for turn in sample.turns if turn.role != "system"]
    return between.join(part for turn in turns for part in turn.texts)
