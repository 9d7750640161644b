"""One record as a source delivered it, before anybody has looked at what it means."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

N_SHOWN = 200
"""Characters of a bad row that are kept to recognise it by."""


class RowError(Exception):
    """Why a row cannot be used; caught where rows are read and never seen outside."""


class UnknownRowError(RowError):
    """The row is of no known format."""


class Row(NamedTuple):
    """A record and where it stands.

    Attributes:
        text: The record's JSON text: the user's own characters where the source is JSON, else made of the
            record.
        record: What the text says; None where it says nothing readable.
        source: The file, folder or Hub id it came from.
        number: Its 0-based number among the source's records; headers and blank lines are not counted.
        line: Its 1-based first line in a text file, else None.
        problem: Why it cannot be used, empty where nothing is known against it.
    """

    text: str
    record: Any
    source: str
    number: int
    line: int | None = None
    problem: str = ""

    def place(self) -> str:
        """Where it stands, for people."""
        at = f" line {self.line}" if self.line is not None else ""
        return f"{self.source}{at} (row {self.number})"


class RecordDecoder:
    """Reads JSON strictly: `problem` says what of the last record other readers would see differently.

    The standard library's decoder keeps the last of two equal keys and takes NaN and Infinity for numbers.
    """

    def __init__(self) -> None:
        self.problem = ""
        self._json = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=self._constant, parse_int=self._integer
        )

    def decode(self, text: str) -> Any:  # noqa: ANN401 - any JSON value
        """The value of a whole text.

        Raises:
            json.JSONDecodeError: the text is not JSON.
            RecursionError: it is nested too deeply.
        """
        self.problem = ""
        return self._json.decode(text)

    def decode_at(self, text: str, start: int) -> tuple[Any, int]:
        """The value that begins at `start`, and where it ends; it raises what `decode` does."""
        self.problem = ""
        return self._json.raw_decode(text, start)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            self.problem = self.problem or f"the key {twice!r} is given twice"
        return record

    def _constant(self, name: str) -> None:
        self.problem = self.problem or f"{name} is not JSON"

    def _integer(self, digits: str) -> int:
        try:
            return int(digits)
        except ValueError:  # Python refuses thousands of digits
            self.problem = self.problem or f"a number of {len(digits)} digits"
            return 0


def parsed(text: str, what: str) -> Any:  # noqa: ANN401 - any JSON value
    """The value of a JSON text inside a record.

    Raises:
        RowError: it is no JSON; `what` is not.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise RowError(f"{what} is not JSON") from None


def as_list(value: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    """A list as it is, anything else as the list of it alone."""
    return value if isinstance(value, list) else [value]


def short(text: str) -> str:
    """The first characters of a text, always writable as UTF-8."""
    return text[:N_SHOWN].encode("utf-8", "backslashreplace").decode("utf-8")
