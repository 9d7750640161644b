import itertools
import json
import shutil
from unittest.mock import MagicMock

import numpy as np
import pytest

from diverseevol import evolve, load_config
from diverseevol.data import Pool
from diverseevol.errors import (
    ConfigError,
    ModelError,
    PoolError,
    RunFolderError,
)
from diverseevol.loop.evolve import choose

QUICK = (
    "train.learning_rate=1e-3",
    "train.num_train_epochs=1",
    "train.per_device_train_batch_size=8",
    "train.total_batch_size=8",
    "prompt.max_length=256",
)


def config(made_model, pool_file, out, *words, **options):
    given = {
        "pool.path": str(pool_file),
        "model": str(made_model),
        "out": str(out),
        "rounds": 2,
        "n_init": 10,
        "n_new": 5,
        **options,
    }
    return load_config(None, (*QUICK, *words), options=given)


def ids_of(rounds):
    return [round_.chosen_ids for round_ in rounds]


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "a"
    settings = config(made_model, pool_file, out, "keep=all", "keep_signals=all")
    return out, list(evolve(settings)), settings


def test_strategies_start_from_the_same_samples(finished, made_model, pool_file, tmp_path):
    _, rounds, _ = finished
    random = list(evolve(config(made_model, pool_file, tmp_path / "b", "selection.strategy=random")))
    assert random[0].chosen_ids == rounds[0].chosen_ids
    assert random[1].chosen_ids != rounds[1].chosen_ids
    assert not (tmp_path / "b/rounds/00/signals").exists()  # random needs no embeddings, so none are paid for


@pytest.mark.parametrize(
    ("keep", "models", "signals"),
    [("all", [0, 1, 2], [1]), ("last", [2], [1]), ("none", [], [1])],
)
def test_keep_decides_which_weights_stay(made_model, pool_file, tmp_path, keep, models, signals):
    list(evolve(config(made_model, pool_file, tmp_path / "b", f"keep={keep}")))
    assert [i for i in range(3) if (tmp_path / f"b/rounds/{i:02d}/model").exists()] == models
    assert [i for i in range(3) if (tmp_path / f"b/rounds/{i:02d}/signals").exists()] == signals
    assert not list((tmp_path / "b").rglob("checkpoints"))


def test_the_heldout_loss_and_the_best_round(made_model, pool_file, tmp_path):
    from diverseevol.demo.pool import make_heldout

    file = tmp_path / "heldout.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in make_heldout(1)))
    words = (f"heldout.path={file}", "heldout.group=skill", "keep=best")
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", *words)))
    losses = [round_.metrics["heldout"]["loss"] for round_ in rounds]
    assert len(rounds[0].metrics["heldout"]["by_group"]) >= 25
    assert (tmp_path / f"b/rounds/{int(np.argmin(losses)):02d}/model").exists()


def test_the_best_weights_stay_and_the_last_as_long_as_they_are_needed(made_model, pool_file, tmp_path, monkeypatch):
    monkeypatch.setattr("diverseevol.run.RunFolder.best_round", lambda run, rounds: 0)
    settings = config(made_model, pool_file, tmp_path / "b", "pool.holdout=20", "keep=best", "keep_signals=none")
    for _, models, signals in zip(evolve(settings), ([0], [0, 1], [0]), ([0], [1], []), strict=True):
        assert [i for i in range(3) if (tmp_path / f"b/rounds/{i:02d}/model").exists()] == models
        assert [i for i in range(3) if (tmp_path / f"b/rounds/{i:02d}/signals").exists()] == signals


def test_lists_of_the_user(made_model, pool_file, tmp_path):
    (tmp_path / "seeds.txt").write_text("3\n1\n4\n")
    (tmp_path / "never.txt").write_text("\n".join(str(row) for row in range(5, 150)))
    words = (f"selection.seed_subset={tmp_path / 'seeds.txt'}", f"selection.exclude={tmp_path / 'never.txt'}")
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", *words)))
    rows = [line["row"] for index in range(3) for line in lines(tmp_path / f"b/rounds/{index:02d}/chosen.jsonl")]
    assert sorted(rows[:3]) == [1, 3, 4]
    assert [round_.n_chosen for round_ in rounds] == [3, 8, 13]
    assert not set(rows) & set(range(5, 150))

    words = (f"selection.must_include={tmp_path / 'seeds.txt'}",)
    first = next(iter(evolve(config(made_model, pool_file, tmp_path / "c", *words))))
    rows = [line["row"] for line in lines(tmp_path / "c/rounds/00/chosen.jsonl")]
    assert {1, 3, 4} <= set(rows)
    assert len(rows) == len(set(rows)) == first.n_chosen == 10


def test_a_row_cannot_be_both_in_and_out(made_model, pool_file, tmp_path):
    (tmp_path / "rows.txt").write_text("3\n")
    words = (f"selection.must_include={tmp_path / 'rows.txt'}", f"selection.exclude={tmp_path / 'rows.txt'}")
    with pytest.raises(ConfigError, match="1 rows are to be included and excluded at once"):
        next(evolve(config(made_model, pool_file, tmp_path / "b", *words)))


def test_a_budget_in_tokens_ends_the_run(made_model, pool_file, tmp_path):
    from diverseevol.run.status import run_status

    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", "budget=2400 tokens", rounds=9)))
    tokens = [round_.metrics["tokens_chosen"] for round_ in rounds]
    assert 1 < len(rounds) < 10
    assert tokens == sorted(tokens)
    assert tokens[-1] <= 2400 < tokens[-1] + 256
    assert len(rounds[-1].chosen_ids) < 5  # cut, so that the end is known and the pool is not embedded once more
    assert "embed" not in rounds[-1].metrics["stages"]
    assert run_status(tmp_path / "b").state == "finished"
    assert ids_of(evolve(config(made_model, pool_file, tmp_path / "b", "budget=2400 tokens", rounds=9))) == ids_of(rounds)
    more = list(evolve(config(made_model, pool_file, tmp_path / "b", "budget=3000 tokens", rounds=9)))
    assert ids_of(more)[: len(rounds)] == ids_of(rounds)
    assert len(more) > len(rounds)


def test_a_budget_in_tokens_that_holds_no_further_sample(made_model, pool_file, tmp_path):
    first = next(iter(evolve(config(made_model, pool_file, tmp_path / "b", "selection.strategy=random", rounds=9))))
    just = f"budget={first.metrics['tokens_chosen']} tokens"  # which holds the first round to the token
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "e", "selection.strategy=random", just, rounds=9)))
    assert ids_of(rounds) == [first.chosen_ids]
    budget = f"budget={first.metrics['tokens_chosen'] + 1} tokens"
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "c", "selection.strategy=random", budget, rounds=9)))
    assert [round_.n_chosen for round_ in rounds] == [10]
    assert not (tmp_path / "c/rounds/01").exists()
    with pytest.raises(ConfigError, match="budget is 3 tokens, but the first sample drawn has"):
        next(evolve(config(made_model, pool_file, tmp_path / "d", "budget=3 tokens")))


def test_heldout_rows_may_not_be_in_the_pool(made_model, pool_file, tmp_path):
    held = [{"instruction": "Say", "output": "something else"}, json.loads(pool_file.read_text().splitlines()[7])]
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
    with pytest.raises(ConfigError, match=r"1 of the 2 rows of heldout.path .* are also in the pool, first its row 1 \(id "):
        next(evolve(config(made_model, pool_file, tmp_path / "b", f"heldout.path={tmp_path / 'held.jsonl'}")))


def test_a_run_inside_its_pools_folder_is_refused(made_model, pool_file, tmp_path):
    shutil.copy(pool_file, tmp_path / "pool.jsonl")
    with pytest.raises(ConfigError, match="lies in the pool's own folder"):
        next(evolve(config(made_model, tmp_path, tmp_path / "runs" / "b")))
    assert not list((tmp_path / "runs/b").glob("[!.]*"))


def test_previous_goes_on_from_the_last_model(made_model, pool_file, tmp_path):
    base = list(evolve(config(made_model, pool_file, tmp_path / "b", "selection.strategy=random")))
    previous = list(evolve(config(made_model, pool_file, tmp_path / "c", "selection.strategy=random", "train.start=previous")))
    loss = [rounds[2].metrics["stages"]["train"]["loss_first"] for rounds in (base, previous)]
    assert loss[1] < loss[0] - 0.05


def test_a_share_of_the_pool_is_embedded_and_picked_from(made_model, pool_file, tmp_path):
    from diverseevol.run.status import explain_sample

    words = ("selection.candidates=0.2", "keep_signals=all")
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", *words)))
    assert [round_.n_chosen for round_ in rounds] == [10, 15, 20]
    seen = [np.load(tmp_path / f"b/rounds/{index:02d}/signals/rows.npy") for index in (0, 1)]
    assert [len(rows) for rows in seen] == [10 + 38, 15 + 37]  # the chosen, and a fifth of the others
    assert set(seen[0]) != set(seen[1])
    chosen = [line["row"] for line in lines(tmp_path / "b/rounds/00/chosen.jsonl")]
    for index in (1, 2):  # the definition, on what was seen
        rows = seen[index - 1]
        embeddings = np.load(tmp_path / f"b/rounds/{index - 1:02d}/signals/embeddings.npy").astype(np.float64)
        assert len(embeddings) == len(rows)
        for line in lines(tmp_path / f"b/rounds/{index:02d}/chosen.jsonl"):
            distances = np.sqrt(((embeddings[:, None] - embeddings[np.searchsorted(rows, chosen)]) ** 2).sum(-1))
            nearest = distances.min(1)
            nearest[np.searchsorted(rows, chosen)] = -1
            assert line["row"] == rows[nearest.argmax()]
            assert line["nearest_id"] == Pool.open(tmp_path / "b/pool").id(chosen[int(distances[nearest.argmax()].argmin())])
            chosen.append(line["row"])
    assert rounds[0].metrics["stages"]["embed"]["tokens"] < 0.5 * Pool.open(tmp_path / "b/pool").n_tokens.sum()
    unseen = next(row for row in range(200) if row not in seen[1])
    assert "was not among the candidates that round 1's model looked at" in explain_sample(tmp_path / "b", str(unseen))["why"]
    other = next(row for row in seen[1] if row not in chosen)
    assert explain_sample(tmp_path / "b", str(other))["why"].startswith("not chosen: distance ")


def test_the_rows_of_a_killed_pass_stay_whatever_the_next_round_adds(made_model, pool_file, tmp_path):
    words = ("selection.candidates=0.01", "keep_signals=all")
    loop = evolve(config(made_model, pool_file, tmp_path / "b", *words, rounds=1))
    next(loop)
    loop.close()
    signals = tmp_path / "b/rounds/00/signals"
    seen, vectors = np.load(signals / "rows.npy"), np.load(signals / "embeddings.npy")
    assert len(seen) == 10 + 5  # as many as were to be added
    for file in ("embeddings.npy", "embeddings.json"):
        (signals / file).unlink()
    list(evolve(config(made_model, pool_file, tmp_path / "b", *words, rounds=1, n_new=3)))  # which would draw three
    assert np.load(signals / "rows.npy").tolist() == seen.tolist()
    assert np.load(signals / "embeddings.npy").tobytes() == vectors.tobytes()
    assert {line["row"] for line in lines(tmp_path / "b/rounds/01/chosen.jsonl")} < set(seen.tolist())


def test_a_round_that_had_chosen_does_not_choose_again(finished, made_model, pool_file, tmp_path, monkeypatch):
    settings = config(made_model, pool_file, tmp_path / "b", "keep=all", "keep_signals=all")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("diverseevol.loop.rounds.Rounds.train", killed)
        with pytest.raises(KeyboardInterrupt):
            list(evolve(settings))
    with monkeypatch.context() as patch:
        patch.setattr("diverseevol.loop.rounds.Rounds.draw_first", killed)
        assert next(evolve(settings)).chosen_ids == finished[1][0].chosen_ids


def test_no_two_seeds_share_a_generator_in_different_rounds():
    class Recorder:
        def select(self, _signals, _chosen, _n_new, rng):
            drawn.append(int(rng.integers(2**62)))

    drawn = []
    for seed, index in itertools.product(range(3), range(1, 4)):
        rounds, candidates = MagicMock(), MagicMock()
        rounds.config.seed, rounds.candidates.return_value = seed, candidates
        choose(rounds, Recorder(), index, [], 1)
    assert len(set(drawn)) == 9


def test_scores_of_the_model_choose(made_model, pool_file, tmp_path):
    import pyarrow.parquet as pq

    list(evolve(config(made_model, pool_file, tmp_path / "b", "selection.strategy=least_confidence", "keep_signals=all")))
    assert not (tmp_path / "b/rounds/00/signals/embeddings.npy").exists()  # nobody needs them
    table = pq.read_table(tmp_path / "b/rounds/00/signals/signals.parquet").to_pydict()
    assert table["id"] == Pool.open(tmp_path / "b/pool").ids.tolist()
    scores = np.array(table["paper_confidence"])
    first = [line["row"] for line in lines(tmp_path / "b/rounds/00/chosen.jsonl")]
    picks = lines(tmp_path / "b/rounds/01/chosen.jsonl")
    scores[first] = np.inf
    assert [line["row"] for line in picks] == np.argsort(scores, kind="stable")[:5].tolist()
    assert [line["score"] for line in picks] == sorted(line["score"] for line in picks)


def test_a_start_that_failed_may_be_mended(made_model, tmp_path):

    rows = [json.dumps({"instruction": f"Say {number}", "output": str(number)}) for number in range(30)]
    (tmp_path / "pool.jsonl").write_text("\n".join([*rows, *["not JSON"] * 10]))
    words = ("selection.strategy=random", "train.command=false {data} {out}")
    with pytest.raises(PoolError, match=r"10 of 40 rows are bad \(25.0%\).*"):
        next(evolve(config(made_model, tmp_path / "pool.jsonl", tmp_path / "b", *words)))
    with pytest.raises(ModelError, match="ended with status 1"):  # allowed now, but the command fails
        next(evolve(config(made_model, tmp_path / "pool.jsonl", tmp_path / "b", *words, "pool.max_bad=0.5")))
    (tmp_path / "pool.jsonl").write_text("\n".join(rows))
    rounds = list(evolve(config(made_model, tmp_path / "pool.jsonl", tmp_path / "b", "selection.strategy=random", rounds=1)))
    assert [round_.n_chosen for round_ in rounds] == [10, 15]
    assert len(Pool.open(tmp_path / "b/pool")) == 30


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_new": [5, 7]}, r"round 2 of .* added 5 samples, the schedule says 7"),
        ({"rounds": 1}, r"has 3 finished rounds, the schedule only 2"),
        ({"budget": 17}, r"round 2 of .* added 5 samples, the schedule says 2"),
    ],
)
def test_a_schedule_that_contradicts_what_is_done(finished, options, message, made_model, pool_file):
    out, _, _ = finished
    with pytest.raises(RunFolderError, match=message):
        next(evolve(config(made_model, pool_file, out, "keep=all", "keep_signals=all", **options)))


def test_heldout_rows_of_the_pool_that_are_excluded_are_fine(made_model, pool_file, tmp_path):
    (tmp_path / "held.jsonl").write_text("\n".join(pool_file.read_text().splitlines()[5:9]))
    words = (f"heldout={tmp_path / 'held.jsonl'}", f"selection.exclude={tmp_path / 'held.jsonl'}", "selection.strategy=random")
    rounds = list(evolve(config(made_model, pool_file, tmp_path / "b", *words, rounds=1)))
    assert rounds[1].metrics["heldout"]["loss"] > 0
    with pytest.raises(ConfigError, match=r"heldout.path cannot be used: no pool at 'nope.jsonl'.*Correct heldout.path"):
        next(evolve(config(made_model, pool_file, tmp_path / "c", "heldout=nope.jsonl")))
