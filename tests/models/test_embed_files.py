"""Finished signals: found again, completed by what is missing, resumed after a kill."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from diverseevol.errors import NonFiniteError
from diverseevol.models.embed import open_embeddings
from diverseevol.models.embed_files import write_columns
from diverseevol.selection import Signal

EVERYTHING = frozenset(Signal)
NAMES = [signal.value for signal in Signal if signal is not Signal.EMBEDDING]


class Killed(Exception):
    pass


class KillingWatch:
    """Kills the pass after so many batches; keeps the names of the tasks."""

    def __init__(self, n_batches=10**9):
        self.n_batches, self.names = n_batches, []

    def task(self, name, total, unit):
        self.names.append(name)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def advance(self, n=1):
        self.n_batches -= 1
        if self.n_batches < 0:
            raise Killed

    def note(self, text):
        pass


def test_the_file_holds_ids_and_a_column_each(wide_llama, long_tokens, signals_of, tmp_path):
    found, _ = signals_of(wide_llama(), long_tokens)
    table = pq.read_table(tmp_path / "signals.parquet")
    assert table.column_names == ["id", *NAMES]
    assert table.column("id").to_pylist() == [f"id-{row}" for row in range(len(long_tokens))]
    assert {str(table.schema.field(name).type) for name in NAMES} == {"double"}
    assert all((table.column(name).to_numpy() == found[name]).all() for name in NAMES)


@pytest.mark.parametrize("n_batches", [0, 24, 41])
def test_killed_and_resumed_equals_uninterrupted(n_batches, wide_llama, long_tokens, signals_of, small_shards, tmp_path):
    model, options = wide_llama(), dict(tokens_per_batch=31, signals=EVERYTHING)
    expected, whole = signals_of(model, long_tokens, tmp_path / "whole", **options)
    with pytest.raises(Killed):
        signals_of(model, long_tokens, watch=KillingWatch(n_batches), **options)
    assert not (tmp_path / "embeddings.npy").exists() and not (tmp_path / "signals.parquet").exists()
    found, report = signals_of(model, long_tokens, **options)
    for name in NAMES:
        np.testing.assert_array_equal(found[name], expected[name])
    np.testing.assert_array_equal(open_embeddings(tmp_path), open_embeddings(tmp_path / "whole"))
    assert report.n_tokens_now < whole.n_tokens_now == report.n_tokens
    assert sorted(file.name for file in tmp_path.iterdir()) == ["embeddings.json", "embeddings.npy", "signals.parquet", "whole"]


def test_a_kill_among_the_last_files_leaves_no_embeddings_behind(wide_llama, long_tokens, signals_of, monkeypatch, tmp_path):
    expected, _ = signals_of(wide_llama(), long_tokens, tmp_path / "whole", signals=EVERYTHING)
    monkeypatch.setattr("diverseevol.models.embed_files.write_columns", lambda *_: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        signals_of(wide_llama(), long_tokens, signals=EVERYTHING)
    assert not (tmp_path / "embeddings.npy").exists()
    monkeypatch.undo()
    watch = KillingWatch(0)  # nothing is computed again
    found, report = signals_of(wide_llama(), long_tokens, signals=EVERYTHING, watch=watch)
    assert report.n_tokens_now == 0 and watch.names == ["embed", "answers alone"]
    np.testing.assert_array_equal(found["answer_loss"], expected["answer_loss"])


def test_what_is_finished_is_found_again_and_only_the_rest_computed(wide_llama, long_tokens, signals_of, tmp_path):
    model, first, second = wide_llama(), frozenset({Signal.LOSS, Signal.ENTROPY}), frozenset({Signal.EMBEDDING, Signal.LOSS})
    expected, _ = signals_of(model, long_tokens, tmp_path / "whole", signals=EVERYTHING)
    signals_of(model, long_tokens, signals=first)
    write_columns(tmp_path, [f"id-{row}" for row in range(31)], {"loss": np.full(31, 5.0)})  # to know it again
    found, _ = signals_of(model, long_tokens, signals=second)
    assert (found["loss"] == 5.0).all() and list(found) == ["entropy", "loss"]
    np.testing.assert_array_equal(open_embeddings(tmp_path), open_embeddings(tmp_path / "whole"))
    np.save(tmp_path / "embeddings.npy", np.full((31, 16), 7.0, dtype=np.float32))
    watch = KillingWatch()
    found, report = signals_of(model, long_tokens, signals=EVERYTHING, watch=watch)
    assert (found["loss"] == 5.0).all() and (open_embeddings(tmp_path) == 7.0).all() and list(found) == NAMES
    for name in set(NAMES) - {"loss"}:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5)
    assert signals_of(model, long_tokens, signals=first, watch=KillingWatch(0))[1] == report


def test_shards_of_a_pass_for_other_signals_are_not_trusted(wide_llama, long_tokens, signals_of, small_shards, tmp_path):
    model = wide_llama()
    expected, _ = signals_of(model, long_tokens, tmp_path / "whole", signals=frozenset({Signal.ENTROPY}))
    with pytest.raises(Killed):
        signals_of(model, long_tokens, signals=frozenset({Signal.LOSS}), watch=KillingWatch(5))
    found, _ = signals_of(model, long_tokens, signals=frozenset({Signal.ENTROPY}))
    np.testing.assert_array_equal(found["entropy"], expected["entropy"])


@pytest.mark.parametrize("signals", [{Signal.PAPER_CONFIDENCE}, {Signal.ANSWER_LOSS}, EVERYTHING])
def test_values_that_are_not_finite_are_named(signals, wide_llama, long_tokens, signals_of, tmp_path):
    model = wide_llama(False)
    for row, ids in enumerate(long_tokens.rows):
        ids[-1] = 63 if row in (4, 9) else min(ids[-1], 62)
        ids[:-1] = np.minimum(ids[:-1], 62)
    model.model.embed_tokens.weight.data[63] = float("nan")
    long_tokens.mask = lambda row: np.arange(len(long_tokens.rows[row])) >= 1
    if signals == {Signal.ANSWER_LOSS}:
        model.model.embed_tokens.weight.data[63] = 0.0
        model.lm_head.weight.data[63] = -1e38
        model.lm_head.weight.data[63, ::2] = 1e38
    with pytest.raises(
        NonFiniteError, match=r"^\d+ of the 31 rows' vectors or signals computed so far are NaN or infinite: ids id-"
    ):
        signals_of(model, long_tokens, signals=frozenset(signals))
    assert not (tmp_path / "signals.parquet").exists()


def test_the_report_counts_the_head_and_the_second_pass(wide_llama, long_tokens, signals_of, tmp_path):
    model, n_tokens = wide_llama(), int(long_tokens.n_tokens.sum())
    reports = {
        name: signals_of(model, long_tokens, tmp_path / name, signals=signals)[1]
        for name, signals in {
            "loss": {Signal.LOSS},
            "both": {Signal.LOSS, Signal.ANSWER_LOSS},
            "alone": {Signal.ANSWER_LOSS},
        }.items()
    }
    attention = sum(2 * 2 * 16 * int(n) ** 2 for n in long_tokens.n_tokens)
    n_layer_parameters = 2 * (4 * 16 * 16 + 3 * 16 * 24 + 32) + 16
    assert reports["loss"].flops == 2 * (n_layer_parameters + 64 * 16) * n_tokens + attention
    assert reports["both"].flops == reports["loss"].flops + reports["alone"].flops
    assert reports["both"].n_tokens == n_tokens + reports["alone"].n_tokens == reports["both"].n_tokens_now
    assert json.loads((tmp_path / "both" / "embeddings.json").read_text())["report"] == reports["both"].values()
