"""The keys of TRL's `SFTConfig` and PEFT's `LoraConfig`, read from the installed sources so that checking a config loads no torch.

Importing trl costs seconds and loads torch; a misspelt key should be an error in milliseconds. The classes' annotated
fields are read with `ast` from the files of the installed packages, so the list is that of the installed versions and
never a copy of ours. Values are checked where the annotation is plain (a number, true or false); the rest is the packages' own to refuse.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

# (package, file, class): a class and those that it inherits its fields from.
_SFT = (
    ("trl", "trainer/sft_config.py", "SFTConfig"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("transformers", "training_args.py", "TrainingArguments"),
)
_LORA = (
    ("peft", "tuners/lora/config.py", "LoraConfig"),
    ("peft", "config.py", "PeftConfig"),
    ("peft", "config.py", "PeftConfigMixin"),
)

_WANTED: dict[str, tuple[str, tuple[type, ...]]] = {
    "bool": ("true or false", (bool,)),
    "int": ("a whole number", (int,)),
    "float": ("a number", (int, float)),
}
_ABOVE_ZERO = frozenset(
    {
        "learning_rate",
        "num_train_epochs",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "logging_steps",
        "r",
        "lora_alpha",
    }
)
OTHER_NAMES = {
    "lr": "learning_rate",
    "epochs": "num_train_epochs",
    "n_epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "micro_batch_size": "per_device_train_batch_size",
    "warmup_ratio": "warmup_steps",
    "rank": "r",
    "lora_r": "lora",
    "lora_rank": "lora",
    "lora_target": "lora",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
}
"""What other trainers call some of them."""


@cache
def sft_keys() -> Mapping[str, str]:
    """Every field of the installed `SFTConfig` with its annotation; empty when trl is not installed or laid out in another way."""
    return _fields(_SFT)


@cache
def tracker_names() -> frozenset[str]:
    """Every name that the installed Trainer's `report_to` knows; empty when it is laid out in another way."""
    path = _source("transformers", "integrations/integration_utils.py")
    for node in ast.parse(path.read_text("utf-8")).body if path else []:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)] if isinstance(node, ast.Assign) else []
        if names == ["INTEGRATION_TO_CALLBACK"] and isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            return frozenset(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
    return frozenset()


@cache
def lora_keys() -> Mapping[str, str]:
    """The same of `LoraConfig`."""
    return _fields(_LORA)


def nearest(name: str, known: Collection[str]) -> str:
    """`Did you mean 'x'? ` for the known name closest to `name`, or an empty string."""
    if OTHER_NAMES.get(name) in known:
        return f"Did you mean {OTHER_NAMES[name]!r}? "
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}? " if close else ""


def wrong_value(key: str, value: object, annotation: str) -> str | None:
    """What would be right for a key whose annotation says that `value` is not; None where it may be."""
    parts = [part for part in _parts(annotation) if part != "None"]
    wanted = [_WANTED[part] for part in parts if part in _WANTED]
    if value is None or len(wanted) < len(parts):
        return None
    kinds = tuple(kind for _, kinds in wanted for kind in kinds)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        return "give " + " or ".join(words for words, _ in wanted)
    if key in _ABOVE_ZERO and isinstance(value, int | float) and value <= 0:
        return "it must be above 0"
    return None


def _parts(annotation: str) -> list[str]:
    """The alternatives of a type: of `int | None` and `Optional[int]` alike."""
    inner = annotation.removeprefix("Optional[").removesuffix("]") if annotation.startswith("Optional[") else annotation
    return [part.strip() for part in inner.split("|")]


def _fields(classes: tuple[tuple[str, str, str], ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for where in classes:
        found = {**_fields_of(*where), **found}
    return found


def _fields_of(package: str, file: str, class_name: str) -> dict[str, str]:
    path = _source(package, file)
    for node in ast.parse(path.read_text("utf-8")).body if path else []:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            fields = (item for item in node.body if isinstance(item, ast.AnnAssign))
            return {item.target.id: ast.unparse(item.annotation) for item in fields if isinstance(item.target, ast.Name)}
    return {}


def _source(package: str, file: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    return path if path and path.is_file() else None
