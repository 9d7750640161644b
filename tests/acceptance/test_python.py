"""The public names of the package."""

import subprocess
import sys

import numpy as np
import pytest


def test_import_is_light_and_every_public_name_is_there():
    code = (
        "import sys, diverseevol; assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
        "for name in ('evolve', 'load_config', 'select', 'embed_pool', 'vendi_score', 'Pool', 'make_strategy',"
        " 'Selection', 'Signal', 'Signals'): assert getattr(diverseevol, name) is not None and name in dir(diverseevol)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", ["numpy", "float16", "torch", "memory-mapped"])
def test_select_takes_arrays_of_any_kind_and_says_distance(kind, tmp_path):
    import torch

    from diverseevol import select

    points = np.random.default_rng(0).standard_normal((300, 12)).astype(np.float16).astype(np.float32)
    given = {"numpy": points, "float16": points.astype(np.float16), "torch": torch.from_numpy(points)}.get(kind)
    if given is None:
        np.save(tmp_path / "x.npy", points)
        given = np.load(tmp_path / "x.npy", mmap_mode="r")
    have, exact = [7, 3], points.astype(np.float64)
    picks = select(given, have, 5, strategy="k_center", seed=0)
    for row, distance in zip(picks.rows.tolist(), picks.columns["distance"], strict=True):
        nearest = np.linalg.norm(exact[:, None] - exact[have], axis=2).min(axis=1)
        assert row == nearest.argmax() and distance == pytest.approx(nearest.max())
        have.append(row)


def test_a_strategy_of_ones_own_is_an_object_with_needs_and_select():
    from diverseevol import Selection, Signal, make_strategy, select

    class Nearest:
        needs = frozenset({Signal.EMBEDDING})

        def select(self, signals, chosen_rows, n_new, rng):
            free = np.setdiff1d(np.arange(signals.n_rows), chosen_rows)
            norms = np.linalg.norm(np.asarray(signals.embeddings)[free], axis=1)
            return Selection(free[np.argsort(norms, kind="stable")[:n_new]])

    points = np.arange(10, dtype=np.float32)[:, None]
    assert select(points, [0], 3, strategy=Nearest()).rows.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="k_center"):
        make_strategy("k_centre")


def test_the_errors_of_the_library_are_of_one_tree_and_plain_python_errors_too():
    from diverseevol import DiverseEvolError, load_config, select

    with pytest.raises(DiverseEvolError, match="learning_rate") as caught:
        load_config(None, ("train.learning_rte=1",), options={"pool.path": "p", "model": "m", "out": "o"})
    assert isinstance(caught.value, ValueError)
    with pytest.raises(DiverseEvolError, match="NaN|finite"):
        select(np.array([[0.0], [np.nan], [1.0]], np.float32), [0], 1)
    with pytest.raises(DiverseEvolError, match="3"):
        select(np.zeros((3, 2), np.float32), [0], 3)


def test_vendi_score_is_the_published_definition():
    """Figures of vendi-score's README and tests: exp of the entropy of the eigenvalues of K / n."""
    from diverseevol import vendi_score

    rows = np.array([[100, 0], [99, 1], [1, 99], [0, 100]], np.float64)
    assert vendi_score(rows) == pytest.approx(1.99989799128, abs=1e-8)
