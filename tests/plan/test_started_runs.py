"""What a run was expected to take, beside what it took."""

import json
from dataclasses import asdict

import pytest

from diverseevol import evolve, load_config
from diverseevol.plan.estimate import LIBRARIES, make_plan
from diverseevol.run.metrics import Metrics, PlanRecord, beside_plan
from diverseevol.run.status import run_status

QUICK = ("train.num_train_epochs=2", "train.per_device_train_batch_size=8", "train.total_batch_size=8", "prompt.max_length=256")


@pytest.mark.parametrize("words", [(), ("train.method=lora", "train.lora={r: 4, target_modules: all-linear}")])
def test_predicted_and_measured_agree(made_model, pool_file, tmp_path, words):
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(tmp_path / "run")}
    given |= {"rounds": 2, "n_init": 60, "n_new": 60, "selection.candidates": 0.5}
    loop = evolve(load_config(None, (*QUICK, *words), options=given))
    next(loop)
    assert run_status(tmp_path / "run").progress["seconds_left"] > 0
    list(loop)
    found = run_status(tmp_path / "run").progress
    assert found["seconds_left"] is None
    for stage in ("train", "embed"):
        tokens, flops = found[stage]["tokens"], found[stage]["flops"]
        assert tokens["predicted"] == pytest.approx(tokens["measured"], rel=0.25)
        # By the tokens that were really read, the count is the ledger's own; attention goes with the squares of the lengths.
        a_token = [flops[side] / tokens[side] for side in ("predicted", "measured")]
        assert a_token[0] == pytest.approx(a_token[1], rel=1e-4 if stage == "train" else 0.02)
    memory = found["memory"]
    # Here the libraries may be loaded already, by an earlier test: then they are in the process's bytes as well.
    assert (memory["predicted"] - LIBRARIES) / 1.25 <= memory["measured"] <= memory["predicted"] * 1.25


def bill(flops, tokens, seconds):
    return {"flops": flops, "tokens": tokens, "seconds": seconds}


def record(plan):
    return PlanRecord.model_validate_json(json.dumps(asdict(plan)))


def test_figures_of_the_finished_rounds_and_the_time_left(config, facts):
    plan = asdict(make_plan(config(), facts))
    trained, embedded = plan["rounds"][0]["train_flops"], plan["rounds"][0]["embed_flops"]
    stages = {"train": bill(150.0, 310, 3.0), "embed": bill(3e6, 10_100, 6.0) | {"peak_memory_bytes": 9}}
    found = beside_plan(record(make_plan(config(), facts)), [Metrics(stages=stages)], is_finished=False)
    assert found["train"]["tokens"] == {"predicted": 300, "measured": 310}
    assert found["embed"]["flops"] == {"predicted": embedded, "measured": 3e6}
    assert found["flops"] == {"predicted": trained + embedded, "measured": 150 + 3e6}
    assert found["memory"] == {"predicted": plan["memory"]["train"], "measured": 9.0}
    assert found["seconds_left"] == pytest.approx(8 * trained * 3 / 150 + embedded * 6 / 3e6)


def test_no_rate_no_time(config, facts):
    plan = record(make_plan(config(), facts))
    own_trainer = [Metrics(stages={"train": {"seconds": 3.0}, "embed": bill(3e6, 10_100, 6.0)})]
    assert beside_plan(plan, own_trainer, is_finished=False)["seconds_left"] is None
    assert beside_plan(plan, own_trainer, is_finished=False)["train"]["flops"] == {"predicted": 0, "measured": 0}
    for is_finished in (False, True):
        assert beside_plan(plan, [], is_finished)["seconds_left"] is None
