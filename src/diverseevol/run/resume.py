"""Whether a run that is started again is the one that was started here, told by its config.yaml."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..base.files import remove, write_text
from ..config import RunConfig, yaml_text
from ..errors import RunFolderError
from .folder import RunFolder

# What a resumed run may change without changing what the finished rounds mean.
# fmt: off
CHANGEABLE = (
    "rounds", "n_new", "budget", "keep", "keep_signals", "stop", "final",
    "embed.tokens_per_batch", "train.report_to", "train.logging_steps",
)
PACKAGES = (
    "diverseevol", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "datasets", "numpy",
)
# fmt: on


def start_record(run: RunFolder, config: RunConfig, fingerprint: Mapping[str, str]) -> None:
    """Write config.yaml, or check that this is the run that was started here.

    One that has trained nothing yet may become another.

    Args:
        run: The folder.
        config: What was asked for now.
        fingerprint: Hashes of the pool, the model and the template, by name.

    Raises:
        RunFolderError: something is trained, and a key that must not change, or the fingerprint, differs.
        RunFolderError: the folder holds something else.
    """
    if not run.config_file.exists():
        others = sorted(item.name for item in run.root.iterdir() if not item.name.startswith("."))
        if others:
            raise RunFolderError(
                f"{run.root} is no run folder but holds {others[0]!r}. Give --out a new or empty folder."
            )
    elif (why := _difference(run, config, fingerprint)) is None:
        return  # what may change is written once all of it is checked
    elif run.rounds_done() or run.model_dir(0).exists() or any(run.checkpoints_dir(0).glob("checkpoint-*")):
        raise RunFolderError(why)
    else:
        # Nothing is trained, so nothing is lost: a start that failed may be mended and made again.
        for part in (run.pool_dir, run.heldout_dir, run.rounds_dir):
            remove(part)
    save_config(run, config, fingerprint)


def save_config(run: RunFolder, config: RunConfig, fingerprint: Mapping[str, str] | None = None) -> None:
    """Write config.yaml; without a fingerprint it keeps the one that is there."""
    kept = run.config()["fingerprint"] if fingerprint is None else dict(fingerprint)
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    write_text(run.config_file, yaml_text({**_values(config), "versions": versions, "fingerprint": kept}))


def _values(config: RunConfig) -> dict[str, Any]:
    return dict(json.loads(config.model_dump_json(exclude={"out"})))


def _difference(run: RunFolder, config: RunConfig, fingerprint: Mapping[str, str]) -> str | None:
    """What a resumed run must not change and this one does, as an error says it."""
    stored = run.config()
    for what, value in fingerprint.items():
        was = stored["fingerprint"].get(what)
        if was != value:
            return (
                f"the {what} is not the one that {run.root} was started with ({was} then, {value} now). "
                "Put the old one back to go on, or give --out a new folder."
            )
    before = flat({key: value for key, value in stored.items() if key not in {"versions", "fingerprint"}})
    after = flat(_values(config))
    changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    fixed = [key for key in changed if not any(f"{key}.".startswith(f"{name}.") for name in CHANGEABLE)]
    if not fixed:
        return None
    lines = ", ".join(f"{key} ({before.get(key)!r} then, {after.get(key)!r} now)" for key in fixed[:5])
    return (
        f"cannot resume {run.root} with another {lines}. A resumed run may change only "
        f"{', '.join(CHANGEABLE)}; give --out a new folder for the rest."
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return result
