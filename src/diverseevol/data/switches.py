"""What a message, a part of one, or a whole row says about being trained on.

The names are those of OpenAI's and Mistral's fine-tuning (`weight`), axolotl (`train`, `training`,
`train_detail`), ms-swift and XTuner (`loss`, `loss_scale`, `output_with_loss`), LLaMA-Factory
(`loss_weight`), verl and slime (`loss_mask`, `step_loss_mask`) and torchtune (`masked`, which is the other
way round). They are followed where they say yes or no for a whole turn; anything else that has to do with
training, a loss, a weight or a mask is a reason to put the row aside.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

from .row import RowError

FOLLOWED = re.compile(
    "(is_)?train(ed|ing|able)?|train_on(_turn)?|weight|(step_)?loss(_weight|_scale|_mask)?|output_with_loss"
    "|(calculate|compute)_loss"
)
REVERSED = re.compile("(is_)?masked|(ignore|no)_loss")
ABOUT = re.compile("(?<![a-z])(train(ed|ing|able)?|weights?|loss|mask(ed)?)(?![a-z])")
WORDS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


@lru_cache(maxsize=4096)
def switch_kind(key: str) -> Literal["followed", "reversed", "unclear", ""]:
    """How a key switches training; empty where it has nothing to do with it."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower()
    if FOLLOWED.fullmatch(name):
        return "followed"
    if REVERSED.fullmatch(name):
        return "reversed"
    return "unclear" if ABOUT.search(name) else ""


def switch_value(value: Any) -> bool | None:  # noqa: ANN401 - any JSON value
    """What a switch's value says; None where it is neither yes nor no."""
    if isinstance(value, str):
        return WORDS.get(value.strip().lower())
    return bool(value) if isinstance(value, (int, float)) and value in (0, 1) else None


def is_switched_on(message: dict[str, Any], parts: list[Any], number: int) -> bool:
    """Whether an assistant's message is to be trained on: unless it or all of its parts are switched off.

    Args:
        message: The message.
        parts: What it consists of: blocks of text, calls.
        number: Its number among the turns.

    Raises:
        RowError: a switch says neither yes nor no, two contradict each other, or only a part is switched off.
    """
    of_turn = _switches(message, number)
    of_parts = [_switches(part, number) if isinstance(part, dict) else [] for part in parts if part]
    said = [*of_turn, *(one for part in of_parts for one in part)]
    on, off = [key for key, is_on in said if is_on], [key for key, is_on in said if not is_on]
    if len({is_on for _, is_on in of_turn}) > 1:
        raise RowError(f"turn {number} is switched on by {on[0]!r} and off by {off[0]!r}")
    if off and (on or not (of_turn or all(of_parts))):
        raise RowError(f"turn {number} has a part that {off[0]!r} switches off; only a whole turn can be")
    return not off


def check_row_is_on(record: dict[str, Any], keys: tuple[str, ...]) -> None:
    """Check that no key of a record, which has these keys, switches off the row, or parts of it by a list.

    Raises:
        RowError: one does.
    """
    for key, kind in _about(keys):
        value, off = record[key], kind == "reversed"
        if isinstance(value, list):
            said = {switch_value(one) for one in value}
            if None not in said and (off in said or (kind == "unclear" and len(said) > 1)):
                parts = "parts of the row off; write train: true or false in its turns"
                raise RowError(f"{key} {str(value)[:40]} switches {parts}")
        elif kind != "unclear" and switch_value(value) is off:
            raise RowError(f"{key} {str(value)[:40]} switches the row off")


@lru_cache(maxsize=4096)
def _about(keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((key, kind) for key in keys if (kind := switch_kind(key)))


def _switches(holder: dict[str, Any], number: int) -> list[tuple[str, bool]]:
    """The switches of a message, a part of it or a call, each with whether it is to be trained on."""
    function = holder.get("function")
    found = []
    for key, value in {**holder, **(function if isinstance(function, dict) else {})}.items():
        kind = switch_kind(key)
        if not kind or value is None or value in ("", [], {}):
            continue
        if kind == "unclear":
            why = "which cannot be followed; write train: true or false for whole turns"
            raise RowError(f"turn {number} has {key}, {why}")
        said = switch_value(value)
        if said is None:
            raise RowError(f"turn {number} has {key} {value!r}; only 0 and 1 can be followed")
        found.append((key, said is (kind == "followed")))
    return found
