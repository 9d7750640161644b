from collections import Counter

import pytest

from diverseevol.models.train import StepSampler


@pytest.mark.parametrize("n_rows", [1, 15, 16, 17, 64, 100])
@pytest.mark.parametrize("width", [4, 6, 8, 12, 16, 20])
def test_every_step_holds_the_same_rows_for_any_width(n_rows, width):
    step = 16
    capacity = -(-step // width) * width
    reference = StepSampler(n_rows, step, step, seed=3)
    sampler = StepSampler(n_rows, step, width, seed=3)
    for epoch in range(2):
        reference.set_epoch(epoch)
        sampler.set_epoch(epoch)
        order, expected = list(sampler), [row for row in reference if row != n_rows]
        assert len(order) == len(sampler)
        assert len(order) % width == 0
        for index in range(-(-n_rows // step)):
            got = [row for row in order[index * capacity : (index + 1) * capacity] if row != n_rows]
            assert got == expected[index * step : (index + 1) * step]
        assert Counter(row for row in order if row != n_rows) == Counter(range(n_rows))


def test_epochs_and_seeds_differ_and_repeat():
    def order(seed, epoch):
        sampler = StepSampler(50, 10, 10, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)
    assert order(0, 0) != sorted(order(0, 0))
