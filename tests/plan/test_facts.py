"""What is read before a run is what the run itself knows, and nothing is left behind."""

import json

import numpy as np
import pytest

from diverseevol import evolve, load_config
from diverseevol.base.progress import SILENT
from diverseevol.errors import ConfigError, DiverseEvolError, ModelError, PoolError, SelectionError
from diverseevol.plan.facts import facts_of, read_facts

QUICK = ("train.num_train_epochs=1", "train.per_device_train_batch_size=8", "train.total_batch_size=8")


@pytest.fixture
def run(made_model, pool_file, tmp_path):
    def make(*words, **options):
        given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(tmp_path / "run"), "rounds": 1}
        return load_config(None, (*QUICK, *words), options=given | {"n_init": 10, "n_new": 5, "prompt.max_length": 256} | options)

    return make


def test_rows_without_a_trained_token_are_left_out_of_everything(run):
    tokens = np.array([[4, 8, 12, 12], [1, 3, 5, 0], [4, 8, 30, 40]])
    found = facts_of(run(), frozenset({"embedding", "a column"}), 1000, tokens, None)
    assert (found.n_rows, found.mean, found.mean_trained) == (750, 8, 3)
    assert found.truncated_share == pytest.approx(1 / 3)
    assert found.signals == {"embedding"}
    assert found.as_dict()["longest"] == 12
    with pytest.raises(ConfigError, match=r"no row has a token left to train on: .* Raise it"):
        facts_of(run(), frozenset(), 1000, tokens * [[1], [0], [1]], None)


def test_signals_that_the_configuration_adds_or_takes_away(run, outer_model):
    def signals(*words, needs=("embedding",)):
        return facts_of(run(*words), frozenset(needs), 9, np.ones((3, 2), dtype=int), None).signals

    assert signals("stop.measure=vendi", needs=()) == {"embedding"}
    assert signals("stop.measure=heldout", "pool.holdout=9", needs=()) == frozenset()
    assert signals(f"embed.model={outer_model}", needs=("embedding", "loss")) == {"loss"}


def test_they_are_those_of_the_run_that_is_started(run, tmp_path):
    settings = run("pool.holdout=20")
    before = read_facts(settings, SILENT)
    assert not (tmp_path / "run").exists()
    list(evolve(settings))
    assert json.loads((tmp_path / "run/plan.json").read_text())["lengths"] == before.as_dict()


def test_a_sample_stands_for_a_large_pool_and_a_list_gives_round_0(run, tmp_path, monkeypatch):
    whole = read_facts(run(), SILENT)
    monkeypatch.setattr("diverseevol.plan.facts.MAX_SAMPLED", 50)
    (tmp_path / "rows.txt").write_text("3\n1\n")
    some = read_facts(run(f"selection.seed_subset={tmp_path / 'rows.txt'}", "selection.strategy=random"), SILENT)
    assert (some.n_rows, len(some.tokens_S), some.n_first) == (200, 50, 2)
    assert whole.mean != some.mean == pytest.approx(whole.mean, rel=0.3)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("rounds=100",), ConfigError, "the schedule chooses 510 rows, the pool has 200"),
        (("pool.holdout=190",), ConfigError, "the schedule chooses 15 rows, the pool has 10"),
        (("selection.strategy=k_centre",), SelectionError, "k_centre"),
        (("prompt.max_length=100000",), ModelError, "tokens at most"),
        (("model=no/such/model",), DiverseEvolError, "no/such/model"),
        (("pool.path=no.jsonl",), PoolError, "no.jsonl"),
        (("selection.seed_subset=no.txt",), PoolError, "no list of rows at 'no.txt'"),
        (("prompt.max_length=12",), ConfigError, "no row has a token left to train on"),
    ],
)
def test_what_cannot_be_planned_is_refused(run, words, error, message):
    with pytest.raises(error, match=message):
        read_facts(run(*words), SILENT)
