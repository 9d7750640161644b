import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from diverseevol.errors import NonFiniteError, PoolExhaustedError, SelectionError
from diverseevol.selection import Signal, Signals, select
from diverseevol.selection.k_center import KCenter

KINDS = ["plain", "duplicates", "near_duplicates", "huge_offset", "huge_scale", "lattice"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_equals_brute_force_pick_for_pick(kind, seed, oracle, make_points, as_triples):
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    n, width = int(rng.integers(8, 90)), int(rng.integers(1, 24))
    points = make_points(kind, n, width, rng)
    chosen = rng.permutation(n)[: int(rng.integers(1, n // 2))]  # scattered: a pool row is not a position
    n_new = int(rng.integers(1, n - len(chosen) + 1))
    assert as_triples(select(points, chosen, n_new)) == oracle(points, chosen, n_new)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    points=arrays(
        np.float32, st.tuples(st.integers(3, 14), st.integers(1, 4)), elements=st.floats(-(2.0**100), 2.0**100, width=32)
    ),
    data=st.data(),
)
def test_equals_brute_force_for_any_numbers(points, data, oracle, as_triples):
    chosen = data.draw(st.lists(st.integers(0, len(points) - 1), min_size=1, max_size=len(points) - 1, unique=True))
    n_new = len(points) - len(chosen)
    assert as_triples(select(points, chosen, n_new)) == oracle(points, chosen, n_new)


@pytest.mark.parametrize("kind", KINDS)
def test_more_rows_than_the_front_holds(kind, oracle, make_points, as_triples):
    rng = np.random.default_rng(5)
    points = make_points(kind, 2600, 3, rng)
    chosen = rng.permutation(2600)[:30]
    assert as_triples(select(points, chosen, 80)) == oracle(points, chosen, 80)


def test_ties_between_more_rows_than_the_front_holds(oracle, as_triples):
    points = np.zeros((2500, 2), dtype=np.float32)
    points[1:, 0] = 1  # all the others at the same place
    points[2000, 0] = 2
    assert as_triples(select(points, [0], 5)) == oracle(points, [0], 5)


@pytest.mark.parametrize(("dtype", "width"), [(np.float32, 4000), (np.float16, 300), (np.float64, 300)])
def test_near_ties_are_decided_in_float64(dtype, width, oracle, as_triples):
    rng = np.random.default_rng(1)
    points = rng.normal(size=(60, width)).astype(dtype)
    signs = rng.choice([-1, 1], size=(40, width))
    points[20:] = points[3] + (points[19] - points[3]) * signs  # all nearly as far from row 3 as row 19 is
    assert as_triples(select(points, [3], 12)) == oracle(points, [3], 12)


@pytest.mark.parametrize("n_centres", [150, 300])
def test_a_few_centres_among_many_are_as_near_as_float32_can_tell(n_centres, oracle, make_points, as_triples, monkeypatch):
    from diverseevol.selection import distances

    monkeypatch.setattr(distances, "KEPT_NUMBERS", 3000)
    monkeypatch.setattr(distances, "BLOCK_NUMBERS", 5000)
    rng = np.random.default_rng(2)
    points = make_points("near_duplicates", 400, 16, rng)
    chosen = rng.permutation(400)[:n_centres]
    assert as_triples(select(points, chosen, 60)) == oracle(points, chosen, 60)


def test_duplicates_of_chosen_rows_come_last_and_by_row(make_points):
    points = make_points("plain", 30, 4, np.random.default_rng(4))
    points[[7, 25, 3]] = points[[20, 20, 11]]
    picks = select(points, [20, 11], 28)
    assert picks.rows[-3:].tolist() == [3, 7, 25]
    assert picks.columns["distance"][-3:].tolist() == [0, 0, 0]
    assert picks.columns["nearest_row"][-3:].tolist() == [11, 20, 7]  # row 7, just picked, lies where 20 does
    assert (picks.columns["distance"][:-3] > 0).all()
    assert (np.diff(picks.columns["distance"]) <= 0).all()


def test_nothing_chosen_starts_farthest_from_the_mean(oracle, make_points):
    points = make_points("huge_offset", 700, 6, np.random.default_rng(6))
    picks = select(points, [], 40)
    expected = oracle(points, [], 40)
    assert picks.rows.tolist() == [row for row, _, _ in expected]
    assert picks.columns["nearest_row"].tolist() == [nearest for _, _, nearest in expected]
    assert picks.columns["distance"] == pytest.approx([distance for _, distance, _ in expected], rel=1e-9)
    assert select(points, [], 1).rows.tolist() == [expected[0][0]]


def test_rows_that_are_not_selectable_are_never_read_or_picked_but_count_when_chosen(oracle, make_points, as_triples):
    points = make_points("plain", 60, 5, np.random.default_rng(7))
    selectable = np.arange(60) % 3 > 0
    expected = oracle(points, [0, 4, 9], 30, selectable)
    points[[3, 6]] = np.nan
    assert as_triples(select(points, [0, 4, 9], 30, selectable=selectable)) == expected
    with pytest.raises(
        PoolExhaustedError, match=r"cannot select 40 new samples: 39 of 60 are still unchosen and selectable. Lower n_new"
    ):
        select(points, [0, 4, 9], 40, selectable=selectable)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8])
def test_torch_types_of_few_bits(dtype, oracle, as_triples):
    points = (torch.randn(70, 6, generator=torch.Generator().manual_seed(0)) * 9).to(dtype)
    assert as_triples(select(points, [3, 5, 60], 30)) == oracle(points.double().numpy(), [3, 5, 60], 30)


@pytest.mark.parametrize("chosen", [[0, 17, 44], []])
@pytest.mark.parametrize("kind", ["near_duplicates", "lattice"])
def test_blocks_and_threads_change_nothing(chosen, kind, make_points, as_triples):
    points = make_points(kind, 500, 9, np.random.default_rng(9))
    expected = as_triples(select(points, chosen, 60))
    n_threads = torch.get_num_threads()
    for n in (1, 3):
        torch.set_num_threads(n)
        assert all(as_triples(select(points, chosen, 60, block_rows=rows)) == expected for rows in (1, 7, 499))
    torch.set_num_threads(n_threads)


def test_cosine_is_euclidean_on_unit_rows(make_points):
    points = make_points("plain", 90, 6, np.random.default_rng(11)).astype(np.float64)
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    cosine, euclidean = select(points, [4, 50], 30, metric="cosine"), select(units, [4, 50], 30)
    assert cosine.rows.tolist() == euclidean.rows.tolist()
    nearest = cosine.columns["nearest_row"]
    assert cosine.columns["distance"] == pytest.approx(1 - (units[cosine.rows] * units[nearest]).sum(axis=1), abs=1e-12)
    assert select(points * 1e200, [4, 50], 30, metric="cosine").rows.tolist() == cosine.rows.tolist()
    points[[8, 9]] = 0
    with pytest.raises(SelectionError, match=r"2 rows are all zeros and have no direction: 8, 9. Exclude them"):
        select(points, [4, 50], 30, metric="cosine")


@pytest.mark.parametrize("chosen", [[2], []])
def test_values_that_are_not_finite_are_named(chosen, make_points):
    points = make_points("plain", 40, 3, np.random.default_rng(12))
    points[[5, 6, 7, 8, 9, 30], 1] = [np.nan, np.inf, -np.inf, np.nan, np.nan, np.nan]
    with pytest.raises(
        NonFiniteError, match=r"6 rows of the embeddings hold NaN or infinite values: 5, 6, 7, 8, 9, …. Embed or exclude"
    ) as raised:
        select(points, chosen, 3)
    assert raised.value.rows == (5, 6, 7, 8, 9, 30)
    with pytest.raises(NonFiniteError, match=r"1 rows of the embeddings hold NaN or infinite values: 5"):
        select(points[:6], [5], 3)


@pytest.mark.parametrize("chosen", [[2], []])
def test_distances_beyond_float64_are_refused(chosen, make_points):
    points = make_points("plain", 40, 3, np.random.default_rng(13)).astype(np.float64)
    with pytest.raises(SelectionError, match=r"too large for float64. Scale the embeddings down"):
        select(points * 1e200, chosen, 3)


@pytest.mark.parametrize("n_ranks", [2, 3, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chosen", [[0, 17, 44, 8], []])
def test_any_number_of_ranks_gives_the_same(n_ranks, kind, chosen, make_points, as_triples, on_ranks):
    points = make_points(kind, 47 if kind == "plain" else 150, 5, np.random.default_rng(14))
    n_new = len(points) - len(chosen) if kind == "plain" else 30  # to the last row: some ranks run out before others
    alone = as_triples(select(points, chosen, n_new))
    assert on_ranks(n_ranks, lambda: as_triples(select(points, chosen, n_new))) == [alone] * n_ranks


def test_more_ranks_than_rows(make_points, as_triples, on_ranks):
    points = make_points("plain", 3, 2, np.random.default_rng(15))
    for chosen in ([], [1]):
        alone = as_triples(select(points, chosen, 2))
        assert on_ranks(4, lambda chosen=chosen: as_triples(select(points, chosen, 2))) == [alone] * 4


@pytest.mark.parametrize("chosen", [[2], []])
def test_every_rank_names_the_same_bad_rows(chosen, make_points, on_ranks):
    points = make_points("plain", 40, 3, np.random.default_rng(16))
    points[[5, 39], 1] = np.nan
    errors = on_ranks(3, lambda: select(points, chosen, 3))
    assert all(isinstance(error, NonFiniteError) and "2 rows" in str(error) and "5, 39" in str(error) for error in errors)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "manhattan"}, "metric: Input should be 'euclidean' or 'cosine'; found 'manhattan'"),
        ({"block_rows": 0}, "block_rows: Input should be greater than 0; found 0"),
        ({"device": "gpu"}, "device must be auto, cpu, cuda or cuda:NUMBER; found 'gpu'"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(SelectionError, match=message):
        select(np.ones((3, 2)), [0], 1, **options)


def test_embeddings_are_needed():
    assert KCenter().needs == {Signal.EMBEDDING}
    with pytest.raises(SelectionError, match=r"k_center needs embeddings and got none"):
        KCenter().select(Signals(n_rows=5), np.array([1]), 2, np.random.default_rng(0))


@pytest.mark.cuda
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_gives_the_same(kind, make_points, as_triples):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    points = make_points(kind, 5000, 64, np.random.default_rng(17))
    expected = as_triples(select(points, [3, 77, 1200], 60, device="cpu"))
    assert as_triples(select(torch.from_numpy(points).cuda(), torch.tensor([3, 77, 1200]).cuda(), 60)) == expected
    assert as_triples(select(points, [3, 77, 1200], 60, device="cuda")) == expected
