import json

import pytest

from diverseevol.base.progress import SILENT
from diverseevol.config import PoolConfig
from diverseevol.data import read_pool


@pytest.fixture
def write(tmp_path):
    """Write records as lines; return the file."""

    def written(records, name="pool.jsonl"):
        file = tmp_path / name
        file.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), "utf-8")
        return file

    return written


@pytest.fixture
def read(tmp_path, write):
    """Records read into a pool's folder, before any is left out."""
    return lambda records: read_pool(PoolConfig(path=str(write(records))), tmp_path / "read", 0, SILENT)
