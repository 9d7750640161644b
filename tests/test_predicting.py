"""What a run was expected to take, beside what it took."""

import json

import pytest

from diverseevol import evolve, load_config
from diverseevol.plan.memory import LIBRARIES
from diverseevol.status import run_status

QUICK = ("train.num_train_epochs=2", "train.per_device_train_batch_size=8", "train.total_batch_size=8", "prompt.max_length=256")


@pytest.mark.parametrize("words", [(), ("train.method=lora", "train.lora={r: 4, target_modules: all-linear}")])
def test_predicted_and_measured_agree(made_model, pool_file, tmp_path, words):
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(tmp_path / "run")}
    given |= {"rounds": 2, "n_init": 60, "n_new": 60, "selection.candidates": 0.5}
    loop = evolve(load_config(None, (*QUICK, *words), options=given))
    next(loop)
    halfway = run_status(tmp_path / "run")["progress"]
    assert halfway["seconds_left"] > 0
    assert halfway["train"]["tokens"]["predicted"] == pytest.approx(halfway["train"]["tokens"]["measured"], rel=0.25)
    list(loop)
    found = run_status(tmp_path / "run")["progress"]
    for stage in ("train", "embed"):
        for figures in found[stage].values():
            assert figures["predicted"] == pytest.approx(figures["measured"], rel=0.25)
    memory = found["memory"]
    # Here the libraries may be loaded already, by an earlier test: then they are in the process's bytes as well.
    assert (memory["predicted"] - LIBRARIES) / 1.25 <= memory["measured"] <= memory["predicted"] * 1.25
    # By the tokens that were really read, the count is the ledger's own.
    plan = json.loads((tmp_path / "run/plan.json").read_text())
    for what in ("train", "embed"):
        measured, predicted = found[what]["flops"]["measured"], found[what]["flops"]["predicted"]
        tokens = found[what]["tokens"]
        tolerance = 1e-4 if what == "train" else 0.02  # attention goes with the squares of the lengths
        assert predicted / tokens["predicted"] == pytest.approx(measured / tokens["measured"], rel=tolerance)
    assert len(plan["rounds"]) == 3
    assert found["seconds_left"] is None


def test_a_whole_pass_is_predicted_exactly(made_model, pool_file, tmp_path):
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(tmp_path / "run"), "rounds": 1, "n_init": 8}
    list(evolve(load_config(None, (*QUICK, "heldout=null", "n_new=4"), options=given)))
    embed = run_status(tmp_path / "run")["progress"]["embed"]
    assert embed["tokens"]["predicted"] == pytest.approx(embed["tokens"]["measured"])
    assert embed["flops"]["predicted"] == pytest.approx(embed["flops"]["measured"])
