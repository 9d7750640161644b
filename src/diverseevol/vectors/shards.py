"""Which files a path means: one file, or the shards of a folder in their natural order, with none missing."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from ..base.files import expanded
from ..errors import EmbedError

MATRICES = (".npy", ".safetensors")
TABLE = ".parquet"
KINDS = (*MATRICES, TABLE)
OF = re.compile(r"(?P<head>.*?)(?P<number>\d+)(?P<tail>-of-(?P<total>\d+).*)", re.DOTALL)  # model-00002-of-00005.npy
PLAIN = re.compile(r"(?P<head>.*?)(?P<number>\d+)(?P<tail>\D*)", re.DOTALL)  # part-12.npy


def split_name(path: str | Path) -> tuple[Path, str | None]:
    """Split `PATH:NAME` into the path and the name inside it; None without one.

    Raises:
        EmbedError: there is no such file or folder.
    """
    whole = Path(expanded(str(path)))
    if whole.exists():
        return whole, None
    place, colon, name = str(whole).rpartition(":")
    if colon and name and Path(place).exists():
        return Path(place), name
    raise EmbedError(f"there are no vectors at {str(path)!r}: no such file or folder. Correct the path.")


def files_of(place: Path) -> list[Path]:
    """The files that a path means, all of one kind, in the order of their rows.

    In a folder that holds matrices (.npy or .safetensors), Parquet files are something else, such as signals.

    Raises:
        EmbedError: no file of a known kind, files of two kinds, or a gap in their numbers.
    """
    if not place.is_dir():
        if place.suffix not in KINDS:
            raise EmbedError(f"{place} is of no known kind: {', '.join(KINDS)}, or a folder of such files. Convert or rename it.")
        return [place]
    files = [path for path in place.iterdir() if path.suffix in KINDS and path.is_file() and not path.name.startswith(".")]
    kinds = sorted({path.suffix for path in files})
    if not kinds:
        raise EmbedError(f"the folder {place} holds no vectors. Known kinds of files: {', '.join(KINDS)}.")
    if set(MATRICES) <= set(kinds):
        raise EmbedError(f"the folder {place} holds {' and '.join(MATRICES)} files. Name one file, or take one kind away.")
    files = sorted((path for path in files if path.suffix == kinds[0]), key=_natural)
    _check_numbers(place, [path.name for path in files])
    return files


def _natural(path: Path) -> list[str | int]:
    """Sorts part-9 before part-10."""
    return [int(piece) if pos % 2 else piece for pos, piece in enumerate(re.split(r"(\d+)", path.name))]


def _check_numbers(folder: Path, names: list[str]) -> None:
    groups: dict[tuple[str, str, str | None], list[str]] = defaultdict(list)
    for name in names:
        match = OF.fullmatch(name) or PLAIN.fullmatch(name)
        if match:
            groups[match["head"], match["tail"], match.groupdict().get("total")].append(match["number"])
    for (head, tail, total), found in groups.items():
        numbers = {int(number) for number in found}
        missing = sorted(_expected(numbers, total) - numbers)
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            name = f"{head}{missing[0]:0{len(found[0])}}{tail}"
            raise EmbedError(f"the folder {folder} has no shard {name}{more}, but {len(found)} like it. Put it there.")


def _expected(numbers: set[int], total: str | None) -> set[int]:
    """The numbers that there should be: all of a known total, else all up to the highest if they begin with 0 or 1."""
    if total is not None:
        first = 1 if max(numbers) == int(total) else 0
        return set(range(first, first + int(total)))
    return set(range(min(numbers), max(numbers) + 1)) if min(numbers) <= 1 else numbers
