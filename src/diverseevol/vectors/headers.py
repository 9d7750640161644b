"""What a file of vectors says about itself: where its numbers lie, how many and of what type. Nothing is unpickled.

Sources: the .npy format (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html); safetensors
(https://github.com/huggingface/safetensors#format): eight bytes with the length of a JSON header, the header, the numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..errors import EmbedError

SAFETENSORS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors library


@dataclass(frozen=True, slots=True)
class Layout:
    """A matrix in a file, row after row.

    Attributes:
        path: the file.
        offset: bytes before the first row.
        n_rows: N.
        width: D.
        stored: how a number is stored; for bfloat16 its two bytes as an unsigned integer.
        is_bfloat16: whether these are bfloat16.
    """

    path: Path
    offset: int
    n_rows: int
    width: int
    stored: np.dtype[Any]
    is_bfloat16: bool = False

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.width * self.stored.itemsize

    @property
    def type_name(self) -> str:
        """The type of the numbers and, where it is not the machine's own, their byte order."""
        return "bfloat16" if self.is_bfloat16 else str(self.stored)


def layout_of(path: Path, name: str | None = None) -> Layout:
    """Read the header of a .npy or .safetensors file.

    Args:
        path: the file.
        name: which tensor of a .safetensors; None: its only matrix.

    Raises:
        EmbedError: the file is not there, not readable, not whole, or does not hold the rows of one matrix of numbers.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            layout = _safetensors(path, file, size, name) if path.suffix == ".safetensors" else _npy(path, file)
    except OSError as error:
        raise EmbedError(f"cannot read {path}: {error.strerror or error}. Correct the path or its permissions.") from None
    needed = layout.offset + layout.n_rows * layout.row_bytes
    if size < needed:
        raise EmbedError(f"{path} is cut off: {size:,} bytes, where its header promises {needed:,}. Copy or write it again.")
    return layout


def _npy(path: Path, file: BinaryIO) -> Layout:
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
    except ValueError as error:
        raise EmbedError(f"{path} is no whole .npy file: {error}. Copy or write it again.") from None
    if dtype.kind not in "fiu":
        raise EmbedError(f"{path} holds {dtype}, not numbers. Save an array of float16, float32 or float64.")
    _check_shape(path, shape)
    if is_fortran:
        raise EmbedError(
            f"{path} is stored column by column (Fortran order), so no row can be read alone. Save np.ascontiguousarray(array)."
        )
    return Layout(path, file.tell(), shape[0], shape[1], dtype)


def _safetensors(path: Path, file: BinaryIO, size: int, name: str | None) -> Layout:
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(size - 8, LONGEST_HEADER):
        raise EmbedError(f"{path} is no whole .safetensors file: its header would be {length:,} bytes. Copy or write it again.")
    try:
        header = {key: value for key, value in json.loads(file.read(length)).items() if key != "__metadata__"}
        name = _matrix_name(path, header, name)
        kind, shape, (start, stop) = (header[name][key] for key in ("dtype", "shape", "data_offsets"))
        n_bytes = stop - start
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise EmbedError(f"{path} has a broken header: {type(error).__name__}: {error}. Copy or write it again.") from None
    if kind not in SAFETENSORS:
        raise EmbedError(f"{name!r} of {path} holds {kind}. Known: {', '.join(SAFETENSORS)}; convert it.")
    _check_shape(path, shape)
    layout = Layout(path, 8 + length + start, shape[0], shape[1], np.dtype(SAFETENSORS[kind]), is_bfloat16=kind == "BF16")
    if n_bytes != layout.n_rows * layout.row_bytes:
        raise EmbedError(f"{path} gives {name!r} {n_bytes:,} bytes, which is not {shape} of {kind}. Write it again.")
    return layout


def _matrix_name(path: Path, header: dict[str, Any], name: str | None) -> str:
    matrices = [key for key, value in header.items() if len(value["shape"]) == 2]
    if name is None and len(matrices) == 1:
        return matrices[0]
    known = ", ".join(sorted(header)[:10]) or "none"
    if name is None:
        raise EmbedError(f"{path} holds {len(matrices)} tensors of two axes, not one. Name one as {path}:NAME; it has {known}.")
    if name not in header:
        raise EmbedError(f"{path} has no tensor {name!r}. It has {known}.")
    return name


def _check_shape(path: Path, shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or not all(isinstance(n, int) for n in shape) or shape[0] < 0 or shape[1] < 1:
        raise EmbedError(f"{path} holds an array of the shape {tuple(shape)}. Vectors are rows of one width: the shape (N, D).")
