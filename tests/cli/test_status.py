"""`status` and `status --watch`: what people and scripts are told, while a run goes, when it ends, and when it is killed."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from rich.console import Console

from diverseevol import evolve, load_config
from diverseevol.base.files import read_json
from diverseevol.cli import status as module
from diverseevol.cli.status import at_words, changes, cost_lines, head_line, live_view, looks, pick_words, sum_words
from diverseevol.errors import RunFolderError
from diverseevol.run import Metrics
from diverseevol.run.progress import TaskWord
from diverseevol.run.status import PoolCounts, RunStatus, run_status

QUICK = ("train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8", "prompt.max_length=256")
HOSTILE = "[red]\x1b[31mDROP\x1b[0m\u202etxet\nline two <script>\u0007" + "x" * 1000


def start(*words, **kwargs):
    command = [sys.executable, "-m", "diverseevol", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)


@pytest.fixture(scope="module")
def run_dir(made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("status") / "run"
    options = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 1, "n_init": 8, "n_new": 4}
    list(evolve(load_config(None, QUICK, options=options)))
    return out


def task(**changes):
    words = {"name": "train", "done": 3.0, "total": 6.0, "unit": "steps", "rate": 0.2, "seconds_left": 15.0, "about": "loss 2.5"}
    return TaskWord(**words | changes)


BILL = {"seconds": 3.0, "loss_first": 3.0, "loss_last": 2.0}
STATE = RunStatus(
    run="runs/a",
    state="running (process 7 on far)",
    is_running=True,
    stopped=None,
    strategy="k_center",
    counts=PoolCounts(2000),
    n_rounds=3,
    round=1,
    stage="train",
    task=task(),
    rounds=[Metrics(round=0, n_new=60, n_chosen=60, stages={"train": BILL})],
    seconds=61.0,
    picks=[],
    progress=None,
    final=None,
    bytes=5_000_000,
)


def state(**changes):
    return replace(STATE, **changes)


def drawn(values, width, height=40):
    console = Console(width=width, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(live_view(values, width, height))
    return captured.get().splitlines()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "pool 2,000 rows (0 in quarantine)"),
        (
            {"counts": PoolCounts(2000, 1234, 7, 7, 3)},
            "pool 2,000 rows (1,234 in quarantine, 7 duplicates left out, 3 left out as benchmark questions)",
        ),
        ({"stage": "pool"}, "pool not read yet"),
        ({"counts": PoolCounts(2000, 0, 7)}, "pool 2,000 rows (0 in quarantine, 7 duplicates among them)"),
    ],
)
def test_rows_that_are_not_in_the_pool_are_counted_by_kind(changed, words):
    assert head_line(state(**changed)) == f"runs/a: running (process 7 on far); k_center, {words}"


@pytest.mark.parametrize("dedup", [False, "exact"])
def test_those_counts_are_the_files(made_model, pool_file, tmp_path, dedup):
    rows = pool_file.read_text().splitlines()[:60]
    question = json.loads(rows[5])["instruction"]
    (tmp_path / "pool.jsonl").write_text("\n".join([*rows, rows[0], rows[1], '{"instruction": ""}']) + "\n")
    (tmp_path / "questions.jsonl").write_text(json.dumps({"question": question * 3}) + "\n")
    options = {"pool.path": str(tmp_path / "pool.jsonl"), "model": str(made_model), "out": str(tmp_path / "run"), "rounds": 0}
    words = (*QUICK, f"pool.dedup={json.dumps(dedup)}", "n_init=8", f"pool.decontaminate=q={tmp_path / 'questions.jsonl'}")
    list(evolve(load_config(None, words, options=options)))
    found = run_status(tmp_path / "run").counts
    contaminated = (tmp_path / "run/pool/contamination.jsonl").read_text().splitlines()
    assert found.n_quarantined == 1
    assert (found.n_duplicates, found.n_duplicates_dropped) == (2, 2 if dedup else 0)
    assert found.n_contaminated == len({json.loads(line)["id"] for line in contaminated}) > 0
    assert found.n_pool == 62 - found.n_contaminated - found.n_duplicates_dropped


@pytest.mark.parametrize(
    ("pick", "words"),
    [
        ({"round": 0, "text": "How many\n states?"}, "drawn: “How many states?”"),
        ({"round": 2, "text": "Sort.", "distance": 0.41234, "nearest_id": "a"}, "picked: “Sort.” 0.412 from its nearest chosen"),
        ({"round": 2, "text": "Sort.", "distance": None, "nearest_id": None}, "picked: “Sort.”"),
        ({"round": 1, "text": "y" * 51}, f"picked: “{'y' * 49}…”"),
        (
            {"round": 3, "text": "y" * 51, "distance": 0.5, "nearest_id": "a"},
            f"picked: “{'y' * 21}…” 0.5 from its nearest chosen",
        ),
        ({"round": 1, "text": HOSTILE}, "picked: “[red]\ufffd[31mDROP\ufffd[0m\ufffdtxet line two <script>\ufffdxxxxxxx…”"),
    ],
)
def test_picks_in_words(pick, words):
    assert pick_words(pick, 60) == words


def test_where_it_is_in_words():
    assert at_words(state()) == "round 1: train: 3 of 6 steps (50%), 5.0 s/step, 15 s left, loss 2.5"
    assert at_words(state(task=None)) == "round 1: at stage train"
    assert at_words(state(round=None, stage="final", task=None)) == "after the last round: at stage final"
    assert sum_words(state()) == "1 of 3 rounds done, 1 min 01 s so far, 5 MB on disk"
    assert sum_words(state(progress={"seconds_left": 90.0})) == (
        "1 of 3 rounds done, 1 min 01 s so far, about 1 min 30 s left, 5 MB on disk"
    )


def test_only_what_is_new_is_said():
    def said(last, now):
        return [line.partition(" ")[2] for line in changes(last, now)]

    first = state()
    assert said(None, first) == [head_line(first), *said(state(rounds=[], round=0), first)]
    assert said(first, state(task=task(done=3.6))) == []
    assert said(first, state(task=task(name="held-out loss", total=None, unit="tokens", rate=0.0, about=""))) == [
        "round 1: held-out loss: 3 tokens, 15 s left"
    ]
    assert said(first, state(picks=[{"round": 1, "text": "Sort."}])) == ["picked: “Sort.”"]
    assert said(first, state(state="stopped; the same command goes on", is_running=False, task=None)) == [
        "runs/a: stopped; the same command goes on; k_center, pool 2,000 rows (0 in quarantine)",
        "round 1: at stage train",
        "1 of 3 rounds done, 1 min 01 s so far, 5 MB on disk",
    ]


@pytest.mark.parametrize("width", [40, 120])
@pytest.mark.parametrize(
    "values",
    [
        state(),
        state(
            run="runs/" + "long/" * 40, state=HOSTILE, picks=[{"round": 1, "text": HOSTILE, "distance": 0.5, "nearest_id": "a"}]
        ),
        state(task=task(name="distances to the chosen", about=HOSTILE, done=4.5e9, total=9e9, unit="rows", rate=123456.0)),
        state(
            round=None, stage=None, stopped="vendi has moved by at most 0.10% over the last 2 rounds, from 3.1 to 3.2", task=None
        ),
    ],
)
def test_on_a_terminal_nothing_wraps_and_no_text_is_a_command(values, width):
    lines = drawn(values, width)
    assert len(lines) == len(drawn(values, 1000))
    assert max(map(len, lines)) <= width
    assert not set("".join(lines)) & set("\x1b\u202e\x07")
    if values.picks:  # the text gives way, not the distance
        assert any(line.endswith("…” 0.5 from its nearest chosen"[-width:]) for line in lines)
    if values.task:
        assert lines[-1].rstrip() == "━" * (min(width, 60) // 2)  # half of it is done


def test_a_long_run_fits_the_screen():
    rounds = [Metrics(round=index, n_new=60, n_chosen=60) for index in range(50)]
    lines = drawn(state(rounds=rounds, picks=[{"round": 9, "text": "a"}] * 3), 80, 24)
    assert len(lines) <= 23
    assert lines[0].startswith("runs/a: running")
    assert any(line.startswith("round 49:") for line in lines)


def test_predicted_beside_measured():
    def pair(predicted, measured):
        return {"predicted": predicted, "measured": measured}

    progress = {
        "train": {"tokens": pair(1000, 1300), "flops": pair(1e9, 1.3e9)},
        "embed": {"tokens": pair(9000, 9000), "flops": pair(9e9, 9e9)},
        "flops": pair(1e10, 1.03e10),
        "memory": pair(2e9, 1.5e9),
    }
    assert list(cost_lines(progress)) == [
        "train: 1,000 tokens predicted, 1,300 measured; FLOPs 1e+09 predicted, 1.3e+09 measured (+30%)",
        "embed: 9,000 tokens predicted, 9,000 measured; FLOPs 9e+09 predicted, 9e+09 measured (+0%)",
        "peak memory: 2.00 GB predicted, 1.50 GB measured",
    ]
    assert list(cost_lines(None)) == []


def test_a_finished_run_is_shown_once(run_dir):
    with start("status", run_dir, "--watch") as ended:
        out, err = ended.communicate(timeout=300)
    assert (ended.returncode, err) == (0, "")
    assert "finished; k_center, pool 200 rows (0 in quarantine, 2 duplicates among them)" in out.splitlines()[0]
    assert "picked: “" in out
    assert "from its nearest chosen" in out
    assert "2 of 2 rounds done" in out.splitlines()[-1]


def test_a_folder_of_runs_is_a_line_a_run(run_dir):
    out, _ = start("status", run_dir.parent).communicate(timeout=300)
    (line,) = out.splitlines()
    assert line.startswith(f"{run_dir}: finished; k_center; 2 of 2 rounds done, ")
    with start("status", run_dir.parent, "--watch") as ended:
        said = ended.communicate(timeout=300)[1]
    assert said == f"Error: --watch follows one run, and {run_dir.parent} holds 1. Name one, such as {run_dir}.\n"
    assert ended.returncode == 1
    (values,) = json.loads(start("status", run_dir.parent, "--json").communicate(timeout=300)[0])
    assert values["run"] == str(run_dir)


def test_a_run_seen_from_beginning_to_end(made_model, pool_file, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.02)
    options = {
        "pool.path": str(pool_file),
        "model": str(made_model),
        "out": str(tmp_path / "r"),
        "rounds": 1,
        "n_init": 8,
        "n_new": 4,
    }
    running = threading.Thread(target=lambda: list(evolve(load_config(None, QUICK, options=options))))
    running.start()
    while not (tmp_path / "r" / "config.yaml").exists():
        assert running.is_alive()
        time.sleep(0.02)
    states = list(looks(tmp_path / "r"))
    running.join()
    assert all(one != other for one, other in zip(states, states[1:], strict=False))
    assert states[0].is_running is True
    assert states[-1].state == "finished"
    assert [metrics.n_chosen for metrics in states[-1].rounds] == [8, 12]
    n_done = [len(each.rounds) for each in states]
    assert n_done == sorted(n_done)
    assert {each.stage for each in states} > {None, "pool", "train"}
    assert json.loads(json.dumps([each.as_dict() for each in states]))[-1]["n_pool"] == 200


WORKER = """
import sys, time
from pathlib import Path
from diverseevol.base.progress import SILENT
from diverseevol.run import locked, recorded
with locked(Path(sys.argv[1])) as run, recorded(run, SILENT) as watch, watch.task("train", 6, "steps") as task:
    time.sleep(1.1)
    task.advance(3)
    time.sleep(600)
"""


@pytest.fixture
def half_done(run_dir, tmp_path):
    """The run with its second round under way, and a process at work in it."""
    out = tmp_path / "half"
    shutil.copytree(run_dir, out)
    for name in ("rounds/01/done", "progress.json"):
        (out / name).unlink()
    shutil.rmtree(out / "rounds/01/model")
    with subprocess.Popen([sys.executable, "-c", WORKER, str(out)]) as worker:
        while not (out / "progress.json").exists() or not (read_json(out / "progress.json")["task"] or {}).get("done"):
            assert worker.poll() is None
            time.sleep(0.05)
        yield out, worker
        worker.kill()


def test_a_killed_run_is_not_shown_as_running(half_done):
    out, worker = half_done
    with start("status", out, "--watch") as watching:
        first = [watching.stdout.readline() for _ in range(6)]
        worker.kill()
        rest, err = watching.communicate(timeout=300)
    assert (watching.returncode, err) == (1, "")
    assert f"{out}: running (process {worker.pid} on " in first[0]
    assert "round 0:     8 new" in first[1]
    assert "round 1: train: 3 of 6 steps (50%)" in first[5]
    assert f"{out}: stopped; the same command goes on; " in rest
    assert "round 1: at stage train" in rest
    assert read_json(out / "progress.json")["state"] == "running"  # nobody could write otherwise


def test_ctrl_c_ends_the_watching_and_says_that_the_run_goes_on(half_done):
    out, worker = half_done
    with start("status", out, "--watch") as watching:
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=300)
    assert (watching.returncode, err) == (130, "No longer watching; the run itself is not touched.\n")
    assert worker.poll() is None


def test_a_file_that_cannot_be_read_for_a_moment_is_no_news(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    said = [OSError(116, "Stale file handle"), RunFolderError("no config.yaml"), state(state="finished", is_running=False), None]

    def next_state(_):
        if isinstance(said[0], Exception):
            raise said.pop(0)
        return said.pop(0)

    monkeypatch.setattr("diverseevol.run.status.run_status", next_state)
    assert [each.state for each in looks(tmp_path)] == ["finished"]


def test_a_run_that_is_just_being_started_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    stopped, running = state(state="stopped", is_running=False), state()
    said = [stopped, running, stopped, None]
    monkeypatch.setattr("diverseevol.run.status.run_status", lambda _: said.pop(0))
    assert [each.is_running for each in looks(tmp_path)] == [False, True, False]
    monkeypatch.setattr(module, "STARTING", 0.0)
    said[:] = [stopped, None]
    assert [each.state for each in looks(tmp_path)] == ["stopped"]


def test_of_no_run_even_with_watch(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "STARTING", 0.2)
    monkeypatch.setattr(module, "INTERVAL", 0.05)
    began = time.monotonic()
    with pytest.raises(RunFolderError, match="is not a run folder: it has no config.yaml. Give the folder named by --out."):
        list(looks(tmp_path))
    assert time.monotonic() - began > 0.2


def test_status_loads_no_torch(run_dir):
    code = (
        "import sys; from pathlib import Path; from diverseevol.run.status import run_status; "
        f"run_status(Path({str(run_dir)!r})); print('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "False\n", ended.stderr
