"""What makes a row a bad one, and how many are too many.

A dialogue can be trained on when it goes: an optional system turn, then a user's, then the assistant's; from there on each
user's and each tool's turn is answered by the assistant, tools (one or several) answer only the assistant, whose call may be in
its text, and nobody else speaks twice in a row. This is what LLaMA-Factory and most chat templates demand, but that a tool never
speaks first. A last turn that nobody answers is read but
never trained on, so it does no harm where an earlier one is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import PoolError
from .sample import Sample, Turn

AFTER: dict[str, tuple[str, ...]] = {
    "": ("system", "user"),
    "system": ("user",),
    "user": ("assistant",),
    "assistant": ("user", "tool"),
    "call": ("tool", "user"),
    "tool": ("tool", "assistant"),
}
N_SHOWN = 5


class RowError(Exception):
    """Why a row cannot be used; caught where rows are read and never seen outside."""


class UnknownRowError(RowError):
    """The row is of no known format."""


def check_sample(sample: Sample) -> None:
    """Check that a sample can be trained on.

    Raises:
        RowError: it cannot, with the reason.
    """
    before = ""
    is_answered = is_trained = False
    for number, turn in enumerate(sample.turns):
        if turn.role not in AFTER[before]:
            raise RowError(_order(turn, number, before))
        text = turn.text
        if "\0" in text or "\0" in turn.input or "\0" in turn.thinking or "\0" in turn.call_id + turn.name:
            raise RowError(f"a NUL character in the {turn.role}'s turn")
        before = turn.role
        if before == "assistant":
            if turn.tool_calls:
                before = "call"
            elif not text or text.isspace():
                raise RowError(
                    "no response"
                    if number == len(sample.turns) - 1
                    else f"empty: turn {number}, the assistant's"
                )
            is_answered, is_trained = True, is_trained or turn.is_trained
        elif before == "user" and (not text or text.isspace()):
            raise RowError(f"empty: turn {number}, the user's")
    if not is_answered:
        raise RowError("no response: the assistant never speaks")
    if not is_trained:
        raise RowError("nothing to train on: the loss of every assistant turn is switched off")


def _order(turn: Turn, number: int, before: str) -> str:
    if turn.role == "system":
        return f"role order: turn {number} is a system turn, but not the first"
    if before in ("", "system"):
        return f"role order: the {turn.role} speaks before the user; take that turn out, or put a user's before it"
    last = "a call of tools" if before == "call" else f"the {before}'s"
    return f"role order: turn {number} is the {turn.role}'s behind {last}"


def check_share(
    n_bad: int, n_read: int, share: float, max_bad: float, first: Sequence[str], file: Path | None
) -> None:
    """Stop where the share of bad rows is larger than allowed.

    Args:
        n_bad: Bad rows.
        n_read: Rows in all.
        share: Their share.
        max_bad: `pool.max_bad`; below 0 where no row is good.
        first: The first bad rows, each with place and reason; five are shown.
        file: Where all of them are written; None: nowhere that stays.

    Raises:
        PoolError: with the count, the share, the first five and what to do.
    """
    if n_bad == 0 or share <= max_bad:
        return
    lines = "".join(f"\n  {line}" for line in first[:N_SHOWN])
    shown = "The first five" if n_bad > N_SHOWN else "They are"
    if max_bad < 0:
        raise PoolError(
            f"not one of {n_read:,} rows is good. {shown}:{lines}\nRepair them, or set pool.format or pool.columns."
        )
    see = f"; all of them are in {file}" if file else ""
    raise PoolError(
        f"{n_bad:,} of {n_read:,} rows are bad ({share:.1%}); pool.max_bad allows {max_bad:.1%}. {shown}:{lines}\n"
        f"Repair or remove them, or raise pool.max_bad{see}."
    )
