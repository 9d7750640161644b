import os

import pytest

from diverseevol.compare.sharing import _link_whole, lend_outer_bill, lend_start, link_tree
from diverseevol.run_folder import RunFolder


@pytest.fixture
def lender(tmp_path):
    run = RunFolder(tmp_path / "lender")
    for file in ("pool/index.arrow", "heldout/tokens/block-00000.arrow", "rounds/00/chosen.jsonl", "rounds/00/subset.jsonl"):
        (run.root / file).parent.mkdir(parents=True, exist_ok=True)
        (run.root / file).write_text(file)
    lender_losses = run.row_losses_file("own", "round-00"), run.row_losses_file("own", "round-01")
    for file in lender_losses:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file.name)
    run.add_metrics(
        0,
        {
            "n_new": 8,
            "n_chosen": 8,
            "bytes": {"model": 1},
            "stages": {name: {"seconds": 1.0} for name in ("select", "train", "embed")},
        },
    )
    for file in ("model/weights", "signals/embeddings.npy", "done"):
        (run.round_dir(0) / file).parent.mkdir(exist_ok=True)
        (run.round_dir(0) / file).write_text(file)
    return run


def test_a_tree_is_linked_or_copied_where_links_are_impossible(tmp_path, monkeypatch):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_text("x")
    link_tree(tmp_path / "a", tmp_path / "linked")
    assert os.stat(tmp_path / "linked/b/file").st_ino == os.stat(tmp_path / "a/b/file").st_ino

    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    link_tree(tmp_path / "a", tmp_path / "copied")
    assert os.stat(tmp_path / "copied/b/file").st_ino != os.stat(tmp_path / "a/b/file").st_ino
    assert (tmp_path / "copied/b/file").read_text() == "x"


def test_a_start_comes_whole_or_not_at_all_and_says_what_was_lent(lender, tmp_path):
    run = RunFolder(tmp_path / "run")
    lend_start(lender, run, with_signals=True)
    names = sorted(file.name for file in run.round_dir(0).iterdir())
    assert names == ["chosen.jsonl", "metrics.json", "model", "signals", "subset.jsonl"]  # done is the run's own to say
    assert run.metrics(0)["lent"] == {"from": "lender", "stages": ["train", "embed"]}
    assert "bytes" not in run.metrics(0)
    assert run.row_losses_file("own", "round-00").read_text() == "round-00.json"
    assert lender.metrics(0)["bytes"] == {"model": 1}

    other = RunFolder(tmp_path / "other")
    lend_start(lender, other, with_signals=False)
    assert not other.signals_dir(0).exists()
    assert other.metrics(0)["stages"].keys() == {"select", "train"}
    assert other.metrics(0)["lent"]["stages"] == ["train"]


def test_what_a_run_has_is_left_alone(lender, tmp_path):
    run = RunFolder(tmp_path / "run")
    run.round_dir(0).mkdir(parents=True)
    run.heldout_dir.mkdir()
    lend_start(lender, run, with_signals=True)
    _link_whole(lender.pool_dir, run.pool_dir)
    _link_whole(lender.heldout_dir, run.heldout_dir, without=lender.losses_dir)
    assert not list(run.round_dir(0).iterdir())
    assert not list(run.heldout_dir.iterdir())
    assert (run.pool_dir / "index.arrow").read_text() == "pool/index.arrow"


def test_held_out_rows_come_without_the_losses_of_others_rounds(lender, tmp_path):
    run = RunFolder(tmp_path / "run")
    _link_whole(lender.heldout_dir, run.heldout_dir, without=lender.losses_dir)
    assert [str(file.relative_to(run.heldout_dir)) for file in sorted(run.heldout_dir.rglob("*.*"))] == [
        "tokens/block-00000.arrow"
    ]


def test_an_outer_models_vectors_are_billed_to_whoever_reads_them_and_has_not_computed_them(lender, tmp_path):
    run, bill = RunFolder(tmp_path / "run"), {"seconds": 40.0}
    lend_outer_bill(lender, run)  # the lender has none either
    lender.add_metrics(0, {"stages": {"embed_outer": bill}})
    lend_outer_bill(lender, run)  # the vectors did not come with the pool
    assert not run.metrics_file(0).exists()
    lender.outer_dir.mkdir()
    (lender.outer_dir / "embeddings.npy").touch()
    _link_whole(lender.pool_dir, run.pool_dir)
    for _ in range(2):
        lend_outer_bill(lender, run)
        assert run.metrics(0) == {
            "round": 0, "stages": {"embed_outer": bill}, "lent": {"from": "lender", "stages": ["embed_outer"]}
        }  # fmt: skip
    other = RunFolder(tmp_path / "other")
    _link_whole(lender.pool_dir, other.pool_dir)
    lend_start(lender, other, with_signals=False)
    lend_outer_bill(lender, other)
    assert other.metrics(0)["lent"]["stages"] == ["train", "embed_outer"]
