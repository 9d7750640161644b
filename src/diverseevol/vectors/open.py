"""From a path to vectors whose rows are read on demand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..base import dist
from ..base.files import remove
from ..base.progress import SILENT, Watch
from ..errors import EmbedError
from .file_vectors import FileVectors
from .headers import Layout, layout_of
from .shards import MATRICES, TABLE, files_of, split_name


def open_vectors(path: str | Path, scratch_dir: str | Path | None = None, watch: Watch = SILENT) -> FileVectors:
    """Open vectors for selection without reading them into memory; under several processes every rank calls it.

    Args:
        path: a .npy; a .safetensors, or `FILE:NAME` for one of its tensors; a Parquet file, or `FILE:COLUMN` for one of its list
            columns; or a folder of one of these kinds, whose files are taken in the natural order of their names.
        scratch_dir: where the vectors of Parquet are copied to, which takes N·D numbers; None: where they lie. The copy is
            deleted as soon as it is open, and its room is free again when the vectors are let go.
        watch: is shown how far the copy is.

    Raises:
        EmbedError: a file is not there, not readable, cut off, or does not hold rows of numbers; shards are missing, or differ in
            width or type; or there is no room for the copy.
    """
    place, name = split_name(path)
    files = files_of(place)
    folder = place if place.is_dir() else place.parent
    if files[0].suffix == TABLE:
        return _open_copy(files, name, folder, Path(scratch_dir) if scratch_dir else folder, watch)
    if name is not None and files[0].suffix == MATRICES[0]:
        raise EmbedError(f"{place} has no names inside, so {name!r} names nothing. Give {place} alone.")
    layouts = [layout_of(file, name) for file in files]
    _check_alike(layouts)
    return FileVectors(layouts, folder)


def _open_copy(files: Sequence[Path], column: str | None, folder: Path, scratch_dir: Path, watch: Watch) -> FileVectors:
    from .parquet import copy_to_npy

    copy = dist.on_main(lambda: copy_to_npy(files, column, scratch_dir, watch))
    try:
        return FileVectors([layout_of(copy)], folder)
    finally:
        dist.barrier()
        if dist.is_main():
            remove(copy)  # what is open can be read all the same


def _check_alike(layouts: Sequence[Layout]) -> None:
    first = layouts[0]
    for layout in layouts:
        if (layout.width, layout.type_name) != (first.width, first.type_name):
            raise EmbedError(
                f"{layout.path} has {layout.width} numbers of {layout.type_name} a row, "
                f"{first.path.name} {first.width} of {first.type_name}. Shards must be alike; convert it."
            )
    if not sum(layout.n_rows for layout in layouts):
        raise EmbedError(f"{first.path} holds no rows. Give vectors.")
