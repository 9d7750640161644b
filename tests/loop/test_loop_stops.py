"""Runs that end by themselves: the same picks as far as they go, for good when resumed, and on when the rule is relaxed."""

import json

import numpy as np
import pytest

from diverseevol import evolve, load_config, vendi_score
from diverseevol.errors import RunFolderError
from diverseevol.loop.rounds import Rounds
from diverseevol.run.status import run_status

# A trainer that learns nothing, since stopping depends on what a round measured and not on how it was tuned.
QUICK = ("train.command=test -f {data} && cp {base}/* {out}/", "prompt.max_length=256")
RANDOM = "selection.strategy=random"


def config(made_model, pool_file, out, *words, **options):
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 4, "n_init": 10, "n_new": 5}
    return load_config(None, (*QUICK, *words), options=given | options)


def ids_of(rounds):
    return [round_.chosen_ids for round_ in rounds]


def first_pick(out, index):
    return json.loads((out / f"rounds/{index:02d}/chosen.jsonl").read_text().splitlines()[0])


def times(out):
    return {file: file.stat().st_mtime_ns for file in out.rglob("rounds/*/*") if file.is_file()}


@pytest.fixture(scope="module")
def whole(made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    return out, list(evolve(config(made_model, pool_file, out, "keep_signals=all")))


def test_a_spent_budget_ends_the_run_for_good_until_it_is_raised(made_model, pool_file, tmp_path):
    every = list(evolve(config(made_model, pool_file, tmp_path / "a", RANDOM)))
    settings = config(made_model, pool_file, tmp_path / "b", RANDOM, "stop.samples=12")
    rounds = list(evolve(settings))
    assert ids_of(rounds) == ids_of(every)[:2]
    assert rounds[1].metrics["stopped"] == "stop.samples is reached: 15 of 12"
    assert "stopped" not in rounds[0].metrics
    state = run_status(tmp_path / "b")
    assert (state.state, state.stopped, state.stage) == ("finished", "stop.samples is reached: 15 of 12", None)
    before = times(tmp_path / "b")
    assert ids_of(evolve(settings)) == ids_of(rounds)
    assert times(tmp_path / "b") == before
    # A tighter rule takes back nothing that is done; a looser one goes on as if the run had never stopped.
    assert ids_of(evolve(config(made_model, pool_file, tmp_path / "b", RANDOM, "stop.samples=10"))) == ids_of(rounds)
    assert times(tmp_path / "b") == before
    more = list(evolve(config(made_model, pool_file, tmp_path / "b", RANDOM, "stop.samples=20")))
    assert ids_of(more) == ids_of(every)[:3]
    assert [metrics.stopped is None for metrics in run_status(tmp_path / "b").rounds] == [True, True, False]
    assert more[2].metrics["stopped"] == "stop.samples is reached: 20 of 20"
    assert ids_of(evolve(config(made_model, pool_file, tmp_path / "b", RANDOM))) == ids_of(every)
    assert run_status(tmp_path / "b").stopped is None


def test_the_covering_radius_is_the_next_first_picks_distance(whole, made_model, pool_file, tmp_path):
    out, every = whole
    words = ("stop.measure=covering_radius", "stop.share=0.9", "stop.rounds=2")
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", *words)))
    assert ids_of(rounds) == ids_of(every)[:3]
    for index, round_ in enumerate(rounds):
        assert round_.metrics["gauge"]["covering_radius"] == pytest.approx(first_pick(out, index + 1)["distance"], rel=1e-9)
        assert round_.metrics["stages"]["gauge"]["seconds"] >= 0
    assert rounds[2].metrics["stopped"].startswith("covering_radius has moved by at most ")
    # The last round has been embedded, since the rule looks at it, so a relaxed rule goes on from there.
    assert (tmp_path / "b/rounds/02/signals/embeddings.npy").exists()
    assert ids_of(evolve(config(made_model, pool_file, tmp_path / "b", "stop.measure=null"))) == ids_of(every)


def test_vendi_is_measured_for_a_strategy_without_embeddings(made_model, pool_file, tmp_path):
    words = (RANDOM, "stop.measure=vendi", "stop.share=0.99", "stop.rounds=1", "keep_signals=all", "selection.candidates=0.3")
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", *words)))
    assert len(rounds) == 2
    embeddings = np.load(tmp_path / "b/rounds/01/signals/embeddings.npy")
    seen = np.load(tmp_path / "b/rounds/01/signals/rows.npy")
    chosen = [
        json.loads(line)["row"]
        for index in (0, 1)
        for line in (tmp_path / f"b/rounds/{index:02d}/chosen.jsonl").read_text().splitlines()
    ]
    expected = vendi_score(embeddings[np.searchsorted(seen, chosen)])
    assert rounds[1].metrics["gauge"] == {"vendi": pytest.approx(expected)}


def test_a_settled_heldout_loss_saves_the_last_pass_over_the_pool(made_model, pool_file, tmp_path):
    words = ("pool.holdout=20", "stop.measure=heldout", "stop.share=0.9", "stop.rounds=1", "keep=best")
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", *words)))
    assert len(rounds) == 2
    assert "heldout has moved" in rounds[1].metrics["stopped"]
    assert "embed" not in rounds[1].metrics["stages"]
    losses = [round_.metrics["heldout"]["loss"] for round_ in rounds]
    assert [at for at in (0, 1) if (tmp_path / f"b/rounds/{at:02d}/model").exists()] == [int(np.argmin(losses))]


@pytest.mark.parametrize("at", ["measure", "embed", "cover", "finish"])
def test_killed_around_the_stop_and_resumed(whole, made_model, pool_file, tmp_path, monkeypatch, at):
    _, every = whole
    words = ("stop.measure=covering_radius", "stop.share=0.9", "stop.rounds=1")
    settings, work = config(made_model, pool_file, tmp_path / "b", *words), getattr(Rounds, at)

    def killed(stages, index, *rest):
        if index == 1 and at != "finish":
            raise KeyboardInterrupt
        work(stages, index, *rest)
        if index == 1:
            (stages.run.round_dir(1) / "done").unlink()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Rounds, at, killed)
        with pytest.raises(KeyboardInterrupt):
            list(evolve(settings))
    rounds = list(evolve(settings))
    assert ids_of(rounds) == ids_of(every)[:2]
    assert rounds[1].metrics["stopped"].startswith("covering_radius has moved by at most ")


def test_an_extended_run_measures_the_round_that_was_the_last(whole, made_model, pool_file, tmp_path):
    _, every = whole
    words = ("stop.measure=covering_radius", "stop.share=0.9", "stop.rounds=2")
    short = list(evolve(config(made_model, pool_file, tmp_path / "b", *words, rounds=1)))
    assert "gauge" not in short[1].metrics  # the schedule's last round is not embedded
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", *words)))
    assert ids_of(rounds) == ids_of(every)[:3]
    assert all("covering_radius" in metrics["gauge"] for metrics in run_status(tmp_path / "b").rounds)


def test_nothing_kept_means_no_way_on(made_model, pool_file, tmp_path):
    words = ("keep=none", "keep_signals=none")
    list(evolve(config(made_model, pool_file, tmp_path / "b", *words, "stop.samples=15")))
    assert not list((tmp_path / "b").glob("rounds/*/model")) + list((tmp_path / "b").glob("rounds/*/signals"))
    with pytest.raises(RunFolderError, match="is needed to go on but was not kept"):
        list(evolve(config(made_model, pool_file, tmp_path / "b", *words)))


def test_hours_and_flops_are_those_of_the_metrics(whole, made_model, pool_file, tmp_path):
    flops = [metrics["stages"]["embed"]["flops"] for metrics in run_status(whole[0]).rounds[:2]]
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", f"stop.flops={flops[0] + 1:.0f}")))
    assert len(rounds) == 2
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "c", RANDOM, "stop.hours=1e-9")))
    assert [round_.metrics["stopped"][:22] for round_ in rounds] == ["stop.hours is reached:"]
