"""With what a run was made, and the commands that make it again."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

import yaml

from .runs import RunData, Subject
from .text import plain


@dataclass(frozen=True)
class Environment:
    """How a run was made.

    Attributes:
        versions: Packages and their versions.
        fingerprint: Hashes of the pool and the models.
        config: The whole configuration as YAML.
        command: What makes the run again.
    """

    versions: dict[str, str]
    fingerprint: dict[str, str]
    config: str
    command: str


def environment_of(run: RunData) -> Environment:
    """Read it from the run's stored configuration."""
    config = {key: value for key, value in run.config.items() if key not in ("versions", "fingerprint")}
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    return Environment(
        versions={str(name): plain(str(value), 80) for name, value in run.config.get("versions", {}).items()},
        fingerprint={str(name): plain(str(value), 120) for name, value in run.config.get("fingerprint", {}).items()},
        config="\n".join(plain(line, 400) for line in text.splitlines()),
        command=plain(f"diverseevol run {shlex.quote(str(run.folder.config_file))} --out NEW_FOLDER", 600),
    )


def report_command(subject: Subject, out: str) -> str:
    """The command that makes the page again."""
    words = ["diverseevol", "report", *(str(path) for path in subject.paths), "--out", out]
    return plain(" ".join(shlex.quote(word) for word in words), 2_000)
