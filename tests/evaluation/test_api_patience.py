import asyncio
import random
import time

from diverseevol.evaluation.api_patience import Pace, back_off


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
