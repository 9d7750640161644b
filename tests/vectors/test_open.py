"""Every kind of file gives the rows of the array it was made from, and every broken one an error that says where."""

import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from diverseevol.errors import EmbedError
from diverseevol.selection import select
from diverseevol.vectors import open_vectors, shards

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


def test_bfloat16_comes_as_float32_and_keeps_its_name(rows, tmp_path):
    tensor = torch.from_numpy(rows.astype(np.float32)).bfloat16()
    save_file({"v": tensor}, tmp_path / "x.safetensors")
    vectors = open_vectors(tmp_path / "x.safetensors")
    assert vectors.dtype is torch.bfloat16
    assert vectors[:].dtype == np.float32
    assert np.array_equal(vectors[:], tensor.float().numpy())
    assert np.array_equal(vectors[np.array([9, 2])], tensor[[9, 2]].float().numpy())
    assert select(vectors, [3], 9).rows.tolist() == select(tensor, [3], 9).rows.tolist()


def test_a_parquet_file_is_copied_to_the_scratch_folder_and_leaves_nothing(rows, tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    seen = []
    monkeypatch.setattr("diverseevol.vectors.open.remove", lambda copy: (seen.append(copy.parent), copy.unlink()))
    vectors = open_vectors(parquet(tmp_path / "x.parquet", rows), tmp_path / "scratch")
    assert seen == [tmp_path / "scratch"]
    assert not list((tmp_path / "scratch").iterdir())
    assert vectors.folder == tmp_path
    assert np.array_equal(vectors[:], rows)


def test_an_embedding_folder_is_its_matrix_and_not_its_signals(rows, tmp_path):
    npy(tmp_path / "embeddings.npy", rows)
    parquet(tmp_path / "signals.parquet", rows)
    npy(tmp_path / ".half-written.npy", rows)
    vectors = open_vectors(tmp_path)
    assert vectors.folder == tmp_path
    assert np.array_equal(vectors[:], rows)


def numbered(folder, names, rows):
    folder.mkdir()
    for name in names:
        npy(folder / name, rows)
    return folder


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["v-00000-of-00003.npy", "v-00002-of-00003.npy"], "v-00001-of-00003.npy, but 2 like it"),
        (["v-00001-of-00003.npy", "v-00003-of-00003.npy"], "v-00002-of-00003.npy"),
        (["v-0-of-5.npy", "v-1-of-5.npy"], "v-2-of-5.npy and 2 more, but 2 like it"),
        (["part1.npy", "part2.npy", "part4.npy"], "part3.npy"),
        (["part-000.npy", "part-002.npy"], "part-001.npy"),
    ],
)
def test_a_gap_in_the_numbers_of_shards_names_the_missing_one(names, missing, rows, tmp_path):
    with pytest.raises(EmbedError, match=f"has no shard {re.escape(missing)}"):
        open_vectors(numbered(tmp_path / "x", names, rows))


@pytest.mark.parametrize(
    "names",
    [
        ["v-00000-of-00002.npy", "v-00001-of-00002.npy"],
        ["v-1-of-2.npy", "v-2-of-2.npy"],
        ["20240131.npy", "20240201.npy"],
        ["a.npy", "b7.npy"],
        ["part-0-abc.npy", "part-2-xyz.npy"],
    ],
)
def test_names_without_a_gap(names, rows, tmp_path):
    assert open_vectors(numbered(tmp_path / "x", names, rows)).shape == (2 * N, D)


def test_natural_order():
    names = ["part-10.npy", "part-9.npy", "part-1.npy"]
    from pathlib import Path

    assert [path.name for path in sorted(map(Path, names), key=shards._natural)] == ["part-1.npy", "part-9.npy", "part-10.npy"]


def bad_shard(dir, rows, other):
    folder = numbered(dir / "x", ["part-0.npy"], rows)
    npy(folder / "part-1.npy", other)
    return folder


def cut(file, n_bytes=3):
    os.truncate(file, file.stat().st_size - n_bytes)
    return file


def written(file, content):
    file.write_bytes(content)
    return file


def with_header(file, header, numbers=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return written(file, len(text).to_bytes(8, "little") + text + numbers)


def uneven(dir, lists):
    pq.write_table(pa.table({"v": lists}), dir / "x.parquet")
    return dir / "x.parquet"


FLOATS = pa.list_(pa.float32())
BROKEN = {
    "not there": (lambda dir, rows: dir / "y.npy", "no such file or folder. Correct the path"),
    "no name there": (lambda dir, rows: f"{dir / 'y.npy'}:a", "no such file or folder"),
    "unknown kind": (lambda dir, rows: written(dir / "x.npz", b""), "x.npz is of no known kind: .npy, .safetensors, .parquet"),
    "empty folder": (lambda dir, rows: dir, "holds no vectors. Known kinds of files"),
    "two kinds": (
        lambda dir, rows: (npy(dir / "x.npy", rows), safetensors(dir / "y.safetensors", v=rows))[0].parent,
        "holds .npy and .safetensors files. Name one file",
    ),
    "another width": (
        lambda dir, rows: bad_shard(dir, rows, rows[:, :5]),
        r"part-1.npy has 5 numbers of float16 a row, part-0.npy 7 of",
    ),
    "another type": (lambda dir, rows: bad_shard(dir, rows, rows.astype("f4")), r"part-1.npy has 7 numbers of float32 a row"),
    "another order": (lambda dir, rows: bad_shard(dir, rows, rows.astype(">f2")), r"part-1.npy has 7 numbers of >f2 a row"),
    "cut shard": (
        lambda dir, rows: cut(bad_shard(dir, rows, rows) / "part-1.npy").parent,
        r"part-1.npy is cut off: 4,325 bytes, where .* 4,328",
    ),
    "a name in a npy": (lambda dir, rows: f"{npy(dir / 'x.npy', rows)}:a", "has no names inside, so 'a' names nothing"),
    "cut npy": (lambda dir, rows: cut(npy(dir / "x.npy", rows)), "x.npy is cut off: 4,325 bytes"),
    "cut npy header": (
        lambda dir, rows: written(dir / "x.npy", npy(dir / "y.npy", rows).read_bytes()[:40]),
        "no whole .npy file",
    ),
    "no npy": (lambda dir, rows: written(dir / "x.npy", b"hello, world"), "x.npy is no whole .npy file: the magic string"),
    "empty npy": (lambda dir, rows: written(dir / "x.npy", b""), "x.npy is no whole .npy file"),
    "Fortran": (
        lambda dir, rows: npy(dir / "x.npy", np.asfortranarray(rows)),
        r"column by column \(Fortran order\).*ascontiguousarray",
    ),
    "one axis": (lambda dir, rows: npy(dir / "x.npy", rows[0]), r"an array of the shape \(7,\). Vectors are rows of one width"),
    "no width": (lambda dir, rows: npy(dir / "x.npy", rows[:, :0]), r"an array of the shape \(300, 0\)"),
    "no rows": (lambda dir, rows: npy(dir / "x.npy", rows[:0]), "x.npy holds no rows"),
    "complex": (lambda dir, rows: npy(dir / "x.npy", rows.astype(complex)), "holds complex128, not numbers"),
    "no safetensors": (lambda dir, rows: written(dir / "x.safetensors", b"hello, world"), "its header would be"),
    "short safetensors": (lambda dir, rows: written(dir / "x.safetensors", b"hi"), "no whole .safetensors file"),
    "no JSON": (
        lambda dir, rows: with_header(dir / "x.safetensors", b"{]"),
        "x.safetensors has a broken header: JSONDecodeError",
    ),
    "no object": (lambda dir, rows: with_header(dir / "x.safetensors", [1]), "x.safetensors has a broken header: AttributeError"),
    "no shape": (lambda dir, rows: with_header(dir / "x.safetensors", {"v": {"dtype": "F32"}}), "has a broken header: KeyError"),
    "odd shape": (
        lambda dir, rows: with_header(dir / "x.safetensors", {"v": {"dtype": "F32", "shape": ["a", 2], "data_offsets": [0, 8]}}),
        r"an array of the shape \('a', 2\)",
    ),
    "wrong bytes": (
        lambda dir, rows: with_header(
            dir / "x.safetensors", {"v": {"dtype": "F32", "shape": [1, 3], "data_offsets": [0, 8]}}, bytes(8)
        ),
        r"gives 'v' 8 bytes, which is not \[1, 3\] of F32",
    ),
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
    "flat tensor": (lambda dir, rows: f"{safetensors(dir / 'x.safetensors', a=rows[0])}:a", r"shape \(7,\)"),
    "no parquet": (lambda dir, rows: written(dir / "x.parquet", b"hello, world"), "x.parquet is no whole Parquet file"),
    "no list column": (lambda dir, rows: uneven(dir, [1.0, 2.0]), "x.parquet has 0 list columns of numbers, not one: none"),
    "two list columns": (
        lambda dir, rows: parquet(dir / "x.parquet", rows, more=[[1]] * N),
        "has 2 list columns .*: more, vector. Name one",
    ),
    "no such column": (
        lambda dir, rows: f"{parquet(dir / 'x.parquet', rows)}:v",
        "no list column of numbers 'v'. It has: vector",
    ),
    "uneven": (
        lambda dir, rows: uneven(dir, pa.array([[1, 2]] * 1500 + [[1]], FLOATS)),
        "row 1500 of .* has 1 numbers in 'v' where row 0 has 2",
    ),
    "missing list": (
        lambda dir, rows: uneven(dir, pa.array([[1, 2], None], FLOATS)),
        "row 1 of .* has no vector in 'v' where row 0 has 2",
    ),
    "empty list": (lambda dir, rows: uneven(dir, pa.array([[], [1.0]], FLOATS)), "row 0 of .* has no vector in 'v'. Repair"),
    "missing number": (
        lambda dir, rows: uneven(dir, pa.array([[1, 2]] * 1030 + [[1, None]], FLOATS)),
        "row 1030 of .* lacks a number in 'v'",
    ),
    "no parquet rows": (lambda dir, rows: uneven(dir, pa.array([], FLOATS)), "x.parquet holds no rows"),
    "parquet shards differ": (
        lambda dir, rows: parquet(dir / "b.parquet", parquet(dir / "a.parquet", rows) and rows[:, :3]).parent,
        "b.parquet has 3 numbers of float16 a row, the files before it 7 of float16",
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
    with pytest.raises(EmbedError, match="holds object, not numbers"):
        open_vectors(tmp_path / "x.npy")
    assert not (tmp_path / "sprung").exists()


def test_a_copy_that_has_no_room_is_taken_away(rows, tmp_path, monkeypatch):
    file = parquet(tmp_path / "x.parquet", rows)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("diverseevol.vectors.parquet.np.lib.format.write_array_header_1_0", full)
    with pytest.raises(EmbedError, match="cannot copy the vectors to .*: No space left on device. Make room there"):
        open_vectors(file)
    assert not list(tmp_path.rglob(".*"))
    with pytest.raises(EmbedError, match="cannot write to .*nowhere: No such file or directory"):
        open_vectors(file, tmp_path / "nowhere")
