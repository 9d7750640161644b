"""A cache with room holds what the library's cache holds."""

import pytest
import torch
from transformers.cache_utils import DynamicLayer

from diverseevol.evaluation.answer_decode import ROOM, RoomyLayer


def states(n_rows, n_tokens, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n_rows, 2, n_tokens, 4, generator=generator) for _ in range(2))


@pytest.fixture
def layers():
    """The library's layer, and ours made from another one that was filled alike."""
    plain, other = DynamicLayer(), DynamicLayer()
    plain.update(*states(5, 7, seed=0))
    other.update(*states(5, 7, seed=0))
    return plain, RoomyLayer(other)


def test_holds_the_same_after_tokens_and_ended_rows(layers):
    rows = 5
    for step in range(2 * ROOM + 3):
        if step in (1, ROOM - 1, ROOM + 1):
            kept = torch.tensor([row for row in range(rows) if row != 1])
            rows -= 1
            for layer in layers:
                layer.batch_select_indices(kept)
        plain, ours = (layer.update(*states(rows, 1, seed=1 + step)) for layer in layers)
        assert torch.equal(plain[0], ours[0])
        assert torch.equal(plain[1], ours[1])
        assert layers[0].get_seq_length() == layers[1].get_seq_length() == 8 + step
        assert layers[0].get_mask_sizes(1) == layers[1].get_mask_sizes(1)


def test_a_token_more_moves_nothing(layers):
    _, ours = layers
    ours.update(*states(5, 1, seed=1))
    place = ours.keys.data_ptr()
    for step in range(ROOM):
        ours.update(*states(5, 1, seed=2 + step))
        assert ours.keys.data_ptr() == place
