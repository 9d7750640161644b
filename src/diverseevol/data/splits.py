"""Which files of a folder are a split's, by the Hub's rules: as its card says, else by the files' names.

Source: https://huggingface.co/docs/hub/datasets-file-names-and-splits and datasets-manual-configuration.
Where we differ: case does not matter, and a file whose name says no split is of train unless another file or
folder is called train and nothing more.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ..errors import PoolError

TRAIN, NONE = "train", ""
NAMES = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
NAMES |= dict.fromkeys(("validation", "valid", "val", "dev"), "validation")
WORD = re.compile(rf"(?:^|(?<=[-._ 0-9]))({'|'.join(NAMES)})(?=[-._ 0-9]|$)", re.IGNORECASE)
ONLY_TRAIN = re.compile(r"train(ing)?([-._ ]?(\d+|of))*", re.IGNORECASE)
SHARD = re.compile(r"(\w+(?:\.\w+)*)-\d{5}-of-\d{5}")

Splits = dict[str, list[Path]]


def split_named(file: Path) -> str:
    """The split that a path's folders or its name say, the innermost folder first; empty for none."""
    if file.parent.name == "data" and (shard := SHARD.match(file.name)):
        return shard[1]
    parts = (*reversed(file.parent.parts), file.name)
    return next((NAMES[word[1].lower()] for part in parts if (word := WORD.search(part))), NONE)


def splits_of(folder: Path, config: str, files: Sequence[Path]) -> Splits:
    """The files of each split of a folder; under the empty name those of none.

    Args:
        folder: A data set as on the Hub, or any folder of files.
        config: Which configuration of its card; empty: the default one.
        files: Its data files.

    Raises:
        PoolError: the card has no such configuration, or several and no default.
    """
    said = _said_by_card(folder, config)
    data_dir = folder / posixpath.normpath(str(said.get("data_dir") or "."))
    splits: Splits = defaultdict(list)
    for split, patterns in _patterns(said.get("data_files", {})).items():
        found = {place for pattern in patterns for place in data_dir.glob(_glob(str(pattern)))}
        for file in files:
            if not found.isdisjoint((file, *file.parents)):  # a pattern may name a whole folder
                splits[split].append(file)
    if not splits:
        splits |= _by_name([file for file in files if file.is_relative_to(data_dir)], data_dir)
    named = {file for of_split in splits.values() for file in of_split}
    if others := [file for file in files if file not in named]:
        splits[NONE] += others
    return splits


def check_split(name: str, split: str | None, known: Sequence[str]) -> None:
    """Refuse a split that is not there; train, the default, is what has no splits.

    Raises:
        PoolError: naming those that are.
    """
    if split not in (None, TRAIN, *known):
        has = ", ".join(filter(None, known)) or TRAIN
        raise PoolError(f"{name} has no split {split!r}. It has: {has}. Correct pool.split.")


def _glob(pattern: str) -> str:
    """A pattern of the Hub's as pathlib takes it."""
    path = posixpath.normpath(pattern).lstrip("/")
    return "*" if path == "." else re.sub(r"\*\*(?=[^/])", "**/*", path)


def _by_name(files: Iterable[Path], folder: Path) -> Splits:
    # The folder's own name tells whether its files are shards in data/, but not their split.
    own = folder.name if folder.name == "data" else ""
    named = {file: split_named(Path(own, file.relative_to(folder))) for file in files}
    stems = {
        part
        for file in named
        for part in (*file.relative_to(folder).parent.parts, file.name.partition(".")[0])
    }
    is_told = any(map(ONLY_TRAIN.fullmatch, stems))
    splits: Splits = defaultdict(list)
    for file, split in named.items():
        splits[split or (NONE if is_told else TRAIN)].append(file)
    return splits


def _said_by_card(folder: Path, config: str) -> dict[str, Any]:
    """What the card says of a configuration; nothing where it names none."""
    card = folder / "README.md"
    text = card.read_text("utf-8-sig", errors="replace") if card.is_file() else ""
    try:
        said = yaml.safe_load(text.split("\n---", 1)[0]) if text.startswith("---") else None
    except yaml.YAMLError:
        said = None
    listed = said.get("configs") if isinstance(said, dict) else None
    configs = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    names = [str(item.get("config_name", "default")) for item in configs]
    if config and config not in names:
        known = ", ".join(names) or "none"
        raise PoolError(
            f"{folder} has no configuration {config!r}: its card names {known}. Correct pool.path."
        )
    if not configs:
        return {}
    default = [name for name, item in zip(names, configs, strict=True) if item.get("default")] or ["default"]
    wanted = config or (names[0] if len(names) == 1 else default[0])
    if wanted not in names:
        raise PoolError(
            f"{folder} has several configurations: {', '.join(names)}. Name one: {folder}:{names[0]}."
        )
    return configs[names.index(wanted)]


def _patterns(said: Any) -> dict[str, list[Any]]:  # noqa: ANN401 - any YAML value
    """The patterns of each split; said as one, a list of them (train), [{split, path}], or {split: path}."""
    if isinstance(said, list) and all(isinstance(item, dict) for item in said):
        said = {item.get("split"): item.get("path") for item in said}
    by_split = said if isinstance(said, dict) else {TRAIN: said}
    return {str(split): found if isinstance(found, list) else [found] for split, found in by_split.items()}
