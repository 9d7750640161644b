"""What a run is made of, as config.yaml keeps it: a run that is taken up again must be made of the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..config import PoolConfig, RunConfig
from ..data import fingerprint as pool_fingerprint
from ..data.contamination import read_benchmarks
from ..errors import ConfigError, PoolError
from ..models.load import fingerprint as model_fingerprint
from ..models.sentence import check_outer, outer_fingerprint
from ..run import RunFolder
from ..run.resume import start_record
from ..run.tracking import check_trackers

LISTS = ("seed_subset", "must_include", "exclude")
"""Keys of `selection` that name files of rows."""


def open_record(run: RunFolder, config: RunConfig) -> str:
    """Start or check config.yaml; return a short hash of what the run is made of."""
    parts = record_parts(config)
    start_record(run, config, parts)
    return hashlib.blake2b(
        json.dumps(
            [
                parts,
                config.pool.dedup,
                config.pool.dedup_similarity,
                config.embed.pooling,
                config.prompt.model_dump(),
            ]
        ).encode(),
        digest_size=8,
    ).hexdigest()


def record_parts(config: RunConfig) -> dict[str, str]:
    """Fingerprints of everything that a run is made of.

    Raises:
        ConfigError, PoolError, ModelError: a part is not there, or cannot be used.
    """
    _check_outside(config)
    check_trackers(config)
    parts = {"pool": pool_fingerprint(config.pool), "model": model_fingerprint(config.for_rounds().model)}
    if config.selector:
        parts["final model"] = model_fingerprint(config.model)
    parts |= {f"benchmark {one.name}": one.fingerprint for one in read_benchmarks(config.pool.decontaminate)}
    if config.embed.model:
        check_outer(config.embed.model)
        parts["embed.model"] = outer_fingerprint(config.embed.model)
    if config.heldout:
        with said_of_heldout():
            parts["heldout rows"] = pool_fingerprint(PoolConfig(path=config.heldout.path))
    for name in LISTS:
        file = getattr(config.selection, name)
        if file:
            if not Path(file).is_file():
                raise ConfigError(f"selection.{name} is {file!r}: there is no such file.")
            parts[f"{name} list"] = hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest()
    return parts


def _check_outside(config: RunConfig) -> None:
    """Check that the run does not write into a folder that it reads its pool from.

    Raises:
        ConfigError: it would, and read its own files as data when it is resumed.
    """
    out = Path(config.out).resolve()
    for source in config.pool.all_sources():
        folder = Path(source.path)
        if folder.is_dir() and out.is_relative_to(folder.resolve()):
            raise ConfigError(
                f"--out {config.out} lies in the pool's own folder {source.path}, whose files are all read "
                "as data. Give --out another place."
            )


@contextmanager
def said_of_heldout() -> Iterator[None]:
    """What is wrong with a pool here is wrong with the rows of heldout.path.

    Raises:
        ConfigError: for every PoolError.
    """
    try:
        yield
    except PoolError as error:
        raise ConfigError(
            f"heldout.path cannot be used: {error}".replace("pool.path", "heldout.path")
        ) from error
