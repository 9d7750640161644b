import csv
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from diverseevol import evolve
from diverseevol.base.progress import LineWatch
from diverseevol.compare import Experiment, compare_strategies
from diverseevol.compare.results import BALANCED, LOSS, measures_of, points_of, spent
from diverseevol.errors import ModelError, RunFolderError
from diverseevol.run import RunFolder, locked

FIT, EMBED, READ, TOKENS = (
    "diverseevol.models.train.fit",
    "diverseevol.loop.rounds.embed_tokens",
    "diverseevol.text.prepare.read_pool",
    "diverseevol.text.prepare.build_tokens",
)


@pytest.fixture(scope="module")
def compared(config_for, quickly, counted, tmp_path_factory):
    """K-Center, facility location, random and one-time with two seeds, and what was called on the way."""

    root = tmp_path_factory.mktemp("compare") / "c"
    experiment = Experiment(config_for(root), ("k_center", "facility_location"), (0, 3), is_one_time=True)
    patch = quickly()
    counts = counted(patch, (FIT, EMBED, READ, TOKENS))
    comparison = compare_strategies(experiment)
    patch.undo()
    return experiment, comparison, counts


def chosen(run, index):
    return [(pick["id"], pick["row"], pick.get("distance")) for pick in run.picks(index)]


def test_what_runs_share_is_done_once(compared):
    _, _, counts = compared
    # A seed: round 0 once; rounds 1 and 2 of three strategies; one-time's round 1.
    assert counts[FIT] == 2 * (1 + 2 * 3 + 1)
    # Round 0's model looks at the pool once for the three arms that ask for embeddings, then round 1's of two strategies.
    assert counts[EMBED] == 2 * (1 + 2)
    assert (counts[READ], counts[TOKENS]) == (2, 2)  # the pool and the held-out rows, once for all seeds


def test_every_run_is_the_one_that_an_ordinary_run_makes(compared, config_for, quick, tmp_path):
    experiment, _, _ = compared
    cases = {
        "random": {"selection.strategy": "random"},
        "one_time": {"selection.strategy": "k_center", "rounds": 1, "n_new": 8},
    }
    for arm, options in cases.items():
        alone = list(evolve(config_for(tmp_path / arm, seed=3, **options)))
        mine, other = experiment.run(arm, 3), RunFolder(tmp_path / arm)
        assert mine.rounds_done() == other.rounds_done() == [round_.index for round_ in alone]
        for index in mine.rounds_done():
            assert chosen(mine, index) == chosen(other, index)
            assert mine.subset_file(index).read_text() == other.subset_file(index).read_text()
            mine_has, other_has = mine.metrics(index).values(), other.metrics(index).values()
            assert mine_has.keys() - {"lent"} == other_has.keys()
            assert mine_has["heldout"] == other_has["heldout"]
            flops = [{name: bill.get("flops") for name, bill in has["stages"].items()} for has in (mine_has, other_has)]
            assert flops[0] == flops[1]
        names = [{str(file.relative_to(run.root)) for file in run.root.rglob("*.*")} for run in (mine, other)]
        assert names[0] == names[1]
        assert mine.config() | {"out": ""} == other.config() | {"out": ""}


def test_linked_files_are_the_same_until_one_is_replaced(compared):
    experiment, _, _ = compared
    pools = {os.stat(experiment.run(arm, seed).pool_dir / "index.arrow").st_ino for arm in experiment.arms for seed in (0, 3)}
    assert len(pools) == 1
    files = [experiment.run(arm, 0).metrics_file(0) for arm in experiment.arms]
    assert len({os.stat(file).st_ino for file in files}) == len(files)
    lent = [json.loads(file.read_text()).get("lent") for file in files]
    model, signals = ({"from": "k_center", "stages": ["train", "heldout", *more]} for more in ((), ("embed",)))
    assert lent == [None, signals, model, signals]
    for arm, last in (("k_center", 2), ("random", 2), ("one_time", 1)):  # only what is to be kept stays
        run = experiment.run(arm, 0)
        assert [index for index in range(last + 1) if run.model_dir(index).exists()] == [last]
        assert run.config()["keep"] == "last"


def test_the_comparison_is_of_the_runs_figures(compared):
    experiment, comparison, _ = compared
    run = {arm: [experiment.run(arm, seed) for seed in (0, 3)] for arm in experiment.arms}
    losses = {arm: [each.metrics(2)["heldout"]["loss"] for each in run[arm]] for arm in ("k_center", "random")}
    found = comparison.find("k_center", "random", "heldout_loss", "samples")
    assert found.paired.mean == pytest.approx(np.subtract(losses["k_center"], losses["random"]).mean())
    assert found.n_samples == 16
    assert comparison.find("one_time", "random", "balanced_loss", "samples").n_samples == 16
    assert [measure.name for measure in comparison.measures] == ["heldout_loss", "balanced_loss"]
    assert comparison.find("k_center", "random", "heldout_loss", "tokens").paired.n == 2
    assert comparison.find("k_center", "random", "heldout_loss", "flops").paired.n == 2


def test_json_and_csv_hold_the_comparison_and_a_finished_one_opens_no_run(compared, monkeypatch):
    experiment, comparison, _ = compared
    for function in ("loop.evolve.open_rounds", "loop.fingerprint.open_record"):
        monkeypatch.setattr(f"diverseevol.{function}", None)  # whoever calls it fails
    assert compare_strategies(experiment) == comparison
    stored = json.loads(experiment.comparison_file.read_text())
    assert stored["words"][0] == "k_center (16 samples) against random (16):"
    assert stored["references"] == ["random"]
    assert stored["confidence"] == {"random": pytest.approx(1 - 0.05 / 3)}
    assert len(stored["runs"]) == 8
    assert stored["runs"][0]["points"][1]["values"].keys() == {"heldout_loss", "balanced_loss"}
    assert stored["spent"]["seconds"] > 0
    text = (experiment.root / "comparison.csv").read_text()
    lines = list(csv.DictReader(text.splitlines()))
    assert {line["arm"] for line in lines} == set(experiment.arms)
    assert next(float(line["difference"]) for line in lines if line["difference"]) == comparison.differences[0].paired.mean


def test_seeds_and_strategies_are_added_to_what_is_there(compared, quick, counted, monkeypatch):
    experiment, _, _ = compared
    before = {file: file.stat().st_mtime_ns for file in experiment.root.rglob("chosen.jsonl")}
    counts = counted(monkeypatch, (FIT, EMBED, READ))
    more = replace(experiment, strategies=("k_center", "facility_location", "margin"), seeds=(0,))
    comparison = compare_strategies(more)
    assert comparison.find("margin", "random", "heldout_loss", "samples").verdict == "one seed shows nothing"
    # Round 0's model of the others is deleted by now, so that it is tuned once more; the pool is still shared.
    assert (counts[FIT], counts[EMBED], counts[READ]) == (3, 2, 0)
    assert chosen(experiment.run("margin", 0), 0) == chosen(experiment.run("random", 0), 0)
    assert before == {file: file.stat().st_mtime_ns for file in before}
    shutil.rmtree(experiment.run("margin", 0).root)


def test_another_pool_or_setting_is_refused(compared, tmp_path):
    experiment, _, _ = compared
    root = shutil.copytree(experiment.root, tmp_path / "c")
    config = experiment.config.model_copy(update={"out": str(root)})
    pool = tmp_path / "pool.jsonl"
    pool.write_text("\n".join(Path(config.pool.path).read_text().splitlines()[:150]))
    here = replace(experiment, config=config.model_copy(update={"n_init": 9}))
    with pytest.raises(RunFolderError, match="another n_init"):
        compare_strategies(here)
    # The same words, but the file has changed: a new run would be of another pool than the finished ones.
    stored = config.pool.path
    for file in root.rglob("config.yaml"):
        file.write_text(file.read_text().replace(stored, str(pool)))
    changed = config.model_copy(update={"pool": config.pool.model_copy(update={"path": str(pool)})})
    with pytest.raises(RunFolderError, match=r"the pool is not the one that .*seed-0/k_center was made with"):
        compare_strategies(replace(experiment, config=changed, seeds=(0, 3, 4)))


def test_a_folder_that_is_a_run_or_in_use_is_refused(compared, config_for, tmp_path):
    experiment, _, _ = compared
    run = experiment.run("random", 0).root
    with pytest.raises(RunFolderError, match=r"random is the folder of one run. Give --out another"):
        compare_strategies(replace(experiment, config=experiment.config.model_copy(update={"out": str(run)})))
    with locked(tmp_path / "c"), pytest.raises(RunFolderError, match="is in use by process"):
        compare_strategies(Experiment(config_for(tmp_path / "c"), ("k_center",), (0,)))


def test_the_whole_pool_is_tuned_on_once_a_seed(config_for, quick, tmp_path):
    (tmp_path / "never.txt").write_text("3\n5\n3\n")
    words = (f"selection.exclude={tmp_path / 'never.txt'}",)
    experiment = Experiment(config_for(tmp_path / "c", *words, rounds=1), ("random",), (0, 1), is_full=True)
    said = []
    comparison = compare_strategies(experiment, LineWatch(said.append))
    assert [line for line in said if ", run " in line] == [
        f"seed {seed}, run {number} of 2: {arm}" for seed in (0, 1) for number, arm in ((1, "random"), (2, "full"))
    ]
    rows = [pick["row"] for pick in experiment.run("full", 1).picks(0)]
    assert sorted(rows) == [row for row in range(200) if row not in (3, 5)]
    assert comparison.find("random", "full", "heldout_loss", "last").paired.n == 2
    assert compare_strategies(experiment) == comparison


def test_rows_held_out_of_the_pool_are_the_same_for_all_arms_of_a_seed(config_for, pool_file, quick, tmp_path):
    held_out = ("pool={holdout: 20, holdout_by: skill}", f"pool.path={pool_file}")
    config = config_for(tmp_path / "c", *held_out, rounds=1, heldout=None)
    experiment = Experiment(config, ("k_center",), (0, 1), is_full=True)
    comparison = compare_strategies(experiment)
    held = {(arm, seed): experiment.run(arm, seed).holdout_file.read_text() for arm in experiment.arms for seed in (0, 1)}
    assert held["k_center", 0] == held["random", 0] == held["full", 0]
    assert held["k_center", 1] == held["random", 1] == held["full", 1] != held["full", 0]
    for arm in experiment.arms:
        run = experiment.run(arm, 1)
        chosen_ids = {pick["id"] for index in run.rounds_done() for pick in run.picks(index)}
        copies = run.holdout_copies_file.read_text() if run.holdout_copies_file.exists() else ""
        barred = {*held[arm, 1].split(), *copies.split()}
        assert not chosen_ids & barred
        assert arm != "full" or len(chosen_ids) == 200 - len(barred)
        assert sorted(file.stem for file in run.losses_dir.rglob("*.json")) == [f"round-{at:02d}" for at in run.rounds_done()]
    assert [measure.name for measure in comparison.measures] == ["heldout_loss", "balanced_loss"]


def test_a_run_that_fails_leaves_the_finished_ones(config_for, tmp_path):
    trainer = tmp_path / "trainer.sh"
    trainer.write_text('test -e "$0.broken" && test "$4" = 1 && exit 7; cp "$2"/* "$3"/\n')
    (tmp_path / "trainer.sh.broken").touch()
    words = (f"train.command=sh {trainer} {{data}} {{base}} {{out}} {{seed}}",)
    experiment = Experiment(config_for(tmp_path / "c", *words, rounds=1), ("k_center",), (0, 1))
    with pytest.raises(ModelError, match="ended with status 7"):
        compare_strategies(experiment)
    assert experiment.unfinished() == [("k_center", 1), ("random", 1)]
    (tmp_path / "trainer.sh.broken").unlink()
    comparison = compare_strategies(experiment)
    assert len(comparison.runs) == 4
    assert comparison.level("k_center").flops is None  # another program trained, and said nothing of them
    assert comparison.find("k_center", "random", "heldout_loss", "flops") is None
    assert comparison.find("k_center", "random", "heldout_loss", "tokens") is not None


@pytest.mark.parametrize("drawn", ["pool.max_rows=150", "pool.sources=[{{path: {}, max_rows: 150}}]"])
def test_a_pool_that_the_seed_draws_is_not_shared_between_seeds(config_for, pool_file, quick, tmp_path, drawn):
    words = (drawn.format(pool_file), *(["pool.path=null"] if "sources" in drawn else []))
    experiment = Experiment(config_for(tmp_path / "c", *words, rounds=1), ("k_center",), (0, 1))
    compare_strategies(experiment)
    runs = [experiment.run(arm, seed) for arm in experiment.arms for seed in (0, 1)]
    assert len({os.stat(run.pool_dir / "index.arrow").st_ino for run in runs}) == 2
    alone = list(evolve(config_for(tmp_path / "alone", *words, rounds=1, seed=1)))
    assert [pick["id"] for pick in experiment.run("k_center", 1).picks(1)] == list(alone[1].chosen_ids)


class KilledError(Exception):
    """Stands for a kill in the middle of something."""


@pytest.mark.parametrize(
    ("function", "n"),
    [("diverseevol.compare.sharing.link_tree", 3), ("diverseevol.compare.sharing.write_json", 1), (EMBED, 2), (FIT, 4)],
)
def test_stopped_anywhere_it_ends_as_if_nothing_had_been(compared, config_for, quick, monkeypatch, tmp_path, function, n):
    experiment, expected, _ = compared
    here = replace(experiment, config=config_for(tmp_path / "c"), strategies=("k_center",), seeds=(3,))
    module, name = function.rsplit(".", 1)
    original, calls = getattr(sys.modules[module], name), []

    def dies(*args, **kwargs):
        calls.append(None)
        if len(calls) == n:
            raise KilledError
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(function, dies)
        with pytest.raises(KilledError):
            compare_strategies(here)
    assert not here.comparison_file.with_suffix(".csv").exists()
    assert_as_expected(here, compare_strategies(here), experiment, expected)


def assert_as_expected(here, found, experiment, expected):
    runs = {(run.arm, run.seed): run for run in expected.runs}
    for run in found.runs:
        assert [point.values for point in run.points] == [point.values for point in runs[run.arm, run.seed].points]
        mine, other = here.run(run.arm, run.seed), experiment.run(run.arm, run.seed)
        assert [chosen(mine, index) for index in mine.rounds_done()] == [chosen(other, index) for index in other.rounds_done()]
        assert not list(mine.root.rglob("*.partial"))


def folder(root, rounds, start="base"):
    """A run folder with nothing but its configuration and metrics."""
    for index, metrics in enumerate(rounds):
        (root / f"rounds/{index:02d}").mkdir(parents=True)
        (root / f"rounds/{index:02d}/metrics.json").write_text(json.dumps({"round": index, **metrics}))
        (root / f"rounds/{index:02d}/done").touch()
    values = {"pool": {"path": "p"}, "model": "m", "train": {"start": start}}
    (root / "config.yaml").write_text(yaml.safe_dump(values | {"versions": {"a": "b"}, "fingerprint": {"a": "b"}}))
    return RunFolder(root)


def round_of(n, seconds, embed=0.0, lent=(), **heldout):
    stages = {"select": {"seconds": 1.0}, "train": {"seconds": seconds, "flops": seconds * 1e9}, "heldout": {"seconds": 500.0}}
    if embed:
        stages["embed"] = {"seconds": embed, "flops": embed * 1e9}
    metrics = {"n_new": n, "n_chosen": n, "trained_tokens_chosen": 7 * n, "stages": stages, "heldout": {"loss": 3.0, **heldout}}
    return {**metrics, **({"lent": {"from": "a", "stages": list(lent)}} if lent else {})}


PLAIN = [round_of(10, 100), round_of(20, 200), round_of(30, 300)]
EMBEDDED = [round_of(10, 100, embed=20), round_of(20, 200, embed=30), round_of(30, 300)]
OUTER = [{**PLAIN[0], "stages": PLAIN[0]["stages"] | {"embed_outer": {"seconds": 7.0, "flops": 7e9}}}, *PLAIN[1:]]


# Choosing (1 s a round) and tuning up to a round, and the passes before it; measuring (500 s) is no part of it.
@pytest.mark.parametrize(
    ("rounds", "start", "seconds", "flops"),
    [
        (
            EMBEDDED,
            "base",
            [1 + 100, 2 + 300 + 20, 3 + 600 + 50],
            [100e9, 320e9, 650e9],
        ),  # a choice by models rests on all before
        (PLAIN, "base", [101, 202, 303], [100e9, 200e9, 300e9]),  # one by none: the last tuning alone
        (PLAIN, "previous", [101, 302, 603], [100e9, 300e9, 600e9]),
        (OUTER, "base", [101, 209, 310], [100e9, 207e9, 307e9]),  # an outer model's pass: once, for every choice by it
    ],
)
def test_what_a_rounds_result_rests_on_is_what_it_costs(tmp_path, rounds, start, seconds, flops):
    points = points_of(folder(tmp_path, rounds, start))
    assert [(point.n_samples, point.trained_tokens) for point in points] == [(10, 70), (20, 140), (30, 210)]
    assert ([point.seconds for point in points], [point.flops for point in points]) == (seconds, flops)


def test_flops_of_a_trainer_that_does_not_say_are_unknown(tmp_path):
    rounds = [round_of(10, 100, embed=20), round_of(20, 200)]
    for each in rounds:
        del each["stages"]["train"]["flops"]
    points = points_of(folder(tmp_path, rounds))
    assert [(point.flops, point.seconds) for point in points] == [(None, 101), (None, 322)]
    assert spent([RunFolder(tmp_path)])["flops"] is None


def test_the_balanced_loss_is_the_mean_over_groups_where_all_have_them(tmp_path):
    grouped = folder(tmp_path / "a", [round_of(10, 1, by_group={"x": 1.0, "y": 2.0, "z": 7.5}, balanced_loss=3.5)])
    plain = folder(tmp_path / "b", [round_of(10, 1)])
    assert points_of(grouped)[0].values == {"heldout_loss": 3.0, "balanced_loss": 3.5}
    assert points_of(plain)[0].values == {"heldout_loss": 3.0}
    assert measures_of([grouped]) == (LOSS, BALANCED)
    assert measures_of([grouped, plain]) == (LOSS,)


def test_what_was_lent_is_spent_once(tmp_path):
    lender = folder(tmp_path / "a", [round_of(10, 100, embed=20), round_of(20, 200)])
    borrower = folder(tmp_path / "b", [round_of(10, 100, embed=20, lent=("train", "heldout", "embed")), round_of(20, 50)])
    cost = spent([lender, borrower])
    assert cost["seconds"] == pytest.approx((1 + 100 + 500 + 20) + (1 + 200 + 500) + 1 + (1 + 50 + 500))
    assert cost["flops"] == pytest.approx(370e9)
    assert cost["seconds_saved_by_sharing"] == 620
