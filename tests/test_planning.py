"""The facts of a plan: what a run would check is checked, the lengths are those of the run's own tokens, and nothing is written."""

import json
import os

import numpy as np
import pytest

from diverseevol import evolve, load_config
from diverseevol.base.progress import SILENT
from diverseevol.errors import ConfigError, DiverseEvolError, ModelError, PoolError, SelectionError
from diverseevol.planning import read_facts

QUICK = ("train.num_train_epochs=1", "train.per_device_train_batch_size=8", "train.total_batch_size=8", "prompt.max_length=256")


def config(made_model, pool_file, out, *words, **options):
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 1, "n_init": 10, "n_new": 5}
    return load_config(None, (*QUICK, *words), options=given | options)


def test_lengths_are_those_of_the_runs_tokens_before_it_and_after(made_model, pool_file, tmp_path):
    settings = config(made_model, pool_file, tmp_path / "run", "pool.holdout=20")
    before = read_facts(settings, SILENT)
    assert not (tmp_path / "run").exists()
    list(evolve(settings))
    tokens = json.loads((tmp_path / "run/plan.json").read_text())["lengths"]
    files = {file: os.stat(file).st_mtime_ns for file in (tmp_path / "run").rglob("*")}
    after = read_facts(settings, SILENT)
    assert {file: os.stat(file).st_mtime_ns for file in (tmp_path / "run").rglob("*")} == files
    assert before.lengths == after.lengths
    assert before.lengths.mean == tokens["mean"]
    assert (before.lengths.n_rows, before.n_heldout) == (200, 20)
    assert before.pool_bytes > 0


def test_the_prepared_pool_is_used_even_if_its_file_is_large(made_model, pool_file, tmp_path, monkeypatch):
    settings = config(made_model, pool_file, tmp_path / "run", "selection.strategy=random")
    list(evolve(settings))
    monkeypatch.setattr("diverseevol.planning.Pool.read", None)
    assert read_facts(settings, SILENT).lengths.n_sampled == 200


def test_a_sample_stands_for_a_large_pool(made_model, pool_file, tmp_path, monkeypatch):
    settings = config(made_model, pool_file, tmp_path / "run")
    whole = read_facts(settings, SILENT).lengths
    monkeypatch.setattr("diverseevol.planning.MAX_SAMPLED", 50)
    some = read_facts(settings, SILENT).lengths
    assert (some.n_rows, some.n_sampled) == (200, 50)
    assert some != whole
    assert some.mean == pytest.approx(whole.mean, rel=0.3)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (("rounds=100",), ConfigError, "the schedule chooses 510 rows, the pool has 200"),
        (("selection.strategy=k_centre",), SelectionError, "k_centre"),
        (("prompt.max_length=100000",), ModelError, "tokens at most"),
        (("model=no/such/model",), DiverseEvolError, "no/such/model"),
        (("pool.path=no.jsonl",), PoolError, "no.jsonl"),
        (("selection.exclude=no.txt",), ConfigError, "selection.exclude is 'no.txt': there is no such file"),
        (("heldout.path={pool}",), ConfigError, "are also in the pool"),
        (("pool.holdout=200",), ConfigError, "pool.holdout asks for 200 rows"),
        (("prompt.max_length=12",), PoolError, "have no token left to train on"),
        (("selector=no/such/model", "final=true"), DiverseEvolError, "no/such/model"),
    ],
)
def test_what_a_run_would_refuse_is_refused(made_model, pool_file, tmp_path, words, error, message):
    words = [word.replace("{pool}", str(pool_file)) for word in words]
    with pytest.raises(error, match=message):
        read_facts(config(made_model, pool_file, tmp_path / "run", *words), SILENT)


def test_signals_and_notes(made_model, pool_file, tmp_path):
    def facts(*words):
        return read_facts(config(made_model, pool_file, tmp_path / "run", *words), SILENT)

    assert facts("selection.strategy=random").needs == frozenset()
    assert facts("selection.strategy=random", "stop.measure=vendi").needs == {"embedding"}
    notes = facts("train.command='cp {data} {base} {out}'", f"selector={made_model}", "final=false").notes
    assert any("train.command tunes: counted as" in note for note in notes)
    assert any("is never tuned: set final=true" in note for note in notes)
    rows = tmp_path / "rows.txt"
    rows.write_text("3\n1\n")
    assert facts(f"selection.seed_subset={rows}").n_first == 2


def test_a_tokenizer_of_its_own_for_the_target(made_model, pool_file, tmp_path):
    from diverseevol.demo.model import made_model as make

    other = make(tmp_path / "other", hidden_size=64, num_layers=1, vocab_size=300)
    found = read_facts(config(other, pool_file, tmp_path / "run", f"selector={made_model}", "final=true"), SILENT)
    assert (found.model.width, found.target.width) == (32, 64)
    assert found.target_lengths.mean > found.lengths.mean  # fewer words known: more tokens
    assert np.isclose(found.lengths.mean, read_facts(config(made_model, pool_file, tmp_path / "run"), SILENT).lengths.mean)


def test_bad_rows_are_counted_and_no_file_is_named_that_goes(made_model, pool_file, tmp_path):
    file = tmp_path / "pool.jsonl"
    file.write_text(pool_file.read_text() + '{"instruction": "no response", "output": ""}\nnot JSON\n')
    facts = read_facts(config(made_model, file, tmp_path / "run"), SILENT)
    assert "2 of 202 rows are bad; the run puts them aside" in facts.notes
    with pytest.raises(PoolError, match=r"2 of 202 rows are bad [\s\S]* or raise pool.max_bad\.?$") as caught:
        read_facts(config(made_model, file, tmp_path / "run", "pool.max_bad=0.001"), SILENT)
    assert "quarantine" not in str(caught.value)
    apart = tmp_path / "heldout.jsonl"
    apart.write_text('{"instruction": "asked apart", "output": "x"}\nnot JSON\n')
    with pytest.raises(ConfigError, match=r"heldout.path cannot be used: 1 of 2 rows are bad [\s\S]* or raise pool.max_bad\.$"):
        read_facts(config(made_model, pool_file, tmp_path / "run", f"heldout.path={apart}"), SILENT)


def test_rows_that_are_too_long_are_not_counted_as_good_ones(made_model, tmp_path):
    lengths = [3] * 16 + [2000] * 4
    rows = [{"instruction": f"{at} " + "word " * n, "output": "yes"} for at, n in enumerate(lengths)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = config(made_model, tmp_path / "pool.jsonl", tmp_path / "run", "n_init=10", "n_new=7", "budget=17")
    for check in (lambda: read_facts(settings, SILENT), lambda: next(evolve(settings))):
        with pytest.raises(ConfigError, match=r"chooses 17 rows, the pool has 16 good ones. Lower budget \(now 17\)."):
            check()
    assert read_facts(config(made_model, tmp_path / "pool.jsonl", tmp_path / "run", "n_new=6"), SILENT).lengths.n_rows == 16
