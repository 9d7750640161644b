"""Atomic writes: a file is either the old one or the complete new one, whatever kills the process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, RunFolderError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydantic import TypeAdapter

BLOCK = 1 << 20  # bytes


def expanded(path: str) -> str:
    """A path with `~`, `~user`, `$NAME` and `${NAME}` replaced as a shell would; a Hub id stays what it is.

    Raises:
        ConfigError: there is no such user or variable, and nothing of that very name either.
    """
    text = os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111 - the rest stays as it is written
    unknown = re.match(r"~[^/]*", text) or re.search(r"\$(\w+|\{[^}]*\})", text)
    if not unknown:
        return text
    if Path(path).exists():
        return path
    raise ConfigError(f"{path!r} cannot be expanded: this machine has no {unknown[0]}. Write the path out.")


@contextmanager
def replacing(path: Path, is_synced: bool = True) -> Iterator[Path]:
    """Hand out a temporary path beside `path`; on success it is synced and takes `path`'s place.

    The name is fixed: what a killed process left behind is overwritten by the next try. Without `is_synced`
    the disk is not waited for: others read the old or the new, but a power cut may lose it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    remove(partial)
    try:
        yield partial
    except BaseException:
        remove(partial)
        raise
    if is_synced:
        _sync(*(file for file in [partial, *partial.rglob("*")] if file.is_file()))
    if path.is_dir():
        # A folder cannot be renamed over a full one; the old one steps aside first.
        old = path.with_name(path.name + ".old")
        remove(old)
        path.rename(old)
        partial.rename(path)
        remove(old)
    else:
        partial.replace(path)
    if is_synced:
        _sync(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with replacing(path) as partial:
        partial.write_text(text, "utf-8")


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write a JSON file atomically; NaN is refused, for no other reader knows it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_jsonl(path: Path, lines: Iterable[Any]) -> None:
    """Write a file of JSON values atomically, one a line; NaN is refused likewise."""
    write_text(path, "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines))


REMAKE = "Delete it, and the same command makes it again."


def read_json(path: Path, shape: Any = dict[str, Any], remedy: str = REMAKE) -> Any:  # noqa: ANN401
    """Read a JSON file of a run folder whose value has the type `shape`, as pydantic checks it.

    Raises:
        RunFolderError: it is not JSON or holds something else; `remedy` says what to do.
    """
    return _checked(path, path.read_bytes(), shape, str(path), remedy)


def read_jsonl(
    path: Path,
    shape: Any = dict[str, Any],  # noqa: ANN401 - any type
    remedy: str = REMAKE,
) -> Iterator[Any]:
    """Read a file of JSON values, one a line.

    Raises:
        RunFolderError: likewise; the message names the line.
    """
    # Lines end at \n alone, since JSON's texts may hold every other line end of Unicode.
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield _checked(path, line, shape, f"{path} line {number}", remedy)


def _checked(path: Path, text: bytes, shape: Any, place: str, remedy: str) -> Any:  # noqa: ANN401 - any JSON
    from pydantic import ValidationError  # --help need not wait for it

    try:
        value = json.loads(text)
        _adapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise damaged(place, ": ".join([*map(str, first["loc"]), first["msg"]]), remedy) from None
    except (ValueError, RecursionError) as error:
        raise damaged(place, error, remedy) from None
    return value


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - any type
    from pydantic import TypeAdapter

    return TypeAdapter(shape)


def load_array(path: Path, remedy: str = REMAKE) -> NDArray[Any]:
    """Map an .npy file of a run folder, read-only.

    Raises:
        RunFolderError: it is not whole, or something else.
    """
    import numpy as np

    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise damaged(path, error, remedy) from None
    return array


def damaged(place: object, why: object, remedy: str = REMAKE) -> RunFolderError:
    """The error of a file of a run folder that cannot be what was written there."""
    return RunFolderError(f"{place} is damaged: {' '.join(str(why).split())[:200]}. {remedy}")


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def hash_sampled(hashed: hashlib.blake2b, path: Path, n_blocks: int = 64) -> None:
    """Add a file to a hash: its size and, where it is large, `n_blocks` blocks spread over it."""
    size = path.stat().st_size
    hashed.update(f"{size}\0".encode())
    step = BLOCK if size <= n_blocks * BLOCK else (size - BLOCK) // (n_blocks - 1)
    with path.open("rb") as file:
        for start in range(0, size, step):
            file.seek(start)
            hashed.update(file.read(BLOCK))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for item in [path] if path.is_file() else path.rglob("*"):
        with suppress(FileNotFoundError):
            total += item.stat().st_size if item.is_file() else 0
    return total


def _sync(*paths: Path) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
