import numpy as np

from diverseevol.report.vectors import PoolVectors, find_vectors


def test_fixed_vectors_come_before_the_outer_models_and_those_before_a_rounds(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    assert find_vectors(opened(run.root).main) is None
    places = [
        (run.signals_dir(0), "round 0's model"),
        (run.signals_dir(1), "round 1's model"),
        (run.outer_dir, "the outer model"),
        (run.fixed_file("base").parent, "the untuned base model"),
    ]
    for number, (folder, whose) in enumerate(places):
        folder.mkdir(parents=True)
        np.save(folder / "embeddings.npy", made.vectors(60, seed=number))
        found = find_vectors(opened(run.root).main)
        assert found.whose == whose
        assert np.array_equal(found.read(np.array([7, 3])), made.vectors(60, seed=number)[[7, 3]].astype(np.float64))


def test_vectors_of_a_part_of_the_pool(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    rows = np.array([2, 3, 5, 59])
    run.signals_dir(2).mkdir()
    np.save(run.signals_dir(2) / "embeddings.npy", made.vectors(4))
    assert find_vectors(opened(run.root).main) is None  # four vectors for sixty rows
    run.save_seen_rows(2, rows)
    found = find_vectors(opened(run.root).main)
    assert found.known_rows.tolist() == rows.tolist()
    assert found.known(np.array([59, 4, 2])).tolist() == [59, 2]
    assert np.array_equal(found.read(np.array([59, 2])), made.vectors(4)[[3, 0]].astype(np.float64))


def test_all_rows_are_known_where_no_part_is_named(made):
    found = PoolVectors(made.vectors(5), None, "m", 5)
    assert found.known_rows.tolist() == [0, 1, 2, 3, 4]
    assert found.known(np.array([4, 0])).tolist() == [4, 0]
