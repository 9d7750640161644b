"""Texts as they are compared: without what two people write differently who mean the same.

`plain` keeps the text's order and signs: Unicode's compatibility form (NFKC), case folded, blanks made one,
and the punctuation at the edges of words dropped; "5-3" and "5+3", "3.5" and "35" stay different. `words`
keeps letters and digits alone, for phrases that must be found whatever stands between their words; scripts
that set no blanks between words give a word a character. `shingles` are runs of characters, which suit every
script.
"""

from __future__ import annotations

import re
import unicodedata

WIDTH = 5
"""Characters of a shingle."""
# Sentences' signs, not those of formulas. Chinese and Japanese stops, between letters, always go.
SIGNS = r"""[.,;:!?"'`…‘’“”«»„¿¡]"""
EDGES = re.compile(rf"(?<!\w){SIGNS}+|{SIGNS}+(?!\w)|[。、「」『』・]")
# Han, kana, Thai, Lao, Khmer and Burmese.
UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0x20000, 0x3FFFF),
)


class _Letters(dict[int, str]):
    """What each character becomes in `words`, found out when it is first met."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        if unicodedata.category(letter)[0] not in "LMN":
            letter = " "
        elif any(low <= code <= high for low, high in UNSPACED):
            letter = f" {letter} "
        self[code] = letter
        return letter


_LETTERS = _Letters()


def plain(text: str) -> str:
    """A text in lower case, without sentence punctuation and superfluous blanks."""
    return " ".join(EDGES.sub(" ", _folded(text)).split())


def words(text: str) -> list[str]:
    """A text's words, in lower case; empty where it has neither letters nor digits."""
    return _folded(text).translate(_LETTERS).split()


def shingles(text: str) -> set[str]:
    """A text's runs of `WIDTH` characters; a shorter text is filled up with blanks, an empty one has none."""
    filled = text.ljust(WIDTH) if text else ""
    return {filled[at : at + WIDTH] for at in range(len(filled) - WIDTH + 1)}


def _folded(text: str) -> str:
    # The compatibility form may bring capitals back (㎏ is not kg before it); ASCII is its own.
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
