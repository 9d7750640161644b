import numpy as np
import pytest

from diverseevol.plan import Lengths


def test_rows_without_a_trained_token_are_left_out_of_everything():
    found = Lengths.of(np.array([4, 8, 12, 12]), np.array([1, 3, 5, 0]), np.array([4, 8, 30, 40]), 1000)
    assert (found.n_rows, found.n_sampled, found.left_out_share) == (750, 4, 0.25)
    assert (found.mean, found.mean_trained) == (8, 3)
    assert found.mean_square == pytest.approx((16 + 64 + 144) / 3)
    assert found.truncated_share == pytest.approx(1 / 3)
    assert found.percentiles == {5: 8, 25: 8, 50: 8, 75: 12, 95: 12, 100: 12}
    assert found.n_tokens == 6000
    assert found.mean_of_longest == 12
    many = Lengths.of(np.array([9, 1, 2, 3, 4, 5, 6, 8]), np.ones(8), np.ones(8), 8)
    assert many.mean_of_longest == (8 + 9) / 2


def test_a_pool_with_nothing_to_train_on():
    found = Lengths.of(np.array([5]), np.array([0]), np.array([9]), 10)
    assert (found.n_rows, found.left_out_share, found.n_tokens) == (0, 1.0, 0)


def test_a_smaller_model(shape):
    small = shape.scaled(0.1, "small")
    assert (small.name, small.n_all, small.n_computing, small.n_decoder, small.n_head) == ("small", 10, 8, 6, 2)
    assert (small.width, small.n_vocabulary, small.n_layers) == (4, 5, 1)
