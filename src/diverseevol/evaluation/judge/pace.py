"""When the next request may be sent: so many a minute at most, evenly, and none while the judge asks for a pause."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_BACK_OFF = 60.0


class Pace:
    """Shared by all requests of a judge."""

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


def back_off(n_failed: int, first_wait: float, noise: random.Random) -> float:
    """Seconds to wait after the n-th failure in a row: doubled each time, up to a minute, and spread by a quarter."""
    return float(min(first_wait * 2.0 ** (n_failed - 1), LONGEST_BACK_OFF) * noise.uniform(0.75, 1.25))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait: `Retry-After` as a number or as an HTTP date (RFC 9110, section 10.2.3)."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds < float("inf") else None
