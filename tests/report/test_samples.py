import numpy as np
import pytest

from diverseevol.report import samples
from diverseevol.report.samples import gather_samples, texts_of
from diverseevol.report.text import script_json


@pytest.fixture(scope="module")
def pool(made, opened, tmp_path_factory):
    return opened(made.make_run(tmp_path_factory.mktemp("samples") / "r").root).main.pool


def test_named_rows_have_answers_and_all_are_in_pool_order(pool):
    found = gather_samples(pool, [30, 2, 30], np.arange(60))
    assert found.rows_P.tolist() == list(range(60))
    assert found.asked[2] == "Question 2 on colours"
    assert (found.answered[2], found.answered[3]) == ("Answer 2 and more and more", "")
    assert found.place == {row: row for row in range(60)}
    assert found.as_values(pool)["tokens"] == pool.n_tokens.tolist()
    assert (found.n_pool, found.n_named_left_out) == (60, 0)


def test_there_is_room_for_so_many_and_named_ones_come_first(pool, monkeypatch):
    monkeypatch.setattr(samples, "N_POINTS", 10)
    found = gather_samples(pool, [50, 51, 52], np.arange(60))
    assert len(found.rows_P) == 10 and {50, 51, 52} <= set(found.rows_P.tolist())
    full = gather_samples(pool, list(range(12)), np.arange(60))
    assert full.rows_P.tolist() == list(range(10)) and full.n_named_left_out == 2
    assert [found.rows_P[at] for row, at in sorted(found.place.items())] == found.rows_P.tolist()


def test_texts_together_stay_within_their_bytes(made, opened, tmp_path, monkeypatch):
    rows = [{"instruction": '<a href="x">\n' * 400, "input": "", "output": "&" * 5_000} for _ in range(30)]
    pool = opened(made.make_run(tmp_path / "r", rows).root).main.pool
    monkeypatch.setattr(samples, "TEXT_BYTES", 20_000)
    found = gather_samples(pool, list(range(20)), np.arange(30))
    assert len(script_json([found.asked, found.answered]).encode()) <= 20_000
    assert all(text.startswith("<a") for text in found.asked)


def test_what_a_dialogue_asks_and_answers(made, opened, tmp_path):
    turns = [("system", "Be kind."), ("user", "First?"), ("assistant", "One."), ("user", "Second?"), ("assistant", "Two.")]
    rows = [{"messages": [{"role": role, "content": text} for role, text in turns]} for _ in range(2)] * 10
    pool = opened(made.make_run(tmp_path / "r", rows, rounds=[[0, 1]]).root).main.pool
    assert texts_of(pool, 0) == ("First?\nOne.\nSecond?", "Two.")
