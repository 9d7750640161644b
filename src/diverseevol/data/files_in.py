"""Opening what holds records, plain, .gz or .zst, as bytes or as text; what is wrong with a file is said.

pyarrow unpacks: it checks to the last byte, where zstandard's own reader takes a file that was cut off for a
shorter one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import pyarrow as pa

from ..errors import PoolError

CHUNK = 1 << 20
N_LOOKED_AT = 4096  # characters at once
PACKED = {".gz": "gzip", ".zst": "zstd", ".zstd": "zstd"}


def kind_of(path: Path) -> str:
    """A file's kind by its name, less the packing: `.jsonl` for a.jsonl.gz; empty where it has none."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, unpacked.

    Raises:
        PoolError: it may not be read, is cut off or damaged, or is UTF-16; also while the caller reads from
            it.
    """
    try:
        with path.open("rb", buffering=CHUNK) as raw:
            file: Any = raw
            if packing := PACKED.get(path.suffix.lower()):
                file = io.BufferedReader(pa.CompressedInputStream(raw, packing), CHUNK)
            start = file.peek(4)[:4]
            # Without a mark, the first characters, of ASCII in JSON and in most tables, have a zero each.
            zeros = [byte == 0 for byte in start]
            if start[:2] in (b"\xff\xfe", b"\xfe\xff") or zeros in ([True, False] * 2, [False, True] * 2):
                raise PoolError(f"{path} is UTF-16 text. Save it as UTF-8: iconv -f UTF-16 -t UTF-8.")
            yield file
    except OSError as error:
        if error.errno is not None:
            raise PoolError(f"cannot read {path}: {error.strerror or error}.") from None
        if "Truncated" in str(error):
            why = "is cut off: its compressed data ends in the middle. Copy or download it again."
        else:
            why = f"cannot be unpacked: {error}. Copy or download it again, or correct its name's ending."
        raise PoolError(f"{path} {why}") from None


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    r"""Open a file as UTF-8 text whose lines end at \n alone, without a byte order mark.

    Bytes that are not UTF-8 become lone surrogates.

    Raises:
        PoolError: as `open_bytes`.
    """
    with (
        open_bytes(path) as file,
        io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="\n") as text,
    ):
        yield text


def first_character(path: Path) -> str:
    """A file's first character that is no blank; empty where there is none.

    Raises:
        PoolError: as `open_bytes`.
    """
    with open_text(path) as file:
        parts = iter(lambda: file.read(N_LOOKED_AT), "")
        return next((part.lstrip()[0] for part in parts if part.strip()), "")
