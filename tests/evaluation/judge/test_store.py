import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from diverseevol.errors import EvaluationError
from diverseevol.evaluation.api_client import Reply
from diverseevol.evaluation.judge.store import Tokens, open_store

REPLY = Reply("8 9\n☃", "stop", "judge-0613", 100, 10)
UNCOUNTED = Reply("", None, None, 7, 3, is_counted=False)


def test_replies_come_back_as_they_were_in_the_order_of_the_attempts(tmp_path):
    with open_store(tmp_path / "a/b/replies.sqlite") as store:
        store.add("k2", 1, REPLY, "judge", "pairwise")
        store.add("k2", 0, UNCOUNTED, "judge", "pairwise")
        store.add("k1", 0, REPLY, "judge", "pairwise")
    with open_store(tmp_path / "a/b/replies.sqlite") as store:
        assert store.replies({"k1", "k2", "k3"}) == {"k1": [REPLY], "k2": [UNCOUNTED, REPLY]}
        assert store.replies({"k1"}) == {"k1": [REPLY]}


def test_an_attempt_is_stored_once(tmp_path):
    with open_store(tmp_path / "replies.sqlite") as store:
        store.add("k", 0, REPLY, "judge", "pairwise")
        with pytest.raises(sqlite3.IntegrityError):
            store.add("k", 0, REPLY, "judge", "pairwise")


def test_requests_that_broke_off_are_summed(tmp_path):
    with open_store(tmp_path / "replies.sqlite") as store:
        for key in ("k1", "k1", "k2"):
            store.add_broken_off(key, Tokens(100, 10))
        assert store.broken_off({"k1"}) == Tokens(200, 20)
        assert store.broken_off({"k3"}) == Tokens(0, 0)


def test_only_one_at_a_time_and_the_lock_goes_with_its_process(tmp_path):
    file = tmp_path / "replies.sqlite"
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from diverseevol.evaluation.api_client import Reply\nfrom diverseevol.evaluation.judge.store import open_store\n"
        "with open_store(Path(sys.argv[1])) as store:\n"
        "    store.add('k', 0, Reply('8 9', 'stop', 'm', 1, 1), 'judge', 'pairwise')\n    print('open', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, file], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "open\n"
        with pytest.raises(EvaluationError, match="is in use by another process"), open_store(file):
            pass
        os.kill(process.pid, signal.SIGKILL)
    with open_store(file) as store:
        assert store.replies({"k"}) == {"k": [Reply("8 9", "stop", "m", 1, 1)]}


def test_it_is_a_write_ahead_log(tmp_path):
    with open_store(tmp_path / "replies.sqlite") as store:
        store.add("k", 0, REPLY, "judge", "pairwise")
        assert (tmp_path / "replies.sqlite-wal").stat().st_size > 0
        assert not (tmp_path / "replies.sqlite-shm").exists()


def test_something_else_in_its_place(tmp_path):
    (tmp_path / "a.sqlite").write_text("not a database, but long enough to be taken for one by its name")
    with (
        pytest.raises(EvaluationError, match="cannot use .*a.sqlite as a store of verdicts: file is not a database"),
        open_store(tmp_path / "a.sqlite"),
    ):
        pass
    other = sqlite3.connect(tmp_path / "b.sqlite")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(EvaluationError, match="was written by another version"), open_store(tmp_path / "b.sqlite"):
        pass
    with pytest.raises(EvaluationError, match="cannot keep verdicts in"), open_store(tmp_path / "a.sqlite" / "c.sqlite"):
        pass
