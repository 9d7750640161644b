"""Show a row as people read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from tokenizers.decoders import DecodeStream

from .encoding import TAG, USUAL_TAGS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BORDER = "¦"
"""Stands between the tokens of what reads like a control token and is none."""


def describe(
    ids: Sequence[int] | npt.NDArray[Any],
    mask: Sequence[bool] | npt.NDArray[np.bool_],
    tokenizer: PreTrainedTokenizerBase,
) -> list[tuple[str, bool]]:
    """Decode a row into runs of trained and untrained text.

    Joined and less `BORDER` they are the row's text, special tokens included.

    A character whose tokens are on both sides of a border is shown behind it.
    """
    values = [int(value) for value in ids]
    stream = DecodeStream(skip_special_tokens=False)
    texts = [stream.step(tokenizer.backend_tokenizer, value) or "" for value in values]
    if not values:
        return []
    # Half a character at the end is decoded as U+FFFD.
    text = tokenizer.decode(values, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    texts[-1] += text[len("".join(texts)) :]
    named = [token.content for token in tokenizer.added_tokens_decoder.values() if token.content.strip()]
    names = {*USUAL_TAGS, *TAG.findall(str(tokenizer.chat_template)), *named}
    tags = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    ends = list(accumulate(map(len, texts)))
    inside = {end for tag in tags.finditer(text) for end in ends if tag.start() < end < tag.end()}
    shown = [
        (part + BORDER * (part != "" and end in inside), bool(on))
        for part, end, on in zip(texts, ends, mask, strict=True)
    ]
    return [
        ("".join(part for part, _ in run), is_on) for is_on, run in groupby(shown, key=lambda pair: pair[1])
    ]
