import numpy as np
import pytest
import torch

from diverseevol.evaluation.answer_choose import best, drawn, uniforms


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
        tokens, _ = drawn(scores_BV, temperature, top_k, torch.from_numpy(wanted))
        expected = [by_definition(row, temperature, top_k, u) for row, u in zip(scores_BV.numpy(), wanted, strict=True)]
        assert tokens.tolist() == expected


def test_tokens_come_as_often_as_they_should():
    row = torch.tensor([[1.0, 3.0, 2.0, 2.5, -1.0]])
    n = 40_000
    tokens, _ = drawn(row.expand(n, -1), 0.7, 3, torch.from_numpy(np.random.default_rng(1).random(n)))
    shares = np.bincount(tokens.numpy(), minlength=5) / n
    weights = np.exp(np.array([3.0, 2.0, 2.5]) / 0.7)
    assert shares[[1, 2, 3]] == pytest.approx(weights / weights.sum(), abs=0.01)
    assert shares[0] == shares[4] == 0


def test_the_ends_of_the_range_give_the_first_and_the_last_candidate():
    row = torch.tensor([[0.0, 5.0, 1.0, 4.0, 3.0]])
    for uniform, token in ((0.0, 1), (np.nextafter(1.0, 0.0), 4)):
        assert drawn(row, 1.0, 3, torch.tensor([uniform], dtype=torch.float64))[0].item() == token


def test_the_best_token_and_of_equals_the_lowest():
    tokens, is_doubtful = best(torch.tensor([[1.0, 2.0, 2.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]))
    assert tokens.tolist() == [1, 0, 0]
    assert is_doubtful.tolist() == [True, False, True]


def test_what_rounding_could_decide_is_doubtful():
    near = torch.tensor([[20.0, 20.0001, 1.0], [20.0, 20.01, 1.0], [0.1, 0.10000501, -1.0]])
    assert best(near)[1].tolist() == [True, False, True]
    row = torch.tensor([[2.0, 2.0, 0.0]])
    half = float(torch.tensor([2.0, 2.0, 0.0]).double().softmax(0)[0])
    for uniform, is_near in ((half, True), (half + 2e-6, True), (half + 1e-3, False), (half / 2, False)):
        assert drawn(row, 1.0, None, torch.tensor([uniform], dtype=torch.float64))[1].item() is is_near
    # Whether the last candidate is one at all matters only as far as it weighs.
    row = torch.tensor([[9.0, 1.0, 1.0, 0.0]])
    assert drawn(row, 1.0, 2, torch.tensor([0.5], dtype=torch.float64))[1].item() is False
    assert drawn(row, 1.0, 2, torch.tensor([0.9999], dtype=torch.float64))[1].item() is True


@pytest.mark.parametrize("top_k", [5, 50, None])
def test_rows_that_are_not_doubtful_survive_rounding(top_k):
    """The promise: scores off by the bound change no token but those of doubtful rows."""
    rng = np.random.default_rng(3)
    n_doubtful = 0
    for seed in range(60):
        scores_BV = scores(seed, rows=50, width=120)
        wanted = torch.from_numpy(rng.random(50))
        scale = scores_BV.amax(dim=1, keepdim=True).abs().clamp(min=1) * 0.9e-5
        moved_BV = scores_BV + scale * torch.from_numpy(rng.choice([-0.5, 0.5], size=(50, 120))).float()
        for rule in (best, lambda s, w=wanted: drawn(s, 0.7, top_k, w)):
            (tokens, is_doubtful), (moved, _) = rule(scores_BV), rule(moved_BV)
            assert (tokens == moved)[~is_doubtful].all()
            n_doubtful += int(is_doubtful.sum())
    assert n_doubtful < 60 * 100 * 0.02


def test_a_question_has_its_own_numbers():
    first = uniforms(0, 7, 5)
    assert (uniforms(0, 7, 3) == first[:3]).all()
    others = [uniforms(0, "7", 5), uniforms(1, 7, 5), uniforms(0, 8, 5)]
    assert len({tuple(values) for values in [first, *others]}) == 4
    assert first.min() >= 0 and first.max() < 1
