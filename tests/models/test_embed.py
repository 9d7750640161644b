"""The pass as a whole: any batch size, killed and resumed, out of memory, not finite."""

import json
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from diverseevol.errors import EmbedError, NonFiniteError
from diverseevol.models.batches import make_shards
from diverseevol.models.embed import EmbedReport, open_embeddings


class Killed(Exception):
    pass


class KillingWatch:
    """Kills the pass after so many batches; counts tokens."""

    def __init__(self, n_batches=10**9):
        self.n_batches, self.n_tokens, self.total = n_batches, 0, 0.0

    @contextmanager
    def task(self, name, total, unit):
        assert unit == "tokens"
        self.total = total
        yield self

    def advance(self, n=1):
        self.n_tokens, self.n_batches = self.n_tokens + n, self.n_batches - 1
        if self.n_batches < 0:
            raise Killed

    def note(self, text):
        pass


def limit_memory(model, n_padded, error=None):
    """Let the decoder fail on batches of more than `n_padded` positions, the first trial aside; returns the shapes that passed."""
    forward, passed, tried = model.model.forward, [], []

    def limited(input_ids, **kwargs):
        tried.append(input_ids.shape)
        if input_ids.numel() > n_padded and len(tried) > 1:
            raise error or torch.OutOfMemoryError("CUDA out of memory.")
        passed.append(tuple(input_ids.shape))
        return forward(input_ids, **kwargs)

    model.model.forward = limited
    return passed


@pytest.mark.parametrize("tokens_per_batch", ["auto", 1, 64])
def test_batch_size_changes_nothing(tokens_per_batch, llama, tokens, embed, one_row_at_a_time, small_shards):
    embeddings_ND, report = embed(llama, tokens, tokens_per_batch=tokens_per_batch)
    np.testing.assert_allclose(embeddings_ND, one_row_at_a_time(llama, tokens), atol=2e-6)
    assert report.n_tokens == report.n_tokens_now == tokens.n_tokens.sum() <= report.n_padded_tokens
    assert tokens_per_batch == "auto" or report.tokens_per_batch == tokens_per_batch


@pytest.mark.parametrize(
    "pooling, weigh",
    [
        ("response", lambda row, n: np.arange(n) >= n // 3),
        ("last", lambda row, n: np.arange(n) == n - 1),
        ("weighted", lambda row, n: np.arange(1, n + 1)),
    ],
)
def test_poolings(pooling, weigh, llama, tokens, embed, one_row_at_a_time):
    embeddings_ND, _ = embed(llama, tokens, pooling=pooling)
    np.testing.assert_allclose(embeddings_ND, one_row_at_a_time(llama, tokens, weigh), atol=2e-6)


@pytest.mark.parametrize("n_workers", [1, 3])
def test_workers_split_batches_not_operations(n_workers, llama, tokens, embed, monkeypatch, tmp_path):
    expected_ND, _ = embed(llama, tokens, tmp_path / "a", tokens_per_batch=32)
    inner = []
    real = torch.get_num_threads
    llama.model.register_forward_hook(lambda *_: inner.append((threading.get_ident(), real())) or None)
    monkeypatch.setattr("torch.get_num_threads", lambda: n_workers)
    embeddings_ND, _ = embed(llama, tokens, tmp_path / "b", tokens_per_batch=32)
    np.testing.assert_array_equal(embeddings_ND, expected_ND)
    inner = inner[1:]  # without the first trial, on this thread
    assert len({thread for thread, _ in inner}) <= n_workers
    assert {n_inner for _, n_inner in inner} == {1 if n_workers > 1 else real()}


@pytest.mark.parametrize("n_batches", [0, 5])
def test_killed_and_resumed_equals_uninterrupted(n_batches, llama, tokens, embed, small_shards, tmp_path):
    expected_ND, whole = embed(llama, tokens, tmp_path / "whole", tokens_per_batch=31)
    with pytest.raises(Killed):
        embed(llama, tokens, tokens_per_batch=31, watch=KillingWatch(n_batches))
    assert not (tmp_path / "embeddings.npy").exists()
    watch = KillingWatch()
    embeddings_ND, report = embed(llama, tokens, tokens_per_batch=31, watch=watch)
    np.testing.assert_array_equal(embeddings_ND, expected_ND)
    assert watch.n_tokens == watch.total == report.n_tokens_now
    assert (report.n_tokens_now < whole.n_tokens_now) == (n_batches > 0)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["embeddings.json", "embeddings.npy", "whole"]


def test_a_finished_shard_is_believed_and_others_are_done_again(llama, tokens, embed, small_shards, tmp_path):
    expected_ND, _ = embed(llama, tokens, tmp_path / "whole")
    with pytest.raises(Killed):
        embed(llama, tokens, watch=KillingWatch(4))
    first, *_ = sorted((tmp_path / "embeddings.progress").glob("*.npz"))
    shard = dict(np.load(first))
    assert np.array_equal(shard["rows"], make_shards(tokens.n_tokens)[0].rows)
    np.savez(first, **shard | {"embedding": np.full_like(shard["embedding"], 77.0)})
    (tmp_path / "embeddings.progress" / "embed-0003.npz.partial").write_bytes(b"cut off")
    embeddings_ND, _ = embed(llama, tokens)
    assert (embeddings_ND[shard["rows"]] == 77.0).all()
    others = np.setdiff1d(np.arange(len(tokens)), shard["rows"])
    np.testing.assert_array_equal(embeddings_ND[others], expected_ND[others])


@pytest.mark.parametrize("change", [dict(fingerprint="another model"), dict(pooling="last")])
def test_shards_of_another_pass_are_not_trusted(change, llama, tokens, embed, small_shards, tmp_path):
    expected_ND, _ = embed(llama, tokens, tmp_path / "whole", **change)
    with pytest.raises(Killed):
        embed(llama, tokens, watch=KillingWatch(5))
    embeddings_ND, report = embed(llama, tokens, **change)
    np.testing.assert_array_equal(embeddings_ND, expected_ND)
    assert report.n_tokens_now == report.n_tokens


def test_an_old_file_is_gone_while_another_pass_is_under_way(llama, tokens, embed, tmp_path):
    embed(llama, tokens)
    with pytest.raises(Killed):
        embed(llama, tokens, fingerprint="another", watch=KillingWatch(0))
    with pytest.raises(EmbedError, match="has no finished embeddings.npy. Run the pass"):
        open_embeddings(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        None,
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried …"),
    ],
)
def test_batches_are_halved_when_memory_runs_out(error, llama, tokens, embed, one_row_at_a_time):
    expected_ND = one_row_at_a_time(llama, tokens)
    passed = limit_memory(llama, 70, error)
    embeddings_ND, report = embed(llama, tokens, tokens_per_batch=400)
    np.testing.assert_allclose(embeddings_ND, expected_ND, atol=2e-6)
    assert 35 <= report.tokens_per_batch <= 70
    assert len(passed) < 2 * tokens.n_tokens.sum() / 35  # not down to single rows


def test_a_row_that_does_not_fit_is_an_error(llama, tokens, embed):
    limit_memory(llama, 20)
    tokens.rows = [row[:30] for row in tokens.rows]
    with pytest.raises(EmbedError, match=r"out of memory embedding \d+ tokens at once; the longest row has 30\. Lower embed"):
        embed(llama, tokens, tokens_per_batch=400)


def test_ranks_that_share_a_model_cannot_go_back(llama, tokens, embed, monkeypatch):
    monkeypatch.setattr("diverseevol.models.encoder.is_sharded", lambda model: True)
    limit_memory(llama, 60)
    with pytest.raises(EmbedError, match=r"out of memory embedding \d+ tokens at once; "):
        embed(llama, tokens, tokens_per_batch=400)
    assert not llama.model._forward_hooks


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named_and_never_resumed(
    value, llama, tokens, embed, one_row_at_a_time, monkeypatch, tmp_path
):
    monkeypatch.setattr("diverseevol.models.batches.SHARD_TOKENS", 120)
    weight = llama.model.embed_tokens.weight.data
    good, weight[63] = weight[63].clone(), value
    bad = [2, 5, 7, 11, 13, 17]
    for row in range(len(tokens)):  # one shard of three long rows, one of the bad rows, and shorter ones behind
        tokens.rows[row] = np.arange(1, 41) if row in (0, 1, 3) else np.full(20, 63) if row in bad else tokens.rows[row][:19]
    tokens.n_tokens[:] = [len(row) for row in tokens.rows]
    names = ", ".join(f"id-{row}" for row in bad[:5])
    with pytest.raises(NonFiniteError, match=rf"^6 of the \d+ vectors .* ids {names}, …\. Lower train.learning_rate"):
        embed(llama, tokens, tokens_per_batch=400)
    assert not (tmp_path / "embeddings.npy").exists()
    weight[63] = good
    embeddings_ND, report = embed(llama, tokens, tokens_per_batch=400)
    assert report.n_tokens - report.n_tokens_now == 120  # of the long rows
    np.testing.assert_allclose(embeddings_ND, one_row_at_a_time(llama, tokens), atol=2e-6)


def test_what_a_padded_position_holds_is_not_seen(llama, tokens, embed, one_row_at_a_time):
    expected_ND = one_row_at_a_time(llama, tokens)

    def poison(_module, _arguments, inputs, output):
        output.last_hidden_state[inputs["input_ids"] == 0] = float("nan")  # the fake pool has no token 0

    llama.model.register_forward_hook(poison, with_kwargs=True)
    np.testing.assert_allclose(embed(llama, tokens)[0], expected_ND, atol=2e-6)


def test_an_empty_pool_and_an_empty_row_are_errors(llama, make_tokens, embed):
    with pytest.raises(EmbedError, match="cannot embed: the pool has no row. Its quarantine.jsonl"):
        embed(llama, make_tokens(0))
    tokens = make_tokens(3)
    tokens.rows[1], tokens.n_tokens[1] = tokens.rows[1][:0], 0
    with pytest.raises(EmbedError, match="cannot embed: row 1 of the pool has no token"):
        embed(llama, tokens)


def test_report(llama, make_tokens, embed, tmp_path):
    tokens = make_tokens(9)
    _, report = embed(llama, tokens)
    n_layer_parameters = 2 * (16 * 16 * 2 + 16 * 8 * 2 + 3 * 16 * 24 + 32) + 16
    attention = sum(2 * 2 * 16 * int(n) ** 2 for n in tokens.n_tokens)
    assert report.flops == 2 * n_layer_parameters * tokens.n_tokens.sum() + attention
    assert (report.n_rows, report.width, report.dtype) == (9, 16, "float32")
    assert report.tokens_per_second == pytest.approx(report.n_tokens / report.seconds) and report.peak_memory_bytes > 1e6
    assert EmbedReport(**json.loads((tmp_path / "embeddings.json").read_text())["report"]) == report
