import numpy as np
import pytest
import torch

from diverseevol.evaluation.answer_choose import drawn, uniforms


def scores(seed=0, rows=6, width=80):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32) * 3)


def by_definition(row, temperature, top_k, uniform):
    """Sort, keep the best, sum up in the order of ids."""
    kept = sorted(sorted(range(len(row)), key=lambda i: -row[i])[: top_k or len(row)])
    weights = np.exp(row[kept].astype(np.float64) / temperature)
    sums = np.cumsum(weights) / weights.sum()
    return kept[int(np.searchsorted(sums, uniform, side="right"))]


@pytest.mark.parametrize("top_k", [1, 2, 7, 79, 80, 200, None])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_equals_the_definition(top_k, temperature):
    for seed in range(20):
        scores_BV = scores(seed)
        wanted = np.random.default_rng(seed).random(6)
        tokens = drawn(scores_BV, temperature, top_k, torch.from_numpy(wanted))
        expected = [by_definition(row, temperature, top_k, u) for row, u in zip(scores_BV.numpy(), wanted, strict=True)]
        assert tokens.tolist() == expected


def test_tokens_come_as_often_as_they_should():
    row = torch.tensor([[1.0, 3.0, 2.0, 2.5, -1.0]])
    n = 40_000
    tokens = drawn(row.expand(n, -1), 0.7, 3, torch.from_numpy(np.random.default_rng(1).random(n)))
    shares = np.bincount(tokens.numpy(), minlength=5) / n
    weights = np.exp(np.array([3.0, 2.0, 2.5]) / 0.7)
    assert shares[[1, 2, 3]] == pytest.approx(weights / weights.sum(), abs=0.01)
    assert shares[0] == shares[4] == 0


def test_the_ends_of_the_range_give_the_first_and_the_last_candidate():
    row = torch.tensor([[0.0, 5.0, 1.0, 4.0, 3.0]])
    for uniform, token in ((0.0, 1), (np.nextafter(1.0, 0.0), 4)):
        assert drawn(row, 1.0, 3, torch.tensor([uniform], dtype=torch.float64)).item() == token


def test_a_question_has_its_own_numbers():
    first = uniforms(0, 7, 5)
    assert (uniforms(0, 7, 3) == first[:3]).all()
    others = [uniforms(0, "7", 5), uniforms(1, 7, 5), uniforms(0, 8, 5)]
    assert len({tuple(values) for values in [first, *others]}) == 4
    assert first.min() >= 0 and first.max() < 1
