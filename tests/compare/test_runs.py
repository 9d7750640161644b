import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from diverseevol import evolve
from diverseevol.base.progress import LineWatch
from diverseevol.compare import Experiment, compare_strategies
from diverseevol.compare.results import as_csv
from diverseevol.errors import ModelError, RunFolderError
from diverseevol.run_folder import RunFolder, locked

FIT, EMBED, READ, TOKENS = (
    "diverseevol.train.sft.fit",
    "diverseevol.stages.embed_tokens",
    "diverseevol.prepare.read_pool",
    "diverseevol.prepare.build_tokens",
)


@pytest.fixture(scope="module")
def compared(config_for, quickly, counted, tmp_path_factory):
    """K-Center, facility location, random and one-time with two seeds, and what was called on the way."""
    import diverseevol.prepare
    import diverseevol.stages  # noqa: F401 - what is counted must be there

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
            mine_has, other_has = mine.metrics(index), other.metrics(index)
            assert mine_has.keys() - {"lent"} == other_has.keys()
            assert mine_has["heldout"] == other_has["heldout"]
            flops = [{name: bill.get("flops") for name, bill in has["stages"].items()} for has in (mine_has, other_has)]
            assert flops[0] == flops[1]
        names = [
            sorted(str(file.relative_to(run.root)) for file in run.root.rglob("*") if file.is_file()) for run in (mine, other)
        ]
        assert names[0] == names[1]
        stored = [{key: value for key, value in run.config().items() if key != "out"} for run in (mine, other)]
        assert stored[0] == stored[1]


def test_each_run_is_whole_by_itself_and_goes_on_alone(compared, quick, tmp_path):
    experiment, _, _ = compared
    shutil.copytree(experiment.run("facility_location", 0).root, tmp_path / "alone")  # without its lenders
    settings = experiment.run_config("facility_location", 0).model_copy(update={"out": str(tmp_path / "alone"), "rounds": 3})
    rounds = list(evolve(settings))
    assert [round_.n_chosen for round_ in rounds] == [8, 12, 16, 20]
    # A linked file is never written into: what went on changed nothing of the comparison's runs.
    assert experiment.is_finished("facility_location", 0)


def test_linked_files_are_the_same_until_one_is_replaced(compared):
    experiment, _, _ = compared
    pools = {os.stat(experiment.run(arm, seed).pool_dir / "index.arrow").st_ino for arm in experiment.arms for seed in (0, 3)}
    assert len(pools) == 1
    files = [experiment.run(arm, 0).metrics_file(0) for arm in experiment.arms]
    assert len({os.stat(file).st_ino for file in files}) == len(files)
    lent = [json.loads(file.read_text()).get("lent") for file in files]
    assert lent == [
        None,
        {"from": "k_center", "stages": ["train", "heldout", "embed"]},
        {"from": "k_center", "stages": ["train", "heldout"]},
        {"from": "k_center", "stages": ["train", "heldout", "embed"]},
    ]


def test_only_what_is_to_be_kept_stays(compared):
    experiment, _, _ = compared
    for arm, last in (("k_center", 2), ("random", 2), ("one_time", 1)):
        run = experiment.run(arm, 0)
        assert [index for index in range(last + 1) if run.model_dir(index).exists()] == [last]
        assert run.config()["keep"] == "last"


def test_the_comparison_is_of_the_runs_figures(compared):
    experiment, comparison, _ = compared
    run = {arm: [experiment.run(arm, seed) for seed in (0, 3)] for arm in experiment.arms}
    differences = [
        run["k_center"][at].metrics(2)["heldout"]["loss"] - run["random"][at].metrics(2)["heldout"]["loss"] for at in (0, 1)
    ]
    found = comparison.find("k_center", "random", "heldout_loss", "samples")
    assert found.paired.mean == pytest.approx(np.mean(differences))
    assert found.n_samples == 16
    assert comparison.find("one_time", "random", "balanced_loss", "samples").n_samples == 16
    assert [measure.name for measure in comparison.measures] == ["heldout_loss", "balanced_loss"]
    assert comparison.find("k_center", "random", "heldout_loss", "tokens").paired.n == 2
    assert comparison.find("k_center", "random", "heldout_loss", "flops").paired.n == 2


def test_json_and_csv_hold_the_comparison(compared):
    experiment, comparison, _ = compared
    stored = json.loads(experiment.comparison_file.read_text())
    assert stored["words"][0] == "k_center (16 samples) against random (16):"
    assert stored["references"] == ["random"]
    assert stored["confidence"] == {"random": pytest.approx(1 - 0.05 / 3)}
    assert len(stored["runs"]) == 8
    assert stored["runs"][0]["points"][1]["values"].keys() == {"heldout_loss", "balanced_loss"}
    assert stored["spent"]["seconds"] > 0
    text = (experiment.root / "comparison.csv").read_text()
    assert text == as_csv(comparison)
    lines = list(csv.DictReader(text.splitlines()))
    assert {line["arm"] for line in lines} == set(experiment.arms)
    assert next(float(line["difference"]) for line in lines if line["difference"]) == comparison.differences[0].paired.mean


def test_a_finished_comparison_opens_no_run(compared, monkeypatch):
    experiment, comparison, _ = compared

    def never(*_, **__):
        raise AssertionError("a run was opened")

    monkeypatch.setattr("diverseevol.loop.open_stages", never)
    monkeypatch.setattr("diverseevol.opening.open_record", never)
    assert compare_strategies(experiment) == comparison


def test_seeds_and_strategies_are_added_to_what_is_there(compared, quick, calls_of):
    experiment, _, _ = compared
    before = {file: file.stat().st_mtime_ns for file in experiment.root.rglob("chosen.jsonl")}
    counts = calls_of(FIT, EMBED, READ)
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


@pytest.mark.parametrize("holdout", ["pool.holdout=20", "pool={holdout: 20, holdout_by: skill}"])
def test_rows_held_out_of_the_pool_are_the_same_for_all_arms_of_a_seed(config_for, pool_file, quick, tmp_path, holdout):
    config = config_for(tmp_path / "c", holdout, f"pool.path={pool_file}", rounds=1, heldout=None)
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
    names = ["heldout_loss"] if "by" not in holdout else ["heldout_loss", "balanced_loss"]
    assert [measure.name for measure in comparison.measures] == names


def test_a_trainer_outside_whose_flops_nobody_knows(config_for, tmp_path):
    trainer = tmp_path / "trainer.sh"
    trainer.write_text('cp "$2"/* "$3"/\n')
    words = (f"train.command=sh {trainer} {{data}} {{base}} {{out}}",)
    comparison = compare_strategies(Experiment(config_for(tmp_path / "c", *words, rounds=1), ("k_center",), (0,)))
    assert comparison.level("k_center").flops is None
    assert comparison.find("k_center", "random", "heldout_loss", "flops") is None
    assert comparison.find("k_center", "random", "heldout_loss", "tokens") is not None


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
    assert len(compare_strategies(experiment).runs) == 4


def test_a_pool_that_the_seed_draws_is_not_shared_between_seeds(config_for, quick, tmp_path):
    experiment = Experiment(config_for(tmp_path / "c", "pool.max_rows=150", rounds=1), ("k_center",), (0, 1))
    compare_strategies(experiment)
    pools = {
        (seed, os.stat(experiment.run(arm, seed).pool_dir / "index.arrow").st_ino) for arm in experiment.arms for seed in (0, 1)
    }
    assert len(pools) == 2
    alone = list(evolve(config_for(tmp_path / "alone", "pool.max_rows=150", rounds=1, seed=1)))
    assert [pick["id"] for pick in experiment.run("k_center", 1).picks(1)] == list(alone[1].chosen_ids)


class KilledError(Exception):
    """Stands for a kill in the middle of something."""


@pytest.mark.parametrize(
    ("function", "n"),
    [
        ("diverseevol.compare.sharing.link_tree", 3),
        ("diverseevol.compare.sharing.write_json", 1),
        ("diverseevol.stages.embed_tokens", 2),
        ("diverseevol.train.sft.fit", 4),
    ],
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


def test_killed_with_signal_9_it_goes_on(config_for, tmp_path):
    (tmp_path / "trainer.sh").write_text('cp "$2"/* "$3"/\n')
    config = config_for(tmp_path / "c", f"train.command=sh {tmp_path}/trainer.sh {{data}} {{base}} {{out}}")
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    command = [sys.executable, "-m", "diverseevol", "compare", str(tmp_path / "c.yaml"), "--seeds", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "c/runs/seed-0/random/rounds/00/model").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "c/comparison.json").exists()
    before = (tmp_path / "c/runs/seed-0/k_center/rounds/00/done").stat().st_mtime_ns
    comparison = compare_strategies(Experiment(config, ("k_center",), (0,)))
    assert [run.budgets for run in comparison.runs] == [(8, 12, 16)] * 2
    assert (tmp_path / "c/runs/seed-0/k_center/rounds/00/done").stat().st_mtime_ns == before
