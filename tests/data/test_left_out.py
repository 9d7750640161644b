import json

import pytest

from diverseevol.config import PoolConfig
from diverseevol.data import Pool, read_rows_file
from diverseevol.data.left_out import why_left_out
from diverseevol.errors import PoolError

LONG = "Implement a binary search algorithm to find a specific element in a sorted array."


def alpaca(instruction, output="An answer long enough to be compared.", input="", **more):
    return {"instruction": instruction, "input": input, "output": output, **more}


ROWS = [
    alpaca(LONG),
    alpaca("Name three rivers of Asia and the seas into which they flow."),
    alpaca("Tell me a joke about penguins, please."),
    alpaca("Name three rivers of Asia and the seas into which they flow.", note=1),
    alpaca("name three rivers of asia, and the seas into which they flow!"),
    alpaca(LONG, note=2),
]


def lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture
def pool(write, tmp_path):
    def make(rows=ROWS, questions=(LONG,), **options):
        if options.get("decontaminate"):
            options["decontaminate"] = (f"b={write([{'text': text} for text in questions], 'b.jsonl')}",)
        return Pool.read(PoolConfig(path=str(write(rows)), **options), pool_dir=tmp_path / "pool")

    return make


def why_dropped(pool_dir, sample_id):
    made = Pool.open(pool_dir)
    position = made.records.position_of(sample_id)
    return why_left_out(pool_dir, made, position) if made.status[position] else None


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"dedup": "exact"}, [0, 1, 2, 4]),
        ({"dedup": "near"}, [0, 1, 2]),
        ({"decontaminate": True}, [1, 2, 3, 4]),
        ({"decontaminate": True, "dedup": "near"}, [1, 2]),
    ],
)
def test_what_stays(pool, options, rows):
    everything, made = pool(), pool(**options)
    assert made.positions.tolist() == rows
    assert made.ids.tolist() == everything.ids[rows].tolist()
    assert [made.record(row) for row in range(len(made))] == [ROWS[row] for row in rows]


def test_the_files_name_what_is_dropped_or_only_found(pool, tmp_path, write):
    source = str(tmp_path / "pool.jsonl")
    ids = pool().ids.tolist()
    found = lines(tmp_path / "pool" / "duplicates.jsonl")
    assert [(line["id"], line["kept_id"], line["is_dropped"]) for line in found] == [
        (ids[3], ids[1], False),
        (ids[5], ids[0], False),
    ]
    assert not (tmp_path / "pool" / "contamination.jsonl").exists()
    pool(dedup="near", decontaminate=True)
    exact, near = lines(tmp_path / "pool" / "duplicates.jsonl")
    assert exact == {
        "id": ids[3], "kept_id": ids[1], "kind": "exact", "similarity": 1.0, "is_dropped": True,
        "source": source, "source_row": 3, "kept_source": source, "kept_source_row": 1,
    }  # fmt: skip
    assert (near["id"], near["kept_id"], near["kind"], near["source_row"]) == (ids[4], ids[1], "near", 4)
    assert 0.7 <= near["similarity"] <= 1
    first, second = lines(tmp_path / "pool" / "contamination.jsonl")
    assert first == {
        "id": ids[0], "benchmark": "b", "question_id": "1", "kind": "words", "score": 1.0,
        "matched": "implement a binary search algorithm to find a specific element in a sorted array",
        "role": "user", "is_dropped": True, "source": source, "source_row": 0,
    }  # fmt: skip
    assert second["id"] == ids[5]
    assert why_dropped(tmp_path / "pool", ids[5]).startswith(
        "left out by pool.decontaminate: the user's turn holds 100% of question 1 of b: 'implement a binary"
    )
    pool()
    assert not (tmp_path / "pool" / "contamination.jsonl").exists()
    assert why_dropped(tmp_path / "pool", ids[3]) is None


def test_why_a_row_was_dropped(pool, tmp_path):
    ids = pool().ids.tolist()
    pool(questions=(LONG, "Please tell me a joke about penguins, please."), dedup="near", decontaminate=True)
    assert why_dropped(tmp_path / "pool", ids[3]) == f"left out by pool.dedup: an exact duplicate of {ids[1]}"
    assert f"of {ids[1]}" in why_dropped(tmp_path / "pool", ids[4])
    assert "a near-duplicate (similarity " in why_dropped(tmp_path / "pool", ids[4])
    assert "left out by pool.decontaminate: the user's turn is like (similarity 0.8" in why_dropped(tmp_path / "pool", ids[2])
    assert why_dropped(tmp_path / "pool", ids[1]) is None


def test_the_similarity_is_a_choice(pool):
    rows = [*ROWS, alpaca("Name three rivers of Asia and the seas into which those flow.")]
    assert len(pool(rows, dedup="near", dedup_similarity=1.0)) == 4
    assert len(pool(rows, dedup="near")) == 3
    with pytest.raises(ValueError, match="greater than or equal to 0.5"):
        PoolConfig(path="x", dedup_similarity=0.4)
    with pytest.raises(ValueError, match="'exact', 'near' or False"):
        PoolConfig(path="x", dedup="yes")


def test_nothing_left_is_an_error(pool):
    with pytest.raises(PoolError, match=r"no row is left: 2 of 2 hold questions of benchmarks"):
        pool(rows=[ROWS[0], ROWS[5]], decontaminate=True)


def test_lists_that_name_a_dropped_row_are_refused(pool, tmp_path):
    ids = pool().ids.tolist()
    made = pool(dedup="exact")
    (tmp_path / "list.txt").write_text(f"{ids[3]}\n")
    with pytest.raises(PoolError, match=r"not found in the pool of 4 rows; it was left out: duplicate"):
        read_rows_file(tmp_path / "list.txt", made)
