"""Show a row as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def describe(
    ids: Sequence[int] | npt.NDArray[Any], mask: Sequence[bool] | npt.NDArray[np.bool_], tokenizer: PreTrainedTokenizerBase
) -> list[tuple[str, bool]]:
    """Decode a row into runs of trained and untrained text; joined they are the row's text, special tokens included.

    A character whose tokens are on both sides of a border is shown behind it.
    """
    values = [int(value) for value in ids]
    flags = np.asarray(mask, dtype=np.bool_)
    if not values:
        return []
    borders = [*(np.flatnonzero(flags[1:] != flags[:-1]) + 1).tolist(), len(values)]
    text = tokenizer.decode(values, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    pieces = []
    start = 0
    for border in borders:
        before = tokenizer.decode(values[:border], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        # Half a character is decoded as U+FFFD.
        end = len(text) if border == len(values) else max(start, len(before.rstrip("\ufffd")))
        pieces.append((text[start:end], bool(flags[border - 1])))
        start = end
    return pieces
