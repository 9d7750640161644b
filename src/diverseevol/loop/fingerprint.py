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
    """Start or check config.yaml; return a short hash of what the run is made of.

    Raises:
        ConfigError, PoolError, ModelError: a part is not there, or cannot be used.
        RunFolderError: the run was started with something else.
    """
    parts, pool = record_parts(config), config.pool
    start_record(run, config, parts)
    made_of = [parts, pool.dedup, pool.dedup_similarity, config.embed.pooling, config.prompt.model_dump()]
    return _hash(json.dumps(made_of).encode())


def record_parts(config: RunConfig) -> dict[str, str]:
    """Fingerprints of everything that a run is made of."""
    out = Path(config.out).resolve()
    for folder in (Path(source.path) for source in config.pool.all_sources()):
        if folder.is_dir() and out.is_relative_to(folder.resolve()):
            raise ConfigError(
                f"--out {config.out} lies in the pool's own folder {folder}, whose files are all read as "
                "data. Give --out another place."
            )
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
        if file := getattr(config.selection, name):
            if not Path(file).is_file():
                raise ConfigError(f"selection.{name} is {file!r}: there is no such file.")
            parts[f"{name} list"] = _hash(Path(file).read_bytes())
    return parts


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


@contextmanager
def said_of_heldout() -> Iterator[None]:
    """What is wrong with a pool here is wrong with the rows of heldout.path: a ConfigError that says so."""
    try:
        yield
    except PoolError as error:
        text = f"heldout.path cannot be used: {error}".replace("pool.path", "heldout.path")
        raise ConfigError(text) from error
