"""How the pool is cut, padded and weighted."""

import numpy as np
import pytest

from diverseevol.errors import EmbedError
from diverseevol.models.batches import AnswerRows, collate, make_shards


def test_shards_are_the_pool_longest_first(make_tokens, small_shards):
    tokens = make_tokens(n_rows=200)
    shards = make_shards(tokens.n_tokens)
    rows = np.concatenate([shard.rows for shard in shards])
    assert sorted(rows.tolist()) == list(range(200))
    assert rows.tolist() == sorted(range(200), key=lambda row: (-tokens.n_tokens[row], row))
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(shard.n_tokens == tokens.n_tokens[shard.rows].sum() < 60 + 30 for shard in shards)
    assert len(shards) >= tokens.n_tokens.sum() // 60


def test_lengths_are_summed_without_overflow():
    assert make_shards(np.full(70, 2**25, dtype=np.int32))[-1].rows[-1] == 69


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
    with pytest.raises(
        EmbedError, match=r"cannot compute what is asked of row 1 \(id b\): it has no trained token\..*embed.pooling=mean"
    ):
        collate(tokens, np.array([1]), "response", ["a", "b"])


@pytest.fixture
def three(make_tokens):
    tokens = make_tokens(3)
    tokens.rows = [np.array([1, 5, 6, 7, 2]), np.array([4, 5, 6, 2]), np.array([1, 8, 2])]
    masks = [[0, 0, 0, 1, 1], [0, 1, 0, 1], [1, 0, 1]]
    tokens.mask = lambda row: np.array(masks[row], dtype=bool)
    return tokens


@pytest.mark.parametrize(
    "bos, ids, masks",
    [
        (1, [[1, 7, 2], [5, 2], [1, 2]], [[0, 1, 1], [1, 1], [1, 1]]),
        ([9, 4], [[7, 2], [4, 5, 2], [1, 2]], [[1, 1], [0, 1, 1], [1, 1]]),
        (None, [[7, 2], [5, 2], [1, 2]], [[1, 1], [1, 1], [1, 1]]),
    ],
)
def test_keeps_the_bos_and_the_trained_tokens(bos, ids, masks, three):
    view = AnswerRows(three, bos)
    assert [view.ids(row).tolist() for row in range(len(view))] == ids
    assert [view.mask(row).astype(int).tolist() for row in range(3)] == masks
    assert view.n_tokens.tolist() == [len(row) for row in ids] and view.n_tokens.dtype == np.int32


def test_a_single_trained_token_without_bos_stands_behind_the_rows_first(three):
    three.mask = lambda row: np.arange(len(three.rows[row])) == len(three.rows[row]) - 1
    view = AnswerRows(three, 1)
    assert [view.ids(row).tolist() for row in range(3)] == [[1, 2], [4, 2], [1, 2]]
    assert [view.mask(row).astype(int).tolist() for row in range(3)] == [[0, 1]] * 3
