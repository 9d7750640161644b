"""progress.json: what a process leaves of itself in the run folder, how often, and how it ends."""

import json
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from diverseevol.base.progress import SILENT, LineWatch, Task
from diverseevol.errors import ModelError
from diverseevol.run import RunFolder, record_progress, recorded

EVERY = 0.01


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(record_progress, "EVERY", EVERY)
    (tmp_path / "config.yaml").write_text("rounds: 1\n")
    return RunFolder(tmp_path)


def word(run):
    return json.loads(run.progress_file.read_text())


def wait_for(run, is_there, seconds=10.0):
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if run.progress_file.exists() and is_there(word(run)):
            return word(run)
        time.sleep(EVERY)
    raise AssertionError(f"not within {seconds} s: {run.progress_file.exists() and word(run)}")


class Shown:
    """A watch that keeps what it is told, and its tasks."""

    def __init__(self):
        self.told = []

    @contextmanager
    def task(self, *words):
        task = Task(*words)
        self.told.append(task)
        yield task

    def note(self, text):
        self.told.append(text)


def test_it_follows_the_work_and_hands_everything_on(run):
    shown = Shown()
    with recorded(run, shown) as watch:
        watch.note("hello")
        with watch.task("train", None, "steps") as task:
            task.total = 6
            task.skip(2)
            time.sleep(0.05)
            task.about = "loss 2.5"
            task.advance()
            found = wait_for(run, lambda word: word["task"] and word["task"]["done"] == 3)
        wait_for(run, lambda word: word["task"] is None)
    assert shown.told == ["hello", task]
    assert (found["state"], found["why"], found["process"]) == ("running", None, record_progress.this_process())
    figures = found["task"]
    assert 0 < figures["rate"] <= 20.0  # one step in at least 0.05 s; the two of before do not count
    assert figures.pop("seconds_left") == pytest.approx(3 / figures.pop("rate"), abs=0.2)
    assert figures == {"name": "train", "done": 3, "total": 6, "unit": "steps", "about": "loss 2.5"}


def test_work_inside_work_is_what_is_under_way(run):
    with recorded(run, SILENT) as watch, watch.task("outer", 2, "steps"):
        with watch.task("inner", 5, "rows"):
            wait_for(run, lambda word: word["task"] and word["task"]["name"] == "inner")
        wait_for(run, lambda word: word["task"] and word["task"]["name"] == "outer")


@pytest.mark.parametrize(
    ("raised", "state", "why"),
    [
        (None, "ended", None),
        (KeyboardInterrupt(), "interrupted", None),
        (GeneratorExit(), "interrupted", None),
        (ModelError("out of memory while training on 9 rows"), "failed", "out of memory while training on 9 rows"),
        (ZeroDivisionError("sk-secret"), "failed", "ZeroDivisionError"),
    ],
)
def test_the_last_word_says_how_it_ended(run, raised, state, why):
    def work():
        with recorded(run, SILENT) as watch, watch.task("train", 9, "steps"):
            if raised:
                raise raised

    if raised:
        with pytest.raises(type(raised)):
            work()
    else:
        work()
    assert (word(run)["state"], word(run)["why"], word(run)["task"]) == (state, why, None)
    assert not [thread for thread in threading.enumerate() if thread.name == "diverseevol progress"]


def test_at_rest_it_says_that_it_is_there_and_no_more(run, monkeypatch):
    monkeypatch.setattr(record_progress, "AT_REST", 0.5)
    with recorded(run, SILENT) as watch, watch.task("train", 9, "steps") as task:
        time.sleep(0.05)
        task.advance()  # from now on the time left counts down by itself
        first = wait_for(run, lambda word: word["task"] and word["task"]["seconds_left"])["n_written"]
        time.sleep(0.25)
        assert word(run)["n_written"] == first  # of some 25 looks none had anything to say
        assert wait_for(run, lambda word: word["n_written"] > first)["n_written"] == first + 1


def test_nothing_lies_in_a_folder_before_a_run_is_started_there(tmp_path, monkeypatch):
    monkeypatch.setattr(record_progress, "EVERY", EVERY)
    with recorded(RunFolder(tmp_path), SILENT):
        time.sleep(10 * EVERY)
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "config.yaml").write_text("rounds: 1\n")
        wait_for(RunFolder(tmp_path), lambda word: word["n_written"] == 1)


def test_a_disk_that_refuses_does_not_stop_the_work(run, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record_progress, "replacing", full)
    with recorded(run, SILENT) as watch, watch.task("train", 1, "steps") as task:
        time.sleep(5 * EVERY)
        task.advance()
    assert not run.progress_file.exists()


def test_other_ranks_leave_nothing(run, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    watch = LineWatch(print)
    with recorded(run, watch) as handed:
        assert handed is watch
        time.sleep(5 * EVERY)
    assert not run.progress_file.exists()


def test_readers_never_see_half_a_file(run, monkeypatch):
    monkeypatch.setattr(record_progress, "EVERY", 0.0)
    with recorded(run, SILENT) as watch, watch.task("t" * 2000, 9e9, "steps") as task:
        wait_for(run, lambda word: word["task"])
        for _ in range(500):
            task.advance()
            assert word(run)["task"]["total"] == 9e9


def test_the_loop_is_not_slowed_down(run):
    """A count is kept and handed on in some microseconds, whatever the disk does."""
    with recorded(run, SILENT) as watch, watch.task("select", 20_000, "picks") as task:
        started = time.perf_counter()
        for _ in range(20_000):
            task.advance()
        seconds = time.perf_counter() - started
    assert seconds < 1.0  # 0.03 s on an idle machine


def test_the_writer_does_not_keep_a_process_alive(tmp_path):
    """A loop that is left unfinished, as in a notebook that is closed."""
    code = f"""
from pathlib import Path
from diverseevol.base.progress import SILENT
from diverseevol.run import RunFolder, recorded
handed = recorded(RunFolder(Path({str(tmp_path)!r})), SILENT)
handed.__enter__()
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
