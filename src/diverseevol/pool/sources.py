"""From a path or a Hub id to rows: files of any kind, folders of them, folders that `datasets` saved, data sets on the Hub.

Everything streams; memory is bounded by the longest record. Files of a folder are read in the order of their names.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from ..config import PoolConfig, SourceConfig
from ..errors import PoolError, SourceNotFoundError
from ..files import hash_sampled
from ..progress import SILENT, Watch
from .files_in import first_character, kind_of
from .json_files import json_rows
from .row import Row
from .tables import csv_rows, parquet_rows, saved_rows

JSON_KINDS = (".json", ".jsonl", ".ndjson")
KINDS = (*JSON_KINDS, ".csv", ".tsv", ".parquet")
# What lies beside data and is none: dataset_info.json is a description, in `datasets` as in LLaMA-Factory.
BESIDE = re.compile(r"^[._]|^(readme|licen[sc]e|dataset_infos?|dataset_dict|state)\b", re.IGNORECASE)
HUB_ID = re.compile(r"^[\w-][\w.-]*/[\w-][\w.-]*(:[\w.-]+)?$")


def read_source(source: SourceConfig, watch: Watch = SILENT) -> Iterator[Row]:
    """Stream the rows of a source.

    Raises:
        SourceNotFoundError: there is no such path, and no reachable Hub id of that name.
        PoolError: a file cannot be read, is cut off or broken, or is of a kind that is not known.
    """
    path = Path(source.path)
    if not path.exists():
        check_source(source)
        from .hub import hub_rows

        return hub_rows(source.path, source.split)
    if path.is_dir():
        return _folder_rows(path, source, watch)
    return _file_rows(path, source.path, source.split)


def check_source(source: SourceConfig) -> None:
    """Check, without opening anything, that the source is there or may be a Hub id.

    Raises:
        SourceNotFoundError: it is neither.
    """
    path = Path(source.path)
    if path.exists() or (HUB_ID.match(source.path) and kind_of(path) not in KINDS):
        return
    folder = path.parent
    if not folder.is_dir():
        raise SourceNotFoundError(f"no pool at {source.path!r}: there is not even a folder {str(folder)!r}. Correct pool.path.")
    close = get_close_matches(path.name, [item.name for item in folder.iterdir()], n=3, cutoff=0.5)
    found = f"It has {', '.join(close)}. " if close else ""
    raise SourceNotFoundError(
        f"no pool at {source.path!r}: {str(folder.resolve())!r} has no {path.name!r}. {found}Correct pool.path."
    )


def _file_rows(path: Path, name: str, split: str) -> Iterator[Row]:
    kind = kind_of(path)
    if kind in (".csv", ".tsv"):
        return csv_rows(path, name)
    if kind == ".parquet":
        return parquet_rows(path, name)
    if kind in JSON_KINDS or first_character(path) in ("{", "["):
        return json_rows(path, name, split)
    raise PoolError(
        f"{name} is of no kind that is read: {', '.join(KINDS)}, also with .gz or .zst behind. Convert it, or rename it if only its name is another."
    )


def _folder_rows(folder: Path, source: SourceConfig, watch: Watch) -> Iterator[Row]:
    if (folder / "state.json").exists() or (folder / "dataset_dict.json").exists():
        yield from saved_rows(folder, source.path, source.split)
        return
    files = _data_files(folder, watch)
    for file in files:
        name = f"{source.path.rstrip('/')}/{file.relative_to(folder).as_posix()}"
        yield from _file_rows(file, name, source.split)


def _data_files(folder: Path, watch: Watch) -> list[Path]:
    everything = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [path for path in everything if not any(BESIDE.search(part) for part in path.relative_to(folder).parts)]
    data = [path for path in files if kind_of(path) in KINDS]
    others = [path.relative_to(folder).as_posix() for path in files if kind_of(path) not in KINDS]
    if not data:
        found = f"It has {', '.join(others[:5])}. " if others else ""
        raise PoolError(
            f"the folder {str(folder)!r} holds no data file. {found}Kinds that are read: {', '.join(KINDS)}, also with .gz or .zst."
        )
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        watch.note(f"{folder}: left out {', '.join(others[:5])}{more}, which are of no kind that is read ({', '.join(KINDS)})")
    return data


def fingerprint(config: PoolConfig) -> str:
    """A short hash of the pool's sources, to notice that they are not the same any more; the mapping of columns counts too.

    Files up to 64 MiB are hashed whole, of larger ones the size and 64 blocks spread over them: seconds at most, at the
    price of missing an edit that keeps the size. Times and places of files do not count. A Hub id counts by its name.

    Raises:
        SourceNotFoundError: a source is not there.
    """
    hashed = hashlib.blake2b(digest_size=8)
    for source in config.all_sources():
        check_source(source)
        said = source.model_dump(mode="json", exclude={"path"}, exclude_defaults=True)  # a key of a later version changes nothing
        hashed.update(json.dumps(said, sort_keys=True).encode())
        path = Path(source.path)
        if not path.exists():
            hashed.update(source.path.encode())
        for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
            hashed.update(file.relative_to(path).as_posix().encode())
            try:
                hash_sampled(hashed, file)
            except OSError as error:
                raise PoolError(f"cannot read {file}: {error.strerror or error}.") from None
    return hashed.hexdigest()
