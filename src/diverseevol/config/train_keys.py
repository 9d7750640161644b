"""The names of TRL's `SFTConfig` keys, read from the installed source so that checking a config loads no torch.

Importing trl costs seconds and loads torch; a misspelt key should be an error in milliseconds. The classes' annotated
fields are read with `ast` from the files of the installed trl and transformers, so the list is that of the installed
versions and never a copy of ours.
"""

from __future__ import annotations

import ast
import importlib.util
from difflib import get_close_matches
from functools import cache
from pathlib import Path

# (package, file, class): SFTConfig and the classes it inherits its fields from.
_CLASSES = (
    ("trl", "trainer/sft_config.py", "SFTConfig"),
    ("trl", "trainer/base_config.py", "_BaseConfig"),
    ("transformers", "training_args.py", "TrainingArguments"),
)


@cache
def sft_keys() -> frozenset[str]:
    """Every field of the installed `SFTConfig`; empty when trl is not installed or laid out in another way."""
    return frozenset(name for where in _CLASSES for name in _fields(*where))


@cache
def tracker_names() -> frozenset[str]:
    """Every name that the installed Trainer's `report_to` knows; empty when it is laid out in another way."""
    path = _source("transformers", "integrations/integration_utils.py")
    for node in ast.parse(path.read_text("utf-8")).body if path else []:
        names = [target.id for target in node.targets if isinstance(target, ast.Name)] if isinstance(node, ast.Assign) else []
        if names == ["INTEGRATION_TO_CALLBACK"] and isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            return frozenset(str(key.value) for key in node.value.keys if isinstance(key, ast.Constant))
    return frozenset()


def nearest(name: str, known: frozenset[str] | list[str]) -> str:
    """`Did you mean 'x'? ` for the known name closest to `name`, or an empty string."""
    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}? " if close else ""


def _fields(package: str, file: str, class_name: str) -> list[str]:
    path = _source(package, file)
    if path is None:
        return []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            fields = (item for item in node.body if isinstance(item, ast.AnnAssign))
            return [item.target.id for item in fields if isinstance(item.target, ast.Name)]
    return []


def _source(package: str, file: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    path = Path(spec.origin).parent / file if spec and spec.origin else None
    return path if path and path.is_file() else None
