import hashlib
import os

import pytest

from diverseevol.base.files import hash_sampled, read_json, remove, replacing, size_of, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_a_folder_takes_the_place_of_a_full_one(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]
    path = tmp_path / "model"
    (tmp_path / "model.partial").mkdir()
    (tmp_path / "model.partial" / "rest").write_text("x")  # what a killed process left is overwritten
    for content in ("first", "second"):
        with replacing(path) as partial:
            assert not partial.exists()
            partial.mkdir()
            (partial / "x").write_text(content)
    assert (path / "x").read_text() == "second" and os.listdir(path) == ["x"]
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "model"]


def test_json_is_exact_and_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"ü": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"ü": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert read_json(tmp_path / "a.json") == {"ü": [1, 2.5, None]}


def test_size_and_removal(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "e" / "f").write_bytes(b"12345")
    assert size_of(tmp_path / "d") == size_of(tmp_path / "d" / "e" / "f") == 5
    assert size_of(tmp_path / "none") == 0
    (tmp_path / "link").symlink_to(tmp_path / "d")
    remove(tmp_path / "link")
    assert os.listdir(tmp_path) == ["d"]
    remove(tmp_path / "d")
    remove(tmp_path / "d")
    assert os.listdir(tmp_path) == []


def test_a_large_file_is_hashed_by_blocks_spread_over_it(tmp_path, monkeypatch):
    monkeypatch.setattr("diverseevol.base.files.BLOCK", 4)

    def hash_of(content, n_blocks):
        (tmp_path / "f").write_bytes(content)
        hashed = hashlib.blake2b()
        hash_sampled(hashed, tmp_path / "f", n_blocks)
        return hashed.hexdigest()

    whole = bytes(range(100))
    for n_blocks, seen in (
        (2, [*range(4), *range(96, 100)]),
        (3, [*range(4), *range(48, 52), *range(96, 100)]),
        (25, range(100)),
    ):
        changed = [
            at for at in range(100) if hash_of(whole[:at] + b"\xff" + whole[at + 1 :], n_blocks) != hash_of(whole, n_blocks)
        ]
        assert changed == list(seen)
    assert hash_of(b"", 2) != hash_of(bytes(4), 2)
