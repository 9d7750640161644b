"""The running statistics against all logits at once, in float64."""

import pytest
import torch

from diverseevol.models.embed import statistics
from diverseevol.models.embed.head import Head
from diverseevol.models.embed.statistics import Statistics, merge, position_statistics, two_largest

ALL = frozenset({"second", "total", "weighted", "target"})


def made(n_words, n_positions=37, width=5, scale=4.0):
    generator = torch.Generator().manual_seed(n_words)
    hidden_ND = torch.randn(n_positions, width, generator=generator)
    head = Head(scale * torch.randn(n_words, width, generator=generator), torch.randn(n_words, generator=generator))
    return head, hidden_ND, torch.randint(0, n_words, (n_positions,), generator=generator)


def by_definition(head, hidden_ND, targets_N):
    z = hidden_ND.double() @ head.weight_VD.T.double() + head.bias_V.double()
    ordered = z.sort(1, descending=True).values
    y = z - ordered[:, :1]
    target = z.gather(1, targets_N.clamp_min(0)[:, None])[:, 0] * (targets_N >= 0)
    return Statistics(ordered[:, 0], ordered[:, 1], y.exp().sum(1), (y.exp() * y).sum(1), target)


@pytest.mark.parametrize("n_words", [2, 31, 32, 33, 64, 1000])
@pytest.mark.parametrize("block", [(1, 32), (16, 64), (512, 1024)])
def test_any_vocabulary_in_any_blocks(n_words, block, monkeypatch):
    monkeypatch.setattr(statistics, "CPU_BLOCK", block)
    head, hidden_ND, targets_N = made(n_words)
    positions_P = torch.tensor([3, 0, 8, 36, 5])
    targets_P = torch.where(positions_P == 8, -1, targets_N[positions_P])
    found = position_statistics(head, hidden_ND, positions_P, targets_P, ALL)
    expected = by_definition(head, hidden_ND[positions_P], targets_P)
    for name, values in found._asdict().items():
        assert values.dtype == torch.float32
        torch.testing.assert_close(values.double(), getattr(expected, name), atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("parts", [frozenset(), {"second"}, {"total"}, {"total", "weighted"}, {"total", "target"}])
def test_only_what_is_asked_for_is_computed(parts, monkeypatch):
    calls = []
    monkeypatch.setattr(statistics, "two_largest", lambda block_PC: calls.append("second") or two_largest(block_PC))
    monkeypatch.setattr(torch, "exp", lambda *args, exp=torch.exp, **kwargs: calls.append("total") or exp(*args, **kwargs))
    head, hidden_ND, targets_N = made(40)
    found = position_statistics(head, hidden_ND, torch.arange(37), targets_N, frozenset(parts))
    assert set(calls) == set(parts) & {"second", "total"}
    expected = by_definition(head, hidden_ND, targets_N)
    for name in {"largest", *parts}:
        torch.testing.assert_close(getattr(found, name).double(), getattr(expected, name), atol=1e-5, rtol=1e-5)


def test_nothing_is_sorted(monkeypatch):
    for name in ("sort", "topk", "argsort", "kthvalue"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_args, **_kwargs: pytest.fail("sorted"))
        monkeypatch.setattr(torch, name, lambda *_args, **_kwargs: pytest.fail("sorted"))
    position_statistics(*made(100)[:2], torch.arange(37), torch.zeros(37, dtype=torch.int64), ALL)


@pytest.mark.parametrize("first, second", [(0, 1), (0, 32), (5, 70), (95, 95)])
def test_two_words_may_share_the_largest_logit(first, second):
    block_PC = torch.arange(96.0).repeat(3, 1) / 100
    block_PC[:, first] = block_PC[:, second] = 7.0
    found = [values.tolist() for values in two_largest(block_PC)]
    assert found == ([[7.0] * 3, [7.0] * 3] if first != second else [[7.0] * 3, [torch.tensor(0.94).item()] * 3])


def test_the_second_may_stand_anywhere():
    for seed in range(50):
        block_PC = torch.rand(20, 96, generator=torch.Generator().manual_seed(seed)) - 5
        expected = block_PC.sort(1, descending=True).values[:, :2]
        torch.testing.assert_close(torch.stack(two_largest(block_PC), 1), expected, atol=0, rtol=0)


def test_merging_is_exact_however_far_parts_lie_apart():
    low, high = made(50, scale=1.0), made(60, scale=30.0)
    both = Head(torch.cat([low[0].weight_VD, high[0].weight_VD]), torch.cat([low[0].bias_V, high[0].bias_V]))
    hidden_ND = low[1]
    outside = torch.full((37,), -1)
    found = merge(by_definition(low[0], hidden_ND, outside), by_definition(high[0], hidden_ND, outside))
    for values, expected in zip(found, by_definition(both, hidden_ND, outside), strict=True):
        torch.testing.assert_close(values, expected, atol=1e-10, rtol=1e-10)
