import pytest

from diverseevol.base import progress
from diverseevol.base.progress import LineWatch, Task
from diverseevol.base.text import duration, progress_words, rate_words, si


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told to go on."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def go_on(seconds):
        now[0] += seconds
        return now[0]

    return go_on


@pytest.mark.parametrize(
    ("rate", "unit", "words"),
    [
        (0.0, "steps", ""),
        (0.25, "steps", "4.0 s/step"),
        (1 / 150, "steps", "2 min 30 s/step"),
        (1.0, "rows", "1.0/s"),
        (12345.6, "tokens", "12,346/s"),
    ],
)
def test_a_rate_is_never_nothing_per_second(rate, unit, words):
    assert rate_words(rate, unit) == words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((0, 12, "steps", 0.0, None), "0 of 12 steps (0%)"),
        ((3, 6, "steps", 0.25, 12.0), "3 of 6 steps (50%), 4.0 s/step, 12 s left"),
        ((5, None, "rows", 2.0, None), "5 rows, 2.0/s"),
        ((5, None, "rows", 0.0, None, "loss 2.1"), "5 rows, loss 2.1"),
        ((1.25e6, 5e6, "tokens", 1e4, 375.0), "1.2M of 5.0M tokens (25%), 10,000/s, 6 min 15 s left"),
    ],
)
def test_what_is_not_known_is_not_said(values, words):
    assert progress_words(*values) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.049, "<0.1 s"),
        (0.051, "0.1 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_a_rate_is_that_of_the_last_seconds(clock):
    task = Task("work", 1000, "rows")
    for _ in range(60):
        clock(1.0)
        task.advance(1)
    assert task.rate == pytest.approx(1.0)
    for _ in range(60):
        clock(1.0)
        task.advance(10)
    assert task.rate == pytest.approx(10.0, rel=0.01)


def test_time_left_counts_down_within_a_long_step_and_the_rate_stays(clock):
    task = Task("work", 4, "steps")
    assert (task.rate, task.seconds_left(clock(5.0))) == (0.0, None)
    clock(95.0)
    task.advance(1)
    assert task.seconds_left(clock(0.0)) == pytest.approx(300.0)
    assert task.seconds_left(clock(40.0)) == pytest.approx(260.0)
    assert task.rate == pytest.approx(0.01)
    assert task.seconds_left(clock(1000.0)) == 0.0  # late, but never less than nothing


def test_what_an_earlier_process_has_done_does_not_make_this_one_fast(clock):
    task = Task("work", 10, "steps")
    clock(3.0)
    task.skip(6)
    assert task.rate == 0.0
    clock(2.0)
    task.advance(1)
    assert (task.done, task.rate) == (7, 0.5)
    assert task.seconds_left(clock(0.0)) == pytest.approx(6.0)


def test_lines_come_after_two_seconds_and_then_every_fifteen(clock):
    said = []
    with LineWatch(said.append).task("train", None, "steps") as task:
        task.total = 6
        for _ in range(5):
            clock(4.0)
            task.advance()
            task.about = "loss 3.25"
    assert said == [
        "train: 1 of 6 steps (17%), 4.0 s/step, 20 s left",
        "train: 5 of 6 steps (83%), 4.0 s/step, 4.0 s left, loss 3.25",
    ]


@pytest.mark.parametrize(("value", "words"), [(0, "0 "), (999.4, "999 "), (999.6, "1 k"), (-2.5e9, "-2.5 G"), (4e27, "4e+03 Y")])
def test_a_units_prefix(value, words):
    assert si(value) == words
