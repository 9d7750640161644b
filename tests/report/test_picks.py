import numpy as np
import pytest

from diverseevol.report import picks
from diverseevol.report.picks import Pick, csv_rows, for_table, gather_picks
from diverseevol.report.samples import gather_samples
from diverseevol.report.vectors import find_vectors


@pytest.fixture
def gathered(whole_run, opened):
    subject = opened(whole_run)
    found = gather_picks([subject.main], find_vectors(subject.main))
    rows = [pick.row for pick in found] + [row for pick in found for row, _ in pick.left_out]
    return found, gather_samples(subject.main.pool, rows, np.arange(60))


def test_every_pick_with_what_was_left_out_nearby(gathered, made):
    found, _ = gathered
    assert [pick.row for pick in found] == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 20, 21, 22, 23]
    points = made.vectors(60).astype(np.float64)
    chosen = {pick.row for pick in found}
    for pick in found:
        expected = sorted((np.linalg.norm(points[pick.row] - points[row]), row) for row in range(60) if row not in chosen)[:3]
        assert [row for row, _ in pick.left_out] == [row for _, row in expected]
        assert [far for _, far in pick.left_out] == pytest.approx([far for far, _ in expected])
    assert [found[at].nearest_row for at in (0, 6)] == [None, 0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"round": 0, "distance": None}, "first draw"),
        ({"round": 2}, "drawn; the strategy gives no figures"),
        ({"round": 1, "distance": 0.123456, "nearest_id": "x"}, "0.1235 from its nearest chosen sample"),
        ({"round": 1, "distance": 2.0, "nearest_id": "x", "quality_score": 4, "flag": True, "name": "n"}, "2 from its nearest chosen sample, quality score 4"),
        ({"round": 1, "score": 0.5}, "score 0.5"),
    ],
)  # fmt: skip
def test_reasons_in_words(values, reason):
    assert Pick("a", values, None, ()).reason == reason


def test_rows_of_the_table(gathered):
    found, samples = gathered
    rows = for_table(found, samples, ["a"])
    assert len(rows) == 14
    seventh = rows[6]
    assert {name: seventh[name] for name in ("run", "round", "pick", "at", "distance", "nearest")} == {
        "run": 0, "round": 1, "pick": 1, "at": 10, "distance": 0.5, "nearest": 0,
    }  # fmt: skip
    assert len(seventh["left_out"]) == 3 and seventh["left_out"][0][1] <= seventh["left_out"][1][1]


def test_the_table_has_room_for_so_many_the_csv_for_all(gathered, monkeypatch):
    found, samples = gathered
    monkeypatch.setattr(picks, "N_TABLE", 5)
    assert [row["at"] for row in for_table(found, samples, ["a"])] == [0, 1, 2, 3, 4]
    rows = list(csv_rows(found, list(range(100, 160))))
    assert len(rows) == 14 and len(rows[0]) == len(picks.HEADINGS)
    assert rows[6][:5] == ["a", 1, 1, found[6].values["id"], 10] and rows[6][7] == 110


def test_without_vectors_nothing_is_known_to_be_near(whole_run, opened):
    assert all(pick.left_out == () for pick in gather_picks([opened(whole_run).main], None))


def test_held_out_rows_were_not_left_out(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r", vectors=made.vectors(60))
    before = gather_picks([opened(run.root).main], find_vectors(opened(run.root).main))
    nearest = before[0].left_out[0][0]
    run.heldout_dir.mkdir()
    run.holdout_file.write_text(opened(run.root).main.pool.id(nearest) + "\n")
    after = gather_picks([opened(run.root).main], find_vectors(opened(run.root).main))
    assert nearest not in [row for pick in after for row, _ in pick.left_out]
    assert after[0].left_out[0] == before[0].left_out[1]
