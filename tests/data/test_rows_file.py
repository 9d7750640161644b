"""Every way to list rows, against the rows it names."""

import json

import pytest

from diverseevol.data import Pool, read_rows_file
from diverseevol.errors import PoolError

# Rows 1 and 3 are copies of each other, and so are 4 and 5; the users' own ids must not be taken for ours.
RECORDS = [{"id": f"{ord(text):016x}", "instruction": text, "output": "x"} for text in "abcbddd"]


@pytest.fixture
def pool(tmp_path):
    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    return Pool.read(file)


def listed(tmp_path, pool, text):
    file = tmp_path / "list.txt"
    file.write_text(text if isinstance(text, str) else "".join(json.dumps(item) + "\n" for item in text))
    return read_rows_file(file, pool).tolist()


def test_rows_and_ids(tmp_path, pool):
    assert listed(tmp_path, pool, "3\n\n 0 \r\n3\n") == [3, 0, 3]
    assert listed(tmp_path, pool, f"{pool.id(3)}\n2\n{pool.id(0)}\n") == [3, 2, 0]
    assert listed(tmp_path, pool, json.dumps([3, pool.id(0), "2"])) == [3, 0, 2]
    assert listed(tmp_path, pool, "\n" * 5000 + "[3, 5]") == [3, 5]


def test_picks_of_a_run(tmp_path, pool):
    picks = [{"id": pool.id(row), "row": 99, "round": 0, "rank": rank, "distance": None} for rank, row in enumerate((5, 2))]
    assert listed(tmp_path, pool, picks) == [5, 2]
    assert listed(tmp_path, pool, [{"row": 4, "rank": 0}]) == [4]


def test_a_subset_by_its_ids(tmp_path, pool):
    assert listed(tmp_path, pool, "".join(pool.line_with_id(row) for row in (1, 3, 6))) == [1, 3, 6]


@pytest.mark.parametrize("indent", [None, 2])
def test_records_by_content(tmp_path, pool, indent):
    asked = [RECORDS[number] for number in (1, 0, 3, 6, 6, 6)]
    changed = [{**dict(reversed(record.items())), "_id": 7, "system": None} for record in asked]
    assert listed(tmp_path, pool, json.dumps(changed, indent=indent)) == [1, 0, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7\n", "lists row 7; the pool has rows 0 to 6"),
        ("[-1]", "lists row -1; the pool has rows 0 to 6"),
        (
            "0123456789abcdef\n1\nfedcba9876543210\n",
            r"id 0123456789abcdef \(.*list.txt line 1\) and 1 more of 2 not found in the pool of 7 rows",
        ),
        ("hello\n", "line 1: 'hello' is neither a row number nor an id"),
        (
            '{"instruction": "z", "output": "x"}\n{"instruction": "y", "output": "x"}',
            r"list.txt line 1 \(row 0\)\) and 1 more of 2 not found",
        ),
        ('{"chat": [{"who": "a"}, {"who": "b"}]}\n', r"list.txt line 1 \(row 0\)\) of 1 not found"),
        ('{"row": 1}\n{oops}\n', r"line 2 \(row 1\): not JSON"),
        ("[[1]]", "neither a row number, an id nor an object"),
        ("[true]", "neither a row number, an id nor an object"),
        ("\n", "lists no rows"),
        ('{"instruction": "\\ud800", "output": "x"}', "it is no valid JSON"),
    ],
)
def test_what_is_not_in_the_pool(tmp_path, pool, text, message):
    with pytest.raises(PoolError, match=message):
        listed(tmp_path, pool, text)


def test_a_list_that_is_not_there(tmp_path, pool):
    with pytest.raises(PoolError, match=r"no list of rows at"):
        read_rows_file(tmp_path / "none.txt", pool)
