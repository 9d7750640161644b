"""progress.json and the lock: what a process leaves of itself, how it ends, and whether it lives, by the folder alone."""

import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from diverseevol.base.progress import SILENT, LineWatch
from diverseevol.errors import ModelError
from diverseevol.run import RunFolder, locked, progress, recorded
from diverseevol.run.progress import Life, life_of, lock_holder, read_word, this_process

TASK = {"name": "train", "done": 3.0, "total": 6.0, "unit": "steps", "rate": 0.5, "seconds_left": 6.0, "about": ""}
STOPPED = Life(False, "stopped; the same command goes on")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    (tmp_path / "config.yaml").write_text("rounds: 1\n")
    return RunFolder(tmp_path)


def leave(root, ago=0.0, **changes):
    """A progress.json as a process on another machine leaves it."""
    written = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    word = {"process": "process 7 on far", "written": written, "state": "running", "why": None, "task": TASK} | changes
    (root / "progress.json").write_text(json.dumps(word))
    return RunFolder(root)


def test_it_follows_the_work_and_hands_everything_on(run, monkeypatch):
    said = []
    with recorded(run, LineWatch(said.append, every=0.0)) as watch:
        watch.note("hello")
        with watch.task("train", None, "steps") as task:
            task.total = 6
            task.skip(2)
            task.about = "loss 2.5"
            task.advance()
            word = read_word(run)
            with watch.task("inner", 5, "rows"):
                assert read_word(run).task.name == "inner"
            task.advance()
            assert read_word(run).task.name == "train"
    assert said[0] == "hello"
    assert (word.state, word.why, word.process) == ("running", None, this_process())
    figures = word.task.values()
    assert figures.pop("seconds_left") == pytest.approx(3 / figures.pop("rate"), abs=0.2)
    assert figures == {"name": "train", "done": 3, "total": 6, "unit": "steps", "about": "loss 2.5"}


def test_words_are_a_second_apart(run, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "EVERY", 1.0)
    with recorded(run, SILENT) as watch, watch.task("train", 9, "steps") as task:
        for second, n_told in ((0.0, 0), (0.9, 0), (1.0, 3)):
            now[0] = second
            task.advance()
            assert read_word(run).task.done == n_told


@pytest.mark.parametrize(
    ("raised", "state", "why", "said"),
    [
        (None, "ended", None, ""),
        (KeyboardInterrupt(), "interrupted", None, " (interrupted)"),
        (GeneratorExit(), "interrupted", None, " (interrupted)"),
        (ModelError("out of memory"), "failed", "out of memory", " (failed: out of memory)"),
        (ZeroDivisionError("sk-secret"), "failed", "ZeroDivisionError", " (failed: ZeroDivisionError)"),
    ],
)
def test_the_last_word_says_how_it_ended(run, raised, state, why, said):
    def work():
        with recorded(run, SILENT) as watch, watch.task("train", 9, "steps"):
            if raised:
                raise raised

    if raised:
        with pytest.raises(type(raised)):
            work()
    else:
        work()
    word = read_word(run)
    assert (word.state, word.why, word.task) == (state, why, None)
    assert life_of(run) == Life(False, f"stopped{said}; the same command goes on")


def test_where_nothing_is_left_and_nothing_stops(run, monkeypatch):
    run.config_file.unlink()  # before a run is started there
    with recorded(run, SILENT) as watch, watch.task("read", 9, "rows"):
        assert list(run.root.iterdir()) == []
    run.config_file.write_text("rounds: 1\n")
    with monkeypatch.context() as patched:  # on other ranks
        patched.setenv("RANK", "1")
        patched.setenv("WORLD_SIZE", "2")
        with recorded(run, SILENT) as handed:
            assert handed is SILENT

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress, "replacing", full)
    with recorded(run, SILENT) as watch, watch.task("train", 1, "steps") as task:
        task.advance()
    assert not run.progress_file.exists()


def test_the_lock_decides_who_lives(tmp_path):
    (tmp_path / ".lock").write_text("process 1234567890123 on a-machine-of-a-long-name." + "x" * 100 + "\n")
    run = RunFolder(tmp_path)
    assert life_of(run) == STOPPED
    with locked(tmp_path):
        assert lock_holder(tmp_path) == this_process()  # a longer name that held it before leaves nothing of itself
        assert life_of(run) == Life(True, f"running ({this_process()})")
    leave(tmp_path, process=f"process 7 on {socket.gethostname()}")  # a dead one's, not to be taken for the living one's
    assert life_of(run) == STOPPED
    with locked(tmp_path):
        assert life_of(run) == Life(True, f"running ({this_process()})")
        life = life_of(leave(tmp_path, 200.0, process=this_process()))
        assert (life.is_running, life.state) == (True, f"running ({this_process()}, last word 3 min ago)")
        assert life.task.values() == TASK


@pytest.mark.parametrize(("ago", "said"), [(3.0, ""), (-5000.0, ""), (610.0, ", last word 10 min ago")])
def test_from_another_machine_there_is_only_the_last_word(tmp_path, ago, said):
    life = life_of(leave(tmp_path, ago))
    assert (life.is_running, life.task.name) == (None, "train")
    assert life.state == f"running (process 7 on far{said}), if it still lives: its lock is not seen here"
    assert life_of(leave(tmp_path, ago, state="ended")) == STOPPED


@pytest.mark.parametrize("text", ["", "[]", '{"written": "2026-01-01T00:00:00+00:00"}', "\xff"])
def test_a_damaged_file_is_no_file(tmp_path, text):
    (tmp_path / "progress.json").write_text(text, "latin-1")
    assert read_word(RunFolder(tmp_path)) is None
    assert life_of(RunFolder(tmp_path)) == STOPPED


def test_to_look_at_the_lock_does_not_keep_a_run_from_starting(tmp_path):
    """`status --watch` looks every second; who starts in that very instant tries again."""
    code = f"""
import fcntl, time
handle = open({str(tmp_path / ".lock")!r}, "w")
fcntl.flock(handle, fcntl.LOCK_SH)
print("held", flush=True)
time.sleep(0.12)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as looking:
        assert looking.stdout.readline() == "held\n"
        with locked(tmp_path):
            assert lock_holder(tmp_path) == this_process()


def test_a_lock_goes_with_a_process_that_is_killed(tmp_path):
    code = f"""
from pathlib import Path
from diverseevol.base.progress import SILENT
from diverseevol.run import locked, recorded
import time
root = Path({str(tmp_path)!r})
(root / "config.yaml").write_text("rounds: 1")
with locked(root) as run, recorded(run, SILENT) as watch, watch.task("train", 6, "steps") as task:
    task.advance(3)
    print("there", flush=True)
    time.sleep(60)
"""
    run = RunFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "there\n"
        life = life_of(run)
        assert (life.is_running, life.task.name) == (True, "train")
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert read_word(run).state == "running"  # it could not say otherwise
    assert life_of(run) == STOPPED
