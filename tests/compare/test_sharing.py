import os

import pytest

from diverseevol.compare.sharing import lend_outer_bill, lend_start, link_tree
from diverseevol.run import RunFolder


@pytest.fixture
def lender(tmp_path):
    run = RunFolder(tmp_path / "lender")
    stages = {name: {"seconds": 1.0} for name in ("select", "train", "embed")}
    run.add_metrics(0, {"n_new": 8, "n_chosen": 8, "bytes": {"model": 1}, "stages": stages})
    for name in ("chosen.jsonl", "subset.jsonl", "model/weights", "signals/embeddings.npy", "done"):
        (run.round_dir(0) / name).parent.mkdir(exist_ok=True)
        (run.round_dir(0) / name).write_text(name)
    for index in (0, 1):
        file = run.row_losses_file("own", f"round-0{index}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    return run


def test_a_tree_is_linked_or_copied_where_links_are_impossible(tmp_path, monkeypatch):
    (tmp_path / "a/b").mkdir(parents=True)
    for name in ("b/file", "other"):
        (tmp_path / "a" / name).write_text("x")
    link_tree(tmp_path / "a", tmp_path / "linked", without=tmp_path / "a/other")
    assert os.stat(tmp_path / "linked/b/file").st_ino == os.stat(tmp_path / "a/b/file").st_ino
    assert not (tmp_path / "linked/other").exists()

    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    link_tree(tmp_path / "a", tmp_path / "copied")
    assert os.stat(tmp_path / "copied/b/file").st_ino != os.stat(tmp_path / "a/b/file").st_ino
    assert (tmp_path / "copied/b/file").read_text() == "x"


def test_a_start_comes_whole_says_what_was_lent_and_leaves_alone_what_is_there(lender, tmp_path):
    run, other, has = (RunFolder(tmp_path / name) for name in ("run", "other", "has"))
    lend_start(lender, run, with_signals=True)
    names = sorted(file.name for file in run.round_dir(0).iterdir())
    assert names == ["chosen.jsonl", "metrics.json", "model", "signals", "subset.jsonl"]  # done is the run's own to say
    assert run.metrics(0)["lent"] == {"from": "lender", "stages": ["train", "embed"]}
    assert "bytes" not in run.metrics(0) and lender.metrics(0)["bytes"] == {"model": 1}
    assert [file.name for file in run.losses_dir.rglob("*.json")] == ["round-00.json"]
    lend_start(lender, other, with_signals=False)
    assert not other.signals_dir(0).exists()
    assert other.metrics(0)["stages"].keys() == {"select", "train"}
    assert other.metrics(0)["lent"]["stages"] == ["train"]
    has.round_dir(0).mkdir(parents=True)
    lend_start(lender, has, with_signals=True)
    assert not list(has.round_dir(0).iterdir())


def test_an_outer_models_vectors_are_billed_to_whoever_reads_them_and_has_not_computed_them(lender, tmp_path):
    run, bill = RunFolder(tmp_path / "run"), {"seconds": 40.0}
    run.outer_dir.mkdir(parents=True)
    (run.outer_dir / "embeddings.npy").touch()
    lend_outer_bill(lender, run)  # the lender has none either
    assert not run.metrics_file(0).exists()
    lender.add_metrics(0, {"stages": {"embed_outer": bill}})
    for _ in range(2):
        lend_outer_bill(lender, run)
        lent = {"from": "lender", "stages": ["embed_outer"]}
        assert run.metrics(0).values() == {"round": 0, "stages": {"embed_outer": bill}, "lent": lent}
    other = RunFolder(tmp_path / "other")
    lend_start(lender, other, with_signals=False)
    lend_outer_bill(lender, other)  # the vectors did not come with the pool
    assert other.metrics(0)["lent"]["stages"] == ["train"]
    other.outer_dir.mkdir(parents=True)
    (other.outer_dir / "embeddings.npy").touch()
    lend_outer_bill(lender, other)
    assert other.metrics(0)["lent"]["stages"] == ["train", "embed_outer"]
