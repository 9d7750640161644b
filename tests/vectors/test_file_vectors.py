"""Rows in any order from any number of shards are those of the array, with few reads and little memory."""

import gc
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from diverseevol.errors import EmbedError
from diverseevol.vectors import file_vectors, open_vectors


@pytest.fixture
def shards(tmp_path):
    """The array, and the same in shards of uneven sizes, one of them without rows."""
    rows = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    for number, part in enumerate(np.split(rows, [1, 400, 400, 777])):
        np.save(tmp_path / f"{number}.npy", part)
    return rows, open_vectors(tmp_path)


@pytest.mark.parametrize(("gap", "span"), [(2**15, 2**22), (20, 60), (1, 1), (0, 400)])
def test_rows_are_those_of_the_array(shards, gap, span, monkeypatch):
    monkeypatch.setattr(file_vectors, "GAP_BYTES", gap)
    monkeypatch.setattr(file_vectors, "SPAN_BYTES", span)
    rows, vectors = shards
    rng = np.random.default_rng(1)
    asked = [
        slice(None), slice(0, 0), slice(5, 3), slice(0, 1), slice(1, 400), slice(399, 401), slice(2, 999), slice(990, 5000),
        slice(-7, None), slice(10, 900, 7), slice(900, 10, -1), np.array([], dtype=np.int64), np.array([999]), np.array([5, 5, 0, 5]),
        rng.permutation(1000), rng.integers(0, 1000, 50), np.arange(399, 402, dtype=np.uint16), np.arange(0, 1000, 2),
    ]  # fmt: skip
    for some in asked:
        found = vectors[some]
        assert found.dtype == np.float32
        assert found.flags.c_contiguous
        assert found.flags.writeable
        assert np.array_equal(found, rows[some])


def test_a_part_is_one_read_a_shard_and_near_rows_are_read_together(shards, monkeypatch):
    _, vectors = shards
    reads = []

    def preadv(handle, buffers, at, read=os.preadv):
        reads.append(len(buffers[0]) // 20)
        return read(handle, buffers, at)

    monkeypatch.setattr(os, "preadv", preadv)
    assert len(vectors[0:1000]) == 1000
    assert reads == [1, 399, 377, 223]
    reads.clear()
    vectors[np.array([60, 50, 51, 390])]
    assert reads == [341]
    reads.clear()
    monkeypatch.setattr(file_vectors, "GAP_BYTES", 9 * 20)
    vectors[np.array([60, 50, 51, 390])]
    assert reads == [11, 1]
    assert vectors.bytes_read == 20 * (1000 + 341 + sum(reads))
    reads.clear()
    monkeypatch.setattr(file_vectors, "SPAN_BYTES", 100 * 20)
    vectors[np.arange(410, 770, 2)]
    assert reads == [89, 99, 99, 69]  # never more than a span at once


def test_a_read_that_stops_half_way_goes_on(shards, monkeypatch):
    rows, vectors = shards

    def preadv(handle, buffers, at, read=os.preadv):
        return read(handle, [buffers[0][:7]], at)

    monkeypatch.setattr(os, "preadv", preadv)
    assert np.array_equal(vectors[300:500], rows[300:500])


@pytest.mark.parametrize("rows", [[1000], [-1], [0, 4711]])
def test_rows_outside(shards, rows):
    with pytest.raises(IndexError, match=r"rows must lie in 0..999; found"):
        shards[1][np.array(rows)]


@pytest.mark.parametrize("rows", [5, np.array(True), np.ones(1000, dtype=bool), np.zeros((2, 2), dtype=int), np.array([0.5])])
def test_what_names_no_rows(shards, rows):
    with pytest.raises(TypeError, match="rows must be a slice or a list of row numbers"):
        shards[1][rows]


def test_a_file_that_shrinks_meanwhile(shards, tmp_path):
    _, vectors = shards
    os.truncate(tmp_path / "1.npy", 1000)
    with pytest.raises(EmbedError, match=r"1.npy has become shorter: it ends at byte 1,000"):
        vectors[:]


def test_a_disk_that_fails(shards, monkeypatch):
    def preadv(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(EmbedError, match=r"cannot read .*0.npy at byte 128: Input/output error"):
        shards[1][:1]


def test_the_files_are_closed_with_the_object(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((3, 2)))
    gc.collect()
    before = os.listdir("/proc/self/fd")
    vectors = open_vectors(tmp_path / "x.npy")
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    del vectors
    gc.collect()
    assert os.listdir("/proc/self/fd") == before


SELECT = """
import json, sys
import numpy as np
from pathlib import Path
from diverseevol.selection import k_center, select
from diverseevol.vectors import open_vectors

def status(key):
    return int(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)))

small = np.random.default_rng(0).normal(size=(5000, 64)).astype(np.float16)
select(small, [1], 2)
before = status("VmRSS")
vectors = open_vectors(sys.argv[1])
picks = select(vectors, np.arange(0, len(vectors), 8000), 20)
print(json.dumps({"rows": picks.rows.tolist(), "growth_kb": status("VmHWM") - before, "read": vectors.bytes_read}))
"""


def test_memory_stays_bounded(tmp_path):
    """200 MB on the disk; a map of the file, or a copy of it, would show."""
    rng, file = np.random.default_rng(0), tmp_path / "x.npy"
    with file.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f2", "fortran_order": False, "shape": (400_000, 256)})
        for _ in range(40):
            rows = rng.random((10_000, 256), dtype=np.float32) * rng.lognormal(size=(10_000, 1))
            out.write(rows.astype(np.float16).data)
    ended = subprocess.run([sys.executable, "-c", SELECT, str(file)], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert len(set(found["rows"])) == 20
    assert found["growth_kb"] < 100 * 1024
    assert found["read"] < 1.5 * file.stat().st_size
