"""Every kind of file gives the rows of the array it was made from, with few reads and little memory; every broken one an error."""

import gc
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from diverseevol.errors import EmbedError
from diverseevol.selection import select
from diverseevol.selection import vectors as unit
from diverseevol.selection.vectors import open_vectors

N, D = 300, 7


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(size=(N, D)).astype(np.float16)


def parquet(file, rows, kind=None, **columns):
    flat = pa.array(rows.reshape(-1))
    lists = {
        "fixed": lambda: pa.FixedSizeListArray.from_arrays(flat, rows.shape[1]),
        "large": lambda: pa.LargeListArray.from_arrays(np.arange(len(rows) + 1) * rows.shape[1], flat),
        None: lambda: pa.array(list(rows), pa.list_(flat.type)),
    }[kind]()
    pq.write_table(pa.table({**columns, "vector": lists}), file, row_group_size=64)
    return file


def npy(file, rows):
    np.save(file, rows)
    return file


def safetensors(file, **tensors):
    save_file({name: torch.from_numpy(np.ascontiguousarray(tensor)) for name, tensor in tensors.items()}, file)
    return file


def shard_folder(folder, rows, save, ending):
    folder.mkdir()
    for number, part in enumerate(np.array_split(rows, 12)):  # part-10 behind part-9
        save(folder / f"part-{number}{ending}", part)
    return folder


KINDS = {
    "npy float16": (lambda dir, rows: npy(dir / "x.npy", rows), np.float16),
    "npy float32": (lambda dir, rows: npy(dir / "x.npy", rows.astype(np.float32)), np.float32),
    "npy float64": (lambda dir, rows: npy(dir / "x.npy", rows.astype(np.float64)), np.float64),
    "npy big-endian": (lambda dir, rows: npy(dir / "x.npy", rows.astype(">f4")), np.float32),
    "safetensors": (lambda dir, rows: safetensors(dir / "x.safetensors", vectors=rows, norms=rows[:, 0]), np.float16),
    "a tensor by name": (lambda dir, rows: f"{safetensors(dir / 'x.safetensors', a=rows[:5], b=rows)}:b", np.float16),
    "shards": (lambda dir, rows: shard_folder(dir / "x", rows, npy, ".npy"), np.float16),
    "safetensors shards": (
        lambda dir, rows: shard_folder(dir / "x", rows, lambda file, part: safetensors(file, v=part), ".safetensors"),
        np.float16,
    ),
    "parquet": (lambda dir, rows: parquet(dir / "x.parquet", rows.astype(np.float32)), np.float32),
    "parquet fixed": (lambda dir, rows: parquet(dir / "x.parquet", rows, "fixed", text=["a"] * N), np.float16),
    "parquet large": (lambda dir, rows: parquet(dir / "x.parquet", rows.astype(np.float64), "large"), np.float64),
    "parquet column": (lambda dir, rows: f"{parquet(dir / 'x.parquet', rows, ids=[[1]] * N)}:vector", np.float16),
    "parquet shards": (lambda dir, rows: shard_folder(dir / "x", rows.astype(np.float32), parquet, ".parquet"), np.float32),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_gives_the_arrays_rows_and_picks(kind, rows, tmp_path):
    make, dtype = KINDS[kind]
    vectors = open_vectors(make(tmp_path, rows))
    assert (vectors.shape, len(vectors), vectors.ndim, vectors.dtype) == ((N, D), N, 2, dtype)
    assert vectors[:].dtype == dtype
    assert np.array_equal(vectors[:], rows)
    chosen = [7, 250, 31]
    for metric in ("euclidean", "cosine"):
        expected, found = (select(array, chosen, 20, metric=metric) for array in (rows.astype(dtype), vectors))
        assert found.rows.tolist() == expected.rows.tolist()
        assert found.columns["distance"].tolist() == expected.columns["distance"].tolist()
    assert select(vectors, [], 5).rows.tolist() == select(rows.astype(dtype), [], 5).rows.tolist()
    assert not list(tmp_path.rglob(".*"))  # no copy of a Parquet file is left


def test_a_parquet_file_is_copied_to_the_scratch_folder_and_leaves_nothing(rows, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    seen = []
    monkeypatch.setattr("diverseevol.selection.vectors.remove", lambda copy: (seen.append(copy.parent), copy.unlink()))
    vectors = open_vectors(parquet(tmp_path / "x.parquet", rows), tmp_path / "scratch")
    assert seen == [tmp_path / "scratch"]
    assert not list((tmp_path / "scratch").iterdir())
    assert vectors.folder == tmp_path
    assert np.array_equal(vectors[:], rows)


def test_bfloat16_comes_as_float32(rows, tmp_path):
    tensor = torch.from_numpy(rows.astype(np.float32)).bfloat16()
    save_file({"v": tensor}, tmp_path / "x.safetensors")
    vectors = open_vectors(tmp_path / "x.safetensors")
    assert vectors.dtype == vectors[:].dtype == np.float32
    assert np.array_equal(vectors[np.array([9, 2])], tensor[[9, 2]].float().numpy())
    assert select(vectors, [3], 9).rows.tolist() == select(tensor, [3], 9).rows.tolist()


def test_an_embedding_folder_is_its_matrix_and_not_its_signals(rows, tmp_path):
    npy(tmp_path / "embeddings.npy", rows)
    parquet(tmp_path / "signals.parquet", rows)
    npy(tmp_path / ".half-written.npy", rows)
    vectors = open_vectors(tmp_path)
    assert vectors.folder == tmp_path
    assert np.array_equal(vectors[:], rows)


def folder_of(folder, **parts):
    for name, part in parts.items():
        npy(folder / f"{name}.npy", part)
    return folder


def written(file, content):
    file.write_bytes(content)
    return file


def cut(file):
    return written(file, file.read_bytes()[:-3])


def uneven(dir, lists):
    pq.write_table(pa.table({"v": lists}), dir / "x.parquet")
    return dir / "x.parquet"


FLOATS = pa.list_(pa.float32())
NEEDED = "x.npy is cut off or no such file"
BROKEN = {
    "not there": (lambda dir, rows: dir / "y.npy", "no such file or folder. Correct the path"),
    "no name there": (lambda dir, rows: f"{dir / 'y.npy'}:a", "no such file or folder"),
    "unknown kind": (lambda dir, rows: written(dir / "x.npz", b""), "x.npz holds no vectors. Known kinds: .npy, .safetensors"),
    "empty folder": (lambda dir, rows: dir, "holds no vectors. Known kinds: .npy"),
    "two kinds": (
        lambda dir, rows: (npy(dir / "x.npy", rows), safetensors(dir / "y.safetensors", v=rows))[0].parent,
        "holds .npy and .safetensors files. Name one file",
    ),
    "a missing shard": (
        lambda dir, rows: folder_of(dir, **{"v-1-of-3": rows, "v-3-of-3": rows}),
        "holds 2 of 3 shards. Name a folder that holds them all",
    ),
    "another width": (
        lambda dir, rows: folder_of(dir, a=rows, b=rows[:, :5]),
        "b.npy has 5 numbers of float16 a row, a.npy 7 numbers of float16 a row. Shards must be alike",
    ),
    "another type": (lambda dir, rows: folder_of(dir, a=rows, b=rows.astype("f4")), "b.npy has 7 numbers of float32 a row"),
    "a name in a npy": (lambda dir, rows: f"{npy(dir / 'x.npy', rows)}:a", "has no names inside, so 'a' names nothing"),
    "cut npy": (lambda dir, rows: cut(npy(dir / "x.npy", rows)), NEEDED),
    "cut npy header": (lambda dir, rows: written(dir / "x.npy", npy(dir / "y.npy", rows).read_bytes()[:40]), NEEDED),
    "no npy": (lambda dir, rows: written(dir / "x.npy", b"hello, world"), NEEDED),
    "empty npy": (lambda dir, rows: written(dir / "x.npy", b""), NEEDED),
    "Fortran": (lambda dir, rows: npy(dir / "x.npy", np.asfortranarray(rows)), r"column by column \(Fortran order\)"),
    "one axis": (lambda dir, rows: npy(dir / "x.npy", rows[0]), r"array of the shape \(7,\). Vectors are rows of one width"),
    "no width": (lambda dir, rows: npy(dir / "x.npy", rows[:, :0]), r"an array of the shape \(300, 0\)"),
    "no rows": (lambda dir, rows: npy(dir / "x.npy", rows[:0]), "x.npy holds no rows"),
    "complex": (lambda dir, rows: npy(dir / "x.npy", rows.astype(complex)), "holds complex128, not numbers"),
    "no safetensors": (lambda dir, rows: written(dir / "x.safetensors", b"hello, world"), "safetensors is cut off or no such"),
    "cut safetensors": (lambda dir, rows: cut(safetensors(dir / "x.safetensors", v=rows)), "x.safetensors is cut off"),
    "unknown dtype": (
        lambda dir, rows: safetensors(dir / "x.safetensors", v=rows.astype(np.int64)),
        "'v' of .* holds I64. Known: F16, BF16",
    ),
    "two matrices": (
        lambda dir, rows: safetensors(dir / "x.safetensors", a=rows, b=rows + 1),
        "2 tensors of two axes.*:NAME; it has a, b",
    ),
    "no such tensor": (lambda dir, rows: f"{safetensors(dir / 'x.safetensors', a=rows)}:b", "has no tensor 'b'. It has a"),
    "no parquet": (lambda dir, rows: written(dir / "x.parquet", b"hello, world"), "x.parquet is no whole Parquet file"),
    "no list column": (lambda dir, rows: uneven(dir, [1.0, 2.0]), "x.parquet has the list columns of numbers none. Name one"),
    "two list columns": (
        lambda dir, rows: parquet(dir / "x.parquet", rows, more=[[1]] * N),
        "has the list columns of numbers more, vector. Name one as .*:COLUMN",
    ),
    "no such column": (lambda dir, rows: f"{parquet(dir / 'x.parquet', rows)}:v", "columns of numbers vector. Name one"),
    "uneven": (
        lambda dir, rows: uneven(dir, pa.array([[1, 2]] * 1500 + [[1]], FLOATS)),
        "row 1500 of .* has 1 numbers in 'v', the first row 2. Repair or remove",
    ),
    "missing list": (lambda dir, rows: uneven(dir, pa.array([[1, 2], None], FLOATS)), "row 1 of .* has 0 numbers in 'v'"),
    "empty list": (lambda dir, rows: uneven(dir, pa.array([[], [1.0]], FLOATS)), "row 0 of .* has 0 numbers in 'v'"),
    "no parquet rows": (lambda dir, rows: uneven(dir, pa.array([], FLOATS)), "x.parquet holds no rows"),
    "parquet shards differ": (
        lambda dir, rows: parquet(dir / "b.parquet", parquet(dir / "a.parquet", rows) and rows[:, :3]).parent,
        "b.parquet has 3 numbers of float16 a row, what stands before it 7 numbers of float16",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_broken_is_named(kind, rows, tmp_path):
    make, message = BROKEN[kind]
    with pytest.raises(EmbedError, match=message):
        open_vectors(make(tmp_path, rows))
    assert not list(tmp_path.rglob(".*"))


def test_object_arrays_are_not_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    np.save(tmp_path / "x.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    with pytest.raises(EmbedError, match="Python objects in dtype"):
        open_vectors(tmp_path / "x.npy")
    assert not (tmp_path / "sprung").exists()


def test_a_missing_number_is_named_by_the_selection(tmp_path):
    vectors = open_vectors(uneven(tmp_path, pa.array([[1, 2]] * 1030 + [[1, None]], FLOATS)))
    with pytest.raises(EmbedError, match="1 rows of the embeddings hold NaN or infinite values: 1030"):
        select(vectors, [0], 2)


def test_a_copy_that_has_no_room_is_taken_away(rows, tmp_path, monkeypatch):
    file = parquet(tmp_path / "x.parquet", rows)

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.raises(EmbedError, match="cannot copy the vectors to .*nowhere.*: No such file or directory"):
        open_vectors(file, tmp_path / "nowhere")
    monkeypatch.setattr(unit.np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(EmbedError, match="cannot copy the vectors to .*: No space left on device. Make room there"):
        open_vectors(file)
    assert not list(tmp_path.rglob(".*"))


@pytest.fixture
def shards(tmp_path):
    """The array, and the same in shards of uneven sizes, one of them without rows."""
    rows = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    for number, part in enumerate(np.split(rows, [1, 400, 400, 777])):
        np.save(tmp_path / f"{number}.npy", part)
    return rows, open_vectors(tmp_path)


@pytest.mark.parametrize(("gap", "span"), [(2**15, 2**22), (20, 60), (1, 1), (0, 400)])
def test_rows_are_those_of_the_array(shards, gap, span, monkeypatch):
    monkeypatch.setattr(unit, "GAP_BYTES", gap)
    monkeypatch.setattr(unit, "SPAN_BYTES", span)
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

    def n_read(rows):
        reads.clear()
        assert len(vectors[rows])
        return list(reads)

    monkeypatch.setattr(os, "preadv", preadv)
    assert n_read(slice(0, 1000)) == [1, 399, 377, 223]
    assert n_read(np.array([60, 50, 51, 390])) == [341]
    assert vectors.bytes_read == 20 * (1000 + 341)
    monkeypatch.setattr(unit, "GAP_BYTES", 9 * 20)
    assert n_read(np.array([60, 50, 51, 390])) == [11, 1]
    monkeypatch.setattr(unit, "SPAN_BYTES", 100 * 20)
    assert n_read(np.arange(410, 770, 2)) == [89, 99, 99, 69]  # never more than a span at once


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
from diverseevol.selection.vectors import open_vectors

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
