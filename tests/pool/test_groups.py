import json

import pytest

from diverseevol.errors import ConfigError
from diverseevol.pool import Pool
from diverseevol.pool.groups import group_names


def write(file, records):
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_groups_are_a_column_or_the_source(tmp_path):
    write(tmp_path / "a.jsonl", [{"instruction": "1", "output": "x", "kind": 3}, {"instruction": "2", "output": "x"}])
    pool = Pool.read(tmp_path / "a.jsonl")
    assert group_names(pool, "kind") == ["3", "(none)"]
    assert group_names(pool, "source") == [str(tmp_path / "a.jsonl")] * 2
    assert group_names(pool, "nope") == ["(none)"] * 2
    with pytest.raises(ConfigError, match="pool.holdout_by is 'nope', but no record has such a column. They have: source, instr"):
        group_names(pool, "nope", "pool.holdout_by")
