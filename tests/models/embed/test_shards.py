"""How the pool is cut, padded and weighted."""

import numpy as np
import pytest
import torch

from diverseevol.errors import EmbedError
from diverseevol.models.embed.shards import batch_stop, collate, make_shards, memory_budget


def test_shards_are_the_pool_longest_first(make_tokens, small_shards):
    tokens = make_tokens(n_rows=200)
    shards = make_shards(tokens.n_tokens)
    rows = np.concatenate([shard.rows for shard in shards])
    assert sorted(rows.tolist()) == list(range(200))
    assert rows.tolist() == sorted(range(200), key=lambda row: (-tokens.n_tokens[row], row))
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(shard.n_tokens == tokens.n_tokens[shard.rows].sum() < 60 + 30 for shard in shards)
    assert len(shards) >= tokens.n_tokens.sum() // 60


def test_a_large_pool_has_few_shards(monkeypatch):
    monkeypatch.setattr("diverseevol.models.embed.shards.SHARD_TOKENS", 1)
    assert 4000 < len(make_shards(np.full(100_000, 7, dtype=np.int32))) <= 4096


def test_lengths_are_summed_without_overflow():
    assert make_shards(np.full(70, 2**25, dtype=np.int32))[-1].rows[-1] == 69


def test_a_batch_fills_the_budget_and_has_a_row_at_least():
    n_tokens_N, rows = np.array([10, 10, 9, 4, 4]), np.arange(5)
    assert [batch_stop(rows, 0, n_tokens_N, budget) for budget in (9, 10, 19, 20, 30, 1000)] == [1, 1, 1, 2, 3, 5]
    assert batch_stop(rows, 3, n_tokens_N, 8) == 5
    assert [batch_stop(rows, start, n_tokens_N, 1000, is_length_bound=True) for start in (0, 1, 2, 3)] == [2, 2, 3, 5]


@pytest.mark.parametrize(
    "pooling, expected",
    [
        ("mean", [[1 / 3] * 3 + [0, 0], [0.2] * 5]),
        ("response", [[0, 0.5, 0.5, 0, 0], [0, 0.25, 0.25, 0.25, 0.25]]),
        ("last", [[0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]),
        ("weighted", [[1 / 6, 2 / 6, 3 / 6, 0, 0], [1 / 15, 2 / 15, 3 / 15, 4 / 15, 5 / 15]]),
    ],
)
def test_weights(pooling, expected, make_tokens):
    tokens = make_tokens(3)
    tokens.rows[:] = [np.array([7, 8]), np.array([1, 2, 3]), np.array([5, 6, 7, 8, 9])]
    batch = collate(tokens, np.array([1, 2]), pooling, ["a", "b", "c"])
    assert batch.ids_BT.tolist() == [[1, 2, 3, 0, 0], [5, 6, 7, 8, 9]]
    np.testing.assert_allclose(batch.weights_BT.numpy(), expected, rtol=1e-6)
    assert batch.n_tokens == 8 and batch.is_padded and batch.lengths_B.tolist() == [3, 5]
    assert not collate(tokens, np.array([2]), pooling, ["a", "b", "c"]).is_padded


def test_a_row_without_trained_token_is_named(make_tokens):
    tokens = make_tokens(2)
    tokens.mask = lambda row: np.zeros(len(tokens.ids(row)), dtype=bool)
    with pytest.raises(EmbedError, match=r"cannot embed row 1 \(id b\): it has no trained token.*embed.pooling=mean"):
        collate(tokens, np.array([1]), "response", ["a", "b"])


def test_budget_follows_total_memory_alone(monkeypatch):
    memory = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1 << 20}  # 4 GiB
    monkeypatch.setattr("os.sysconf", memory.get)
    cpu = torch.device("cpu")
    assert memory_budget(cpu, 1 << 10, 0, 2) == 2048  # the cache's bound
    assert memory_budget(cpu, 1 << 20, 0, 2) == 512  # a quarter of 4 GiB, two workers, 1 MiB a token
    assert memory_budget(cpu, 1 << 40, 0, 2) == 1
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _device: type("P", (), {"total_memory": 10 << 30}))
    assert memory_budget(torch.device("cuda", 0), 1 << 20, 1 << 30, 1) == 4096  # half of what is left of nine tenths
    assert memory_budget(torch.device("cuda", 0), 1, 1 << 30, 1) == 1 << 15
