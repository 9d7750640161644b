"""Whether a run lives, by its folder alone: on the same machine, on another, with clocks that disagree, and after kill -9."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from diverseevol.run import RunFolder, locked, this_machine, watching
from diverseevol.run.record_progress import this_process
from diverseevol.run.watching import QUIET, Life, Silence, life_of, lock_holder, pool_counts, read_word

TASK = {"name": "train", "done": 3, "total": 6, "unit": "steps", "rate": 0.5, "seconds_left": 6.0, "about": ""}
STOPPED = "stopped; the same command goes on"


def leave(root, ago=0.0, **changes):
    """A progress.json as a process on another machine leaves it."""
    written = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat()
    word = {"process": "process 7 on far", "machine": "far", "started": "2026-01-01T00:00:00+00:00", "written": written}
    word |= {"n_written": 5, "state": "running", "why": None, "task": TASK} | changes
    (root / "progress.json").write_text(json.dumps(word))
    return RunFolder(root)


def test_an_old_folder_without_progress_goes_by_the_lock(tmp_path):
    run = RunFolder(tmp_path)
    assert life_of(run) == Life(False, STOPPED, None)
    with locked(tmp_path):
        assert life_of(run) == Life(True, f"running ({this_process()})", None)
    assert life_of(run) == Life(False, STOPPED, None)


def test_what_a_dead_process_left_is_not_taken_for_the_living_ones(tmp_path):
    """Between the start of a resumed process and its first word."""
    run = leave(tmp_path, process="process 7 on here", machine=this_machine())
    with locked(tmp_path):
        assert life_of(run) == Life(True, f"running ({this_process()})", None)
        leave(tmp_path, process=this_process(), machine=this_machine())
        assert life_of(run) == Life(True, f"running ({this_process()})", TASK)


def test_killed_it_is_stopped_at_once_on_its_own_machine(tmp_path):
    run = leave(tmp_path, machine=this_machine())
    assert life_of(run) == Life(False, STOPPED, None)
    assert life_of(run, silent_for=0.0) == Life(False, STOPPED, None)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"state": "failed", "why": "out of memory"}, "stopped (failed: out of memory); the same command goes on"),
        ({"state": "interrupted"}, "stopped (interrupted); the same command goes on"),
        ({"state": "ended"}, STOPPED),
    ],
)
def test_how_it_ended_is_known_everywhere(tmp_path, changes, state):
    assert life_of(leave(tmp_path, **changes)) == Life(False, state, None)


@pytest.mark.parametrize(
    ("ago", "silent_for", "is_running", "state"),
    [
        (3.0, None, None, "running (process 7 on far; last word 3.0 s ago, if the clocks agree)"),
        (-5000.0, None, None, "running (process 7 on far; last word 0.0 s ago, if the clocks agree)"),
        (5000.0, 2.0, True, "running (process 7 on far)"),  # its clock is behind ours, but it was heard
        (
            600.0,
            None,
            None,
            "no word from process 7 on far for 10 min 00 s, if the clocks agree: it has stopped, or the folder is cut off from it",
        ),
        (
            0.0,
            QUIET,
            None,
            "no word from process 7 on far for 1 min 30 s: it has stopped, or the folder is cut off from it",
        ),
    ],
)
def test_from_another_machine_it_counts_what_was_heard(tmp_path, ago, silent_for, is_running, state):
    life = life_of(leave(tmp_path, ago), silent_for)
    assert (life.is_running, life.task) == (is_running, TASK if state.startswith("running") else None)
    assert life.state.replace("3.1 s", "3.0 s") == state


def test_a_process_that_holds_the_lock_but_hangs(tmp_path):
    run = leave(tmp_path, 200.0, process=this_process(), machine=this_machine())
    with locked(tmp_path):
        assert life_of(run, QUIET - 1).state == f"running ({this_process()})"
        life = life_of(run)
    assert life.is_running
    assert life.state == f"running ({this_process()}), but it has written nothing for 3 min 20 s"


def test_silence_is_counted_from_the_last_change_seen(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    run, silence = leave(tmp_path), Silence(since=0.0)
    assert silence.seconds(run) is None  # the first sight may be an hour old
    now[0] = 5.0
    leave(tmp_path, n_written=6)
    assert silence.seconds(run) == 0.0
    now[0] = 47.0
    assert silence.seconds(run) == 42.0
    (tmp_path / "progress.json").write_text("{")
    now[0] = 48.0
    assert silence.seconds(run) == 43.0  # what cannot be read is no news
    leave(tmp_path, started="2026-01-02T00:00:00+00:00", n_written=1)
    assert silence.seconds(run) == 0.0  # another process


def test_without_one_word_silence_means_something_after_a_while(tmp_path, monkeypatch):
    now = [5.0]  # the first look comes a little after the beginning
    monkeypatch.setattr(watching.time, "monotonic", lambda: now[0])
    run, silence = leave(tmp_path), Silence(since=0.0)
    assert silence.seconds(run) is None
    now[0] = QUIET - 0.1
    assert silence.seconds(run) is None
    now[0] = QUIET
    assert silence.seconds(run) == QUIET


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"written": "yesterday"}', '{"written": "2026-01-01T00:00:00+00:00"}', "\xff"]
)
def test_a_damaged_file_is_no_file(tmp_path, text):
    (tmp_path / "progress.json").write_text(text, "latin-1")
    assert read_word(RunFolder(tmp_path)) is None
    assert life_of(RunFolder(tmp_path)) == Life(False, STOPPED, None)


def test_to_look_at_the_lock_does_not_keep_a_run_from_starting(tmp_path):
    """`status --watch` looks every second; who starts in that very instant tries again."""
    code = f"""
import fcntl, sys, time
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
    time.sleep(1.5)
    print("there", flush=True)
    time.sleep(60)
"""
    run = RunFolder(tmp_path)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline() == "there\n"
        life = life_of(run)
        assert life.is_running
        assert (life.task["name"], life.task["done"]) == ("train", 3)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert read_word(run)["state"] == "running"  # it could not say otherwise
    assert life_of(run) == Life(False, STOPPED, None)


def test_counts_of_a_pool_that_is_not_ready(tmp_path):
    assert set(pool_counts(RunFolder(tmp_path)).values()) == {0}
