import numpy as np
import pytest

from diverseevol.errors import NonFiniteError, SelectionError
from diverseevol.selection import Signals, make_strategy
from diverseevol.selection import quality_diversity as unit
from diverseevol.selection.quality_diversity import QualityDiversity


def pick(points, quality, chosen, n_new, selectable=None, **options):
    signals = Signals(len(points), points, {"score": np.asarray(quality)}, selectable)
    return QualityDiversity("score", **options).select(signals, np.array(chosen, dtype=int), n_new, np.random.default_rng(0))


def filter_by_definition(points, quality, chosen, n_new, threshold):
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    picks, known = [], sorted(chosen)

    def nearest(row):
        distances = [np.square(units[row] - units[other]).sum() / 2 for other in sorted(known)]
        return (min(distances), sorted(known)[int(np.argmin(distances))]) if known else (2.0, -1)

    ranked = sorted((row for row in range(len(points)) if row not in chosen), key=lambda row: (-quality[row], row))
    for is_fill in (False, True):
        for row in ranked:
            if len(picks) < n_new and row not in known and (is_fill or not known or nearest(row)[0] > threshold):
                picks.append((row, *nearest(row), is_fill))
                known.append(row)
    return picks


@pytest.mark.parametrize("kind", ["plain", "duplicates", "near_duplicates"])
@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.7, 2])
@pytest.mark.parametrize("n_chosen", [0, 5])
def test_filter_equals_its_definition(kind, threshold, n_chosen, make_points, monkeypatch):
    monkeypatch.setattr(unit, "BLOCK_ROWS", 7)
    rng = np.random.default_rng([n_chosen, len(kind)])
    points = make_points(kind, 60, 3, rng).astype(np.float64)
    quality, chosen = rng.integers(0, 9, 60).astype(float), rng.permutation(60)[:n_chosen].tolist()
    picks = pick(points, quality, chosen, 40, threshold=threshold)
    rows, distances, nearest, is_fill = zip(*filter_by_definition(points, quality, chosen, 40, threshold), strict=True)
    assert picks.rows.tolist() == list(rows)
    assert picks.columns["distance"] == pytest.approx(np.array(distances), abs=1e-15)
    assert (picks.columns["distance"] == 0).sum() == (np.array(distances) < 1e-30).sum()
    assert picks.columns["is_fill"].tolist() == list(is_fill)
    assert picks.columns["quality"].tolist() == quality[list(rows)].tolist()
    if kind == "plain":
        assert picks.columns["nearest_row"].tolist() == list(nearest)


@pytest.mark.parametrize("power", [0, 0.5, 1, 3.0])
@pytest.mark.parametrize("n_chosen", [0, 4])
def test_product_equals_its_definition(power, n_chosen):
    rng = np.random.default_rng(n_chosen)
    points, quality = rng.normal(size=(70, 5)), rng.random(70) * 1e200
    quality[::7] = 0
    chosen = rng.permutation(70)[:n_chosen].tolist()
    picks = pick(points, quality, chosen, 30, mode="product", power=power)
    known = list(chosen)
    for n, row in enumerate(picks.rows):
        others = points[sorted(known)] if known else points[[r for r in range(70) if r not in chosen]].mean(axis=0)[None]
        distances = np.linalg.norm(points[:, None] - others, axis=2).min(axis=1)
        products = (quality / 1e200) ** power * distances
        products[known] = -1
        assert row == products.argmax()
        assert picks.columns["distance"][n] == pytest.approx(distances[row])
        known.append(row)
    assert set(picks.columns) == {"distance", "nearest_row", "quality"}


def test_power_0_is_k_center(oracle):
    points = np.random.default_rng(1).normal(size=(50, 4))
    picks = pick(points, np.arange(50.0), [3, 9], 12, mode="product", power=0)
    assert picks.rows.tolist() == [row for row, *_ in oracle(points, [3, 9], 12)]


@pytest.mark.parametrize("mode", ["filter", "product"])
def test_copies_of_chosen_rows_come_last(mode):
    rng = np.random.default_rng(2)
    distinct = rng.normal(size=(50, 16))
    points = np.concatenate([distinct, distinct[:1] * (1 + 1e-6 * rng.normal(size=(1000, 16)))])
    quality = np.concatenate([rng.random(50) + 0.1, np.full(1000, 1.1)])  # and they have the best quality
    assert sorted(pick(points, quality, [0], 49, mode=mode, threshold=0.01).rows) == list(range(1, 50))


def test_all_qualities_zero_and_only_selectable_rows():
    points, selectable = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) > 3
    quality = np.zeros(9)
    quality[:4] = np.nan  # of rows that may not be picked
    assert pick(points, quality, [1], 2, selectable, mode="product").rows.tolist() == [4, 5]
    assert pick(points, quality, [1], 2, selectable, threshold=0).rows.tolist() == [4, 5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "sum"}, "mode: Input should be 'filter' or 'product'; found 'sum'"),
        ({"threshold": 2.5}, "threshold: Input should be less than or equal to 2; found 2.5"),
        ({"threshold": "low"}, "found 'low'"),
        ({"power": -1}, "power: Input should be greater than or equal to 0; found -1"),
        ({"quality": ""}, "quality: String should have at least 1 character; found ''"),
    ],
)
def test_says_what_is_wrong_with_options(options, message):
    with pytest.raises(SelectionError, match=message):
        make_strategy("quality_diversity", **{"quality": "score"} | options)


def test_says_what_is_wrong_with_the_quality():
    points = np.eye(4)
    assert QualityDiversity("score").needs == {"embedding", "score"}
    with pytest.raises(NonFiniteError, match="the quality 'score' of 2 rows is NaN or infinite: 0, 3. Exclude them"):
        pick(points, [np.nan, 1, 1, np.inf], [2], 1)
    with pytest.raises(SelectionError, match="the quality 'score' of 1 rows is negative: 1"):
        pick(points, [1, -1e-9, 1, 0], [], 1)
    with pytest.raises(SelectionError, match="quality_diversity needs numbers in the column 'score'; found 'a', 'b', 'c'. Name"):
        pick(points, ["a", "b", "c", "d"], [], 1)
    with pytest.raises(SelectionError, match="quality_diversity needs the column 'length', which is not there. Known: score."):
        signals = Signals(4, points, {"score": np.ones(4)})
        QualityDiversity("length").select(signals, np.array([], int), 1, np.random.default_rng(0))


@pytest.mark.parametrize("quality", [3, 7, 49, 0.3])
def test_equal_products_go_to_the_lowest_row(quality):
    """One row is `quality` as good and as many times nearer: the products are equal, whatever float64 makes of a quotient."""
    for far, near in ((1, 2), (2, 1)):
        points, good = np.zeros((3, 1)), np.ones(3)
        points[far], points[near], good[near] = -quality, 1, quality
        assert pick(points, good, [0], 1, mode="product").rows.tolist() == [1]
