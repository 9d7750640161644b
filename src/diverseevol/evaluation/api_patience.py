"""When a server may be asked, and asked again: so many requests a minute, evenly, and waits behind failures that pass.

A passing failure (429, 5xx, a time-out, a cut connection, half a response) is followed by a wait that doubles each time, or by the one
that the server asks for.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ..base.progress import Watch
from ..base.text import duration
from .api_client import Reply, Trouble

LONGEST_BACK_OFF = 60.0
LONGEST_WAIT = 600.0
MOST_NOTES = 10


class Pace:
    """Shared by all requests to a server."""

    def __init__(self, per_minute: float | None = None) -> None:
        self._interval = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        """Wait until the next request may be sent."""
        while (wait := self._next - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        self._next = time.monotonic() + self._interval

    def pause(self, seconds: float) -> None:
        """Send nothing for so long."""
        self._next = max(self._next, time.monotonic() + seconds)


@dataclass
class Patience:
    """How failures that pass are met; shared by all requests to a server.

    Attributes:
        retries: Further tries after a passing failure.
        first_wait: Seconds before the first of them.
    """

    watch: Watch
    pace: Pace = field(default_factory=Pace)
    retries: int = 6
    first_wait: float = 1.0
    _noise: random.Random = field(default_factory=random.Random, init=False)
    _noted: set[str] = field(default_factory=set, init=False)

    async def tried(
        self, once: Callable[[], Awaitable[Reply | Trouble]], is_over: Callable[[], bool] = lambda: False
    ) -> Reply | Trouble:
        """Send a request again and again while it fails in passing, unless `is_over`; the last failure where it lasts."""
        n_failed = 0
        while True:
            await self.pace.turn()
            outcome = await once()
            n_failed += 1
            if isinstance(outcome, Reply) or not outcome.is_passing or n_failed > self.retries or is_over():
                return outcome
            seconds = (
                back_off(n_failed, self.first_wait, self._noise) if outcome.wait is None else outcome.wait
            )
            if seconds > LONGEST_WAIT:
                text = (
                    f"it asks to wait {duration(seconds)} ({outcome.text}); give the same command again then"
                )
                return Trouble(text, outcome.status, is_hopeless=True, wait=seconds)
            await self._wait(outcome, seconds)

    async def _wait(self, trouble: Trouble, seconds: float) -> None:
        if trouble.text not in self._noted and len(self._noted) < MOST_NOTES:
            self._noted.add(trouble.text)
            self.watch.note(f"{trouble.text}; trying again after {duration(seconds)}")
        if trouble.is_for_all:
            self.pace.pause(seconds)
        else:
            await asyncio.sleep(seconds)


def back_off(n_failed: int, first_wait: float, noise: random.Random) -> float:
    """Seconds to wait after the n-th failure in a row: doubled each time, up to a minute, and spread by a quarter."""
    return float(min(first_wait * 2.0 ** (n_failed - 1), LONGEST_BACK_OFF) * noise.uniform(0.75, 1.25))
