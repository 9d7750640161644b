import json

import numpy as np
import pytest

from diverseevol.data import Pool
from diverseevol.data.columns import group_names, pool_columns
from diverseevol.errors import ConfigError


def write(file, records):
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_groups_are_a_column_or_the_source(tmp_path):
    write(tmp_path / "a.jsonl", [{"instruction": "1", "output": "x", "kind": 3}, {"instruction": "2", "output": "x"}])
    pool = Pool.read(tmp_path / "a.jsonl")
    assert group_names(pool, "kind") == ["3", "(none)"]
    assert group_names(pool, "source") == [str(tmp_path / "a.jsonl")] * 2
    assert group_names(pool, "nope") == ["(none)"] * 2
    with pytest.raises(ConfigError, match="pool.holdout_by needs a column 'nope', which no record has. They have: source, instr"):
        group_names(pool, "nope", "pool.holdout_by")


def test_columns_of_the_records(tmp_path):
    records = [{"instruction": f"say {number}", "output": "x", "score": number / 2} for number in range(3)]
    records[1]["score"] = None
    records[2]["lang"] = "de"
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pool = Pool.read(tmp_path / "a.jsonl")
    columns = pool_columns(pool, ["score", "lang", "source"])
    assert columns["score"].tolist()[::2] == [0.0, 1.0]
    assert np.isnan(columns["score"][1])
    assert columns["lang"].tolist() == ["", "", "de"]
    assert columns["source"].tolist() == [str(tmp_path / "a.jsonl")] * 3
    assert pool_columns(pool, []) == {}
    assert pool_columns(pool, ["source"])["source"].tolist() == [str(tmp_path / "a.jsonl")] * 3
    records[1]["source"] = "web"  # a record's own comes first
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    own = pool_columns(Pool.read(tmp_path / "b.jsonl"), ["source"])["source"].tolist()
    assert own == [str(tmp_path / "b.jsonl"), "web", str(tmp_path / "b.jsonl")]
    with pytest.raises(
        ConfigError, match=r"the strategy needs a column 'scor', which no record has. They have: source, instruction"
    ):
        pool_columns(pool, ["scor"])
