import numpy as np
import pytest

from diverseevol.evaluation import per_token


def test_a_token_weighs_as_a_token():
    sums, n_trained, groups = np.array([2.0, 9.0, 6.0]), np.array([1, 3, 2]), ["b", "a", "b"]
    result = per_token.loss_per_token(sums, n_trained, groups)
    by_group = {"a": 9 / 3, "b": 8 / 3}
    assert result == {
        "loss": pytest.approx(17 / 6),
        "perplexity": pytest.approx(np.exp(17 / 6)),
        "by_group": pytest.approx(by_group),
        "worst_group": "a",
        "balanced_loss": pytest.approx((9 / 3 + 8 / 3) / 2),
    }
    assert per_token.loss_per_token(np.array([2.0, 8.0]), np.array([1, 3])) == {
        "loss": 2.5,
        "perplexity": pytest.approx(np.exp(2.5)),
    }


def test_a_perplexity_that_no_number_holds_is_none():
    assert per_token.perplexity(0.0) == 1.0
    assert per_token.perplexity(709.7) == pytest.approx(np.exp(709.7))
    assert per_token.perplexity(709.8) is None
