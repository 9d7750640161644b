import asyncio
import random
import time

import pytest

from diverseevol.base.progress import SILENT
from diverseevol.evaluation.api_client import Reply, Trouble
from diverseevol.evaluation.api_patience import MOST_NOTES, Pace, Patience, back_off


def turns(pace, n):
    async def take():
        started, times = time.monotonic(), []

        async def one():
            await pace.turn()
            times.append(time.monotonic() - started)

        await asyncio.gather(*(one() for _ in range(n)))
        return sorted(times)

    return asyncio.run(take())


def test_so_many_a_minute_evenly():
    times = turns(Pace(per_minute=60 / 0.02), 6)
    assert all(later - earlier >= 0.0199 for earlier, later in zip(times, times[1:], strict=False))


def test_no_rate_no_wait():
    assert turns(Pace(), 100)[-1] < 5


def test_a_pause_holds_everybody_and_a_shorter_one_does_not_shorten_it():
    pace = Pace()
    pace.pause(0.1)
    pace.pause(0.01)
    assert turns(pace, 3)[0] >= 0.099


def test_waits_double_up_to_a_minute():
    noise = random.Random(0)
    for n, seconds in ((1, 1.0), (2, 2.0), (5, 16.0), (7, 60.0), (2000, 60.0)):
        waits = [back_off(min(n, 1000), 1.0, noise) for _ in range(200)]
        assert 0.75 * seconds <= min(waits) < 0.85 * seconds
        assert 1.15 * seconds < max(waits) <= 1.25 * seconds


GOOD = Reply("8 9", "stop", "m", 1, 1)
PASSING, LASTING = Trouble("busy", 500, is_passing=True), Trouble("too long", 400)


class Notes:
    """A watch that keeps what is said."""

    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


def tried(outcomes, watch=SILENT, is_over=lambda: False, **fields):
    """What comes of these outcomes, one a try, and how many of them are asked for."""
    left = list(outcomes)

    async def once():
        return left.pop(0)

    found = asyncio.run(Patience(watch, **{"first_wait": 0.0, **fields}).tried(once, is_over))
    return found, len(outcomes) - len(left)


@pytest.mark.parametrize(
    ("outcomes", "retries", "expected"),
    [
        ([GOOD, GOOD], 2, (GOOD, 1)),
        ([PASSING, PASSING, GOOD], 2, (GOOD, 3)),
        ([PASSING, PASSING, GOOD], 1, (PASSING, 2)),
        ([PASSING, LASTING, GOOD], 9, (LASTING, 2)),
        ([PASSING, GOOD], 0, (PASSING, 1)),
    ],
)
def test_only_what_passes_is_tried_again_and_so_often(outcomes, retries, expected):
    assert tried(outcomes, retries=retries) == expected


def test_nothing_is_tried_again_once_it_is_over():
    assert tried([PASSING, GOOD], is_over=lambda: True) == (PASSING, 1)
    assert tried([GOOD], is_over=lambda: True) == (GOOD, 1)


def test_a_server_that_asks_for_a_long_wait_is_hopeless():
    found, n = tried([Trouble("slow down", 429, is_passing=True, wait=601.0), GOOD])
    assert (found.is_hopeless, found.status, n) == (True, 429, 1)
    assert found.text == "it asks to wait 10 min 01 s (slow down); give the same command again then"


def test_the_wait_that_a_server_asks_for_is_taken_and_holds_all_where_it_is_about_all():
    for is_for_all in (True, False):
        paused = []
        pace = Pace()
        pace.pause = paused.append
        started = time.monotonic()
        trouble = Trouble("slow down", 429, is_passing=True, wait=0.1, is_for_all=is_for_all)
        assert tried([trouble, GOOD], pace=pace, first_wait=60.0) == (GOOD, 2)
        assert paused == ([0.1] if is_for_all else [])
        assert is_for_all or 0.1 <= time.monotonic() - started < 30


def test_each_kind_of_failure_is_noted_once_and_no_more_than_so_many():
    notes = Notes()
    tried([PASSING, PASSING, GOOD], notes, retries=2)
    assert notes.said == ["busy; trying again after 0.0 s"]
    notes = Notes()
    tried([*(Trouble(f"busy {n}", 500, is_passing=True) for n in range(20)), GOOD], notes, retries=20)
    assert len(notes.said) == MOST_NOTES
