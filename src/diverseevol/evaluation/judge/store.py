"""Every reply of a judge, in SQLite, as it arrives: what is stored is never asked, and so never paid for, again.

One process at a time works with a store: the lock is taken when it is opened and goes with the process. It is SQLite's own exclusive
mode, in which the write-ahead log needs no shared memory, so it also works on network file systems. A commit is on disk
when `add` returns. Scores are not stored: they follow from the reply (parse.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import EvaluationError
from ..api_client import Reply

VERSION = 1
TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT, attempt INTEGER, reply TEXT NOT NULL, finish TEXT, answered_by TEXT, tokens_in INTEGER, tokens_out INTEGER,
    is_counted INTEGER NOT NULL, judge TEXT NOT NULL, template TEXT NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (key, attempt));
CREATE TABLE IF NOT EXISTS broken_off (
    key TEXT NOT NULL, tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of requests and replies."""

    n_in: int = 0
    n_out: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.n_in + other.n_in, self.n_out + other.n_out)


class ReplyStore:
    """The replies of one file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def add(self, key: str, attempt: int, reply: Reply, judge: str, template: str) -> None:
        """Keep a reply for good."""
        what = (
            key,
            attempt,
            reply.text,
            reply.finish,
            reply.answered_by,
            reply.tokens_in,
            reply.tokens_out,
            reply.is_counted,
        )
        columns = (
            "key, attempt, reply, finish, answered_by, tokens_in, tokens_out, is_counted, judge, template"
        )
        with self._db:
            self._db.execute(
                f"INSERT INTO replies ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*what, judge, template),
            )

    def add_broken_off(self, key: str, most: Tokens) -> None:
        """Note a request that got no reply but may have been charged, with the most that it can have cost."""
        with self._db:
            self._db.execute(
                "INSERT INTO broken_off (key, tokens_in, tokens_out) VALUES (?, ?, ?)",
                (key, most.n_in, most.n_out),
            )

    def replies(self, keys: Collection[str]) -> dict[str, list[Reply]]:
        """The stored replies to these requests, the first attempt first."""
        found: dict[str, list[Reply]] = {}
        columns = "key, reply, finish, answered_by, tokens_in, tokens_out, is_counted"
        for key, *rest in self._db.execute(f"SELECT {columns} FROM replies ORDER BY key, attempt"):
            if key in keys:
                text, finish, answered_by, tokens_in, tokens_out, is_counted = rest
                found.setdefault(key, []).append(
                    Reply(text, finish, answered_by, tokens_in, tokens_out, bool(is_counted))
                )
        return found

    def broken_off(self, keys: Collection[str]) -> Tokens:
        """The most that requests without a reply can have cost."""
        rows = self._db.execute("SELECT key, tokens_in, tokens_out FROM broken_off")
        return sum((Tokens(n_in, n_out) for key, n_in, n_out in rows if key in keys), Tokens())


@contextmanager
def open_store(file: Path) -> Iterator[ReplyStore]:
    """Open a store, or make it; nobody else can meanwhile.

    Raises:
        EvaluationError: another process works with it, it is no store of ours, or its folder cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(file, timeout=0.2)
    except (OSError, sqlite3.OperationalError) as error:
        raise EvaluationError(
            f"cannot keep verdicts in {file}: {error}. Give a place that you may write to."
        ) from None
    with closing(connection):
        try:
            _prepare(connection, file)
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise EvaluationError(
                    f"{file} is in use by another process. Wait for it, or end it."
                ) from None
            raise EvaluationError(
                f"cannot use {file} as a store of verdicts: {error}. Move it away."
            ) from None
        yield ReplyStore(connection)


def _prepare(connection: sqlite3.Connection, file: Path) -> None:
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, VERSION):
        raise EvaluationError(
            f"{file} was written by another version of diverseevol. Use that one, or move the file away."
        )
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")
    connection.executescript(f"{TABLES} PRAGMA user_version = {VERSION};")
