"""A sample's text in the parts that are compared: what is asked, the separate input, what is answered."""

from __future__ import annotations

from ..sample import Sample
from .normal import plain


def compared_parts(sample: Sample) -> tuple[str, str, str]:
    """The parts of which each must be alike in near-duplicates, in the form that is compared.

    One text for all would call two questions about the same long passage duplicates.
    """
    asked = (turn.text for turn in sample.turns if turn.role != "assistant")
    inputs = (turn.input for turn in sample.turns)
    answered = (f"{turn.text}\n{turn.tool_calls}" for turn in sample.turns if turn.role == "assistant")
    return plain("\n".join(asked)), plain("\n".join(inputs)), plain("\n".join(answered))
