import pytest

from diverseevol.config import round_sizes, split_budget


def test_the_papers_schedule():
    sizes = round_sizes(10, 100, 100, None)
    assert sizes == [100] * 11
    assert sum(sizes) == 1100


def test_geometric_grows_by_an_equal_factor_to_the_budget():
    sizes = round_sizes(4, 100, "geometric", 1600)
    totals = [sum(sizes[: index + 1]) for index in range(5)]
    assert totals == [100, 200, 400, 800, 1600]


def test_a_list_gives_one_number_a_round():
    assert round_sizes(3, 10, (1, 2, 3), None) == [10, 1, 2, 3]


@pytest.mark.parametrize(
    ("budget", "expected"), [(250, [100, 100, 50]), (100, [100]), (200, [100, 100]), (1000, [100, 100, 100, 100])]
)
def test_a_budget_in_samples_cuts_the_rounds(budget, expected):
    assert round_sizes(3, 100, 100, budget) == expected


def test_budgets_in_words():
    assert split_budget(None) == (None, None)
    assert split_budget(7) == (7, None)
    assert split_budget("1,100 samples") == (1100, None)
    assert split_budget("200_000 tokens") == (None, 200000)
    for bad in ("0 tokens", "tokens", "-3", "5 apples"):
        with pytest.raises(ValueError, match="give a number"):
            split_budget(bad)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, 100, 100, 50), "budget is 50, less than round 0 draws .n_init 100.: raise budget or lower n_init"),
        ((3, 100, 0, None), "at least one sample"),
        ((2, 100, (1, 0), None), "at least one sample"),
        ((3, 100, "geometric", 100), "geometric grows from n_init .100. to a budget in samples .found 100."),
        ((8, 100, "geometric", 102), "at least one sample"),
    ],
)
def test_contradictions(arguments, message):
    with pytest.raises(ValueError, match=message):
        round_sizes(*arguments)
