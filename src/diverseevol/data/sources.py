"""From a path or a Hub id to rows: files, folders of them, folders that `datasets` saved, the Hub.

Files of a folder are read in the order of their names. Which of them are a split's follows the Hub's rules:
as the folder's card says, else by the files' names
(https://huggingface.co/docs/hub/datasets-file-names-and-splits and datasets-manual-configuration). Where we
differ: case does not matter, and a file whose name says no split is of train unless another file or folder is
called train and nothing more.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from ..base.files import hash_sampled
from ..base.progress import SILENT, Watch
from ..config import PoolConfig, SourceConfig
from ..errors import PoolError
from .csv_files import csv_rows
from .json_files import TRAIN, check_split, first_character, json_rows, kind_of
from .layouts import fixed_layout
from .sample import Row
from .tables import hub_rows, parquet_rows, saved_rows

JSON_KINDS = (".json", ".jsonl", ".ndjson")
KINDS = (*JSON_KINDS, ".csv", ".tsv", ".parquet")
READ = f"{', '.join(KINDS)}, also with .gz or .zst behind"
N_LISTED = 5
# What lies beside data and is none: dataset_info.json is a description, in `datasets` as in LLaMA-Factory.
BESIDE = re.compile(
    r"_\w*|(readme|licen[sc]e)(\.(md|txt|rst))?|(dataset_infos?|dataset_dict|state)\.json", re.IGNORECASE
)
HUB_ID = re.compile(r"^[\w-][\w.-]*/[\w-][\w.-]*(:[\w.-]+)?$")
NO_SPLIT = ""
SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
}
SPLIT_WORD = re.compile(rf"(?:^|(?<=[-._ 0-9]))({'|'.join(SPLIT_NAMES)})(?=[-._ 0-9]|$)", re.IGNORECASE)
ONLY_TRAIN = re.compile(r"train(ing)?([-._ ]?(\d+|of))*", re.IGNORECASE)
SHARD = re.compile(r"(\w+(?:\.\w+)*)-\d{5}-of-\d{5}")

Splits = dict[str, list[Path]]


def read_source(source: SourceConfig, watch: Watch = SILENT) -> Iterator[Row]:
    """Stream the rows of a source.

    Raises:
        PoolError: there is no such path, and no reachable Hub id of that name; a file cannot be read, is cut
            off or broken, or is of a kind that is not known; there is no such split.
    """
    path, config = _place(source)
    if not path.exists():
        check_source(source)
        return hub_rows(source.path, source.split)
    if path.is_dir():
        return _folder_rows(path, config, source, watch)
    return _file_rows(path, source.path, source, _split_named(Path(*path.parts[-2:])), watch)


def check_source(source: SourceConfig) -> None:
    """Check, without opening anything, that the source is there or may be a Hub id."""
    path, _ = _place(source)
    if path.exists() or (HUB_ID.match(source.path) and kind_of(path) not in KINDS):
        return
    folder, no_pool = path.parent, f"no pool at {source.path!r}"
    if not folder.is_dir():
        raise PoolError(f"{no_pool}: there is not even a folder {str(folder)!r}. Correct pool.path.")
    close = get_close_matches(path.name, [item.name for item in folder.iterdir()], n=3, cutoff=0.5)
    found = f"It has {', '.join(close)}. " if close else ""
    raise PoolError(f"{no_pool}: {str(folder.resolve())!r} has no {path.name!r}. {found}Correct pool.path.")


def _place(source: SourceConfig) -> tuple[Path, str]:
    """Where a source lies, and which configuration of its card is asked for behind a colon."""
    path = Path(source.path)
    name, _, config = source.path.rpartition(":")
    return (Path(name), config) if not path.exists() and name and Path(name).is_dir() else (path, "")


def _file_rows(path: Path, name: str, source: SourceConfig, own_split: str, watch: Watch) -> Iterator[Row]:
    kind = kind_of(path)
    if kind in JSON_KINDS or (kind not in KINDS and first_character(path) in ("{", "[")):
        layout = fixed_layout(source)
        return json_rows(path, name, source.split, own_split, layout.needed() if layout else ())
    check_split(name, source.split, [own_split])
    if kind in (".csv", ".tsv"):
        return csv_rows(path, name, watch)
    if kind == ".parquet":
        return parquet_rows(path, name)
    advice = "Convert it, or rename it if only its name is another."
    raise PoolError(f"{name} is of no kind that is read: {READ}. {advice}")


def _folder_rows(folder: Path, config: str, source: SourceConfig, watch: Watch) -> Iterator[Row]:
    if (folder / "state.json").exists() or (folder / "dataset_dict.json").exists():
        yield from saved_rows(folder, source.path, source.split)
        return
    splits = _splits_of(folder, config, _data_files(folder, watch))
    is_split = splits.keys() != {TRAIN}
    said = {split: f"{split or 'of no split'}: {_listed(files, folder)}" for split, files in splits.items()}
    if is_split and source.split not in splits:
        known = "; ".join(text for split, text in said.items() if split)
        raise PoolError(f"{folder} has no split {source.split!r}. It has {known}. Set pool.split.")
    files = splits[source.split if is_split else TRAIN]
    if is_split and (others := "; ".join(text for split, text in said.items() if split != source.split)):
        read = _listed(files, folder)
        watch.note(f"{folder}: pool.split {source.split!r} is {read}; left out are {others}")
    place = source.path.removesuffix(f":{config}" if config else "").rstrip("/")
    for file in files:
        name = f"{place}/{file.relative_to(folder).as_posix()}"
        yield from _file_rows(file, name, source, source.split if is_split else TRAIN, watch)


def _data_files(folder: Path, watch: Watch) -> list[Path]:
    data: list[Path] = []
    others: list[Path] = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        *folders, name = file.relative_to(folder).parts
        if BESIDE.fullmatch(name) or any(part.startswith(".") for part in (*folders, name)):
            continue
        # Tables of other tools keep their journals in folders such as _delta_log.
        is_data = kind_of(file) in KINDS and not any(part.startswith("_") for part in folders)
        (data if is_data else others).append(file)
    if not data:
        found = f"It has {_listed(others, folder)}. " if others else ""
        raise PoolError(f"the folder {str(folder)!r} holds no data file. {found}Kinds that are read: {READ}.")
    if others:
        why = f"of no kind that is read ({READ}) or in a folder named _…"
        watch.note(f"{folder}: left out {_listed(others, folder)}, {why}")
    return data


def _listed(files: Sequence[Path], folder: Path) -> str:
    names = ", ".join(file.relative_to(folder).as_posix() for file in files[:N_LISTED])
    return names + (f" and {len(files) - N_LISTED:,} more" if len(files) > N_LISTED else "")


def _split_named(file: Path) -> str:
    """The split that a path's folders or its name say, the innermost folder first; empty for none."""
    if file.parent.name == "data" and (shard := SHARD.match(file.name)):
        return shard[1]
    parts = (*reversed(file.parent.parts), file.name)
    words = (word[1].lower() for part in parts if (word := SPLIT_WORD.search(part)))
    return next((SPLIT_NAMES[word] for word in words), NO_SPLIT)


def _splits_of(folder: Path, config: str, files: Sequence[Path]) -> Splits:
    """The files of each split of a folder, of all its data files; under the empty name those of none."""
    said = _said_by_card(folder, config)
    data_dir = folder / posixpath.normpath(str(said.get("data_dir") or "."))
    # One pattern or a list of them (train), [{split, path}], or {split: path}.
    patterns = said.get("data_files", {})
    if isinstance(patterns, list) and all(isinstance(item, dict) for item in patterns):
        patterns = {item.get("split"): item.get("path") for item in patterns}
    splits: Splits = defaultdict(list)
    for split, some in (patterns if isinstance(patterns, dict) else {TRAIN: patterns}).items():
        globs = [_glob(str(pattern)) for pattern in (some if isinstance(some, list) else [some])]
        found = {place for glob in globs for place in data_dir.glob(glob)}
        for file in files:
            if not found.isdisjoint((file, *file.parents)):  # a pattern may name a whole folder
                splits[str(split)].append(file)
    if not splits:
        splits |= _splits_by_name([file for file in files if file.is_relative_to(data_dir)], data_dir)
    named = {file for of_split in splits.values() for file in of_split}
    if others := [file for file in files if file not in named]:
        splits[NO_SPLIT] += others
    return splits


def _glob(pattern: str) -> str:
    """A pattern of the Hub's as pathlib takes it."""
    path = posixpath.normpath(pattern).lstrip("/")
    return "*" if path == "." else re.sub(r"\*\*(?=[^/])", "**/*", path)


def _splits_by_name(files: Sequence[Path], folder: Path) -> Splits:
    # The folder's own name tells whether its files are shards in data/, but not their split.
    own = folder.name if folder.name == "data" else ""
    places = [file.relative_to(folder) for file in files]
    stems = {part for place in places for part in (*place.parent.parts, place.name.partition(".")[0])}
    is_told = any(map(ONLY_TRAIN.fullmatch, stems))
    splits: Splits = defaultdict(list)
    for file, place in zip(files, places, strict=True):
        splits[_split_named(Path(own, place)) or (NO_SPLIT if is_told else TRAIN)].append(file)
    return splits


def _said_by_card(folder: Path, config: str) -> dict[str, Any]:
    """What the card says of a configuration (empty: the default one); nothing where it names none."""
    card = folder / "README.md"
    text = card.read_text("utf-8-sig", errors="replace") if card.is_file() else ""
    try:
        said = yaml.safe_load(text.split("\n---", 1)[0]) if text.startswith("---") else None
    except yaml.YAMLError:
        said = None
    listed = said.get("configs") if isinstance(said, dict) else None
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    configs = {str(item.get("config_name", "default")): item for item in reversed(items)}
    names = ", ".join(reversed(configs))
    if config and config not in configs:
        lacks = f"{folder} has no configuration {config!r}: its card names {names or 'none'}"
        raise PoolError(f"{lacks}. Correct pool.path.")
    default = [name for name in reversed(configs) if configs[name].get("default") or len(configs) == 1]
    wanted = config or next(iter(default), "default")
    if configs and wanted not in configs:
        several = f"{folder} has several configurations: {names}"
        raise PoolError(f"{several}. Name one: {folder}:{next(reversed(configs))}.")
    return configs.get(wanted, {})


def fingerprint(config: PoolConfig) -> str:
    """A short hash of the pool's sources and their mapping of columns, to notice that they have changed.

    Files up to 64 MiB are hashed whole, of larger ones the size and 64 blocks spread over them: seconds at
    most, at the price of missing an edit that keeps the size. Times and places of files do not count. A Hub
    id counts by its name.

    Raises:
        PoolError: a source is not there.
    """
    hashed = hashlib.blake2b(digest_size=8)
    for source in config.all_sources():
        check_source(source)
        # A key of a later version changes nothing.
        said = source.model_dump(mode="json", exclude={"path"}, exclude_defaults=True)
        hashed.update(json.dumps(said, sort_keys=True).encode())
        path, config_name = _place(source)
        hashed.update(config_name.encode())
        if not path.exists():
            hashed.update(source.path.encode())
        for file in [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file()):
            hashed.update(file.relative_to(path).as_posix().encode())
            try:
                hash_sampled(hashed, file)
            except OSError as error:
                raise PoolError(f"cannot read {file}: {error.strerror or error}.") from None
    return hashed.hexdigest()
