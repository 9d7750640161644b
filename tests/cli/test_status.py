"""`status` and `status --watch`: what people and scripts are told, while a run goes, when it ends, and when it is killed."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console

from diverseevol import evolve, load_config
from diverseevol.base.files import read_json
from diverseevol.cli.status import _follow, _show_json, looks
from diverseevol.cli.status_live import live_view
from diverseevol.cli.status_text import (
    at_words,
    changes,
    cost_lines,
    head_words,
    overview_line,
    pick_words,
    pool_words,
    status_lines,
    sum_words,
)
from diverseevol.errors import RunFolderError
from diverseevol.run.status import run_status

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
    return words | changes


def state(**changes):
    values = {
        "run": "runs/a",
        "state": "running (process 7 on far)",
        "is_running": True,
        "stopped": None,
        "strategy": "k_center",
        "n_pool": 2000,
        "n_quarantined": 0,
        "n_duplicates": 0,
        "n_duplicates_dropped": 0,
        "n_contaminated": 0,
        "n_rounds": 3,
        "round": 1,
        "stage": "train",
        "task": task(),
        "rounds": [
            {"round": 0, "n_new": 60, "n_chosen": 60, "stages": {"train": {"seconds": 3.0, "loss_first": 3.0, "loss_last": 2.0}}}
        ],
        "seconds": 61.0,
        "picks": [],
        "progress": None,
        "final": None,
        "bytes": 5e6,
    }
    return values | changes


def drawn(values, width, height=40):
    console = Console(width=width, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(live_view(values, width, height))
    return captured.get().splitlines()


def test_rows_that_are_not_in_the_pool_are_counted_by_kind():
    assert pool_words(state()) == "pool 2,000 rows (0 in quarantine)"
    counts = {"n_quarantined": 1234, "n_duplicates": 7, "n_duplicates_dropped": 7, "n_contaminated": 3}
    assert pool_words(state(**counts)) == (
        "pool 2,000 rows (1,234 in quarantine, 7 duplicates left out, 3 left out as benchmark questions)"
    )
    assert pool_words(state(stage="pool", n_pool=0)) == "pool not read yet"
    assert pool_words(state(n_duplicates=7)) == "pool 2,000 rows (0 in quarantine, 7 duplicates among them)"


@pytest.mark.parametrize("dedup", [False, "exact"])
def test_those_counts_are_the_files(made_model, pool_file, tmp_path, dedup):
    rows = pool_file.read_text().splitlines()[:60]
    question = json.loads(rows[5])["instruction"]
    (tmp_path / "pool.jsonl").write_text("\n".join([*rows, rows[0], rows[1], '{"instruction": ""}']) + "\n")
    (tmp_path / "questions.jsonl").write_text(json.dumps({"question": question * 3}) + "\n")
    options = {"pool.path": str(tmp_path / "pool.jsonl"), "model": str(made_model), "out": str(tmp_path / "run"), "rounds": 0}
    words = (*QUICK, f"pool.dedup={json.dumps(dedup)}", "n_init=8", f"pool.decontaminate=q={tmp_path / 'questions.jsonl'}")
    list(evolve(load_config(None, words, options=options)))
    found = run_status(tmp_path / "run")
    contaminated = (tmp_path / "run/pool/contamination.jsonl").read_text().splitlines()
    assert found["n_quarantined"] == 1
    assert (found["n_duplicates"], found["n_duplicates_dropped"]) == (2, 2 if dedup else 0)
    assert found["n_contaminated"] == len({json.loads(line)["id"] for line in contaminated}) > 0
    assert found["n_pool"] == 62 - found["n_contaminated"] - found["n_duplicates_dropped"]


@pytest.mark.parametrize(
    ("pick", "words"),
    [
        ({"round": 0, "text": "How many\n states?"}, "drawn: “How many states?”"),
        ({"round": 2, "text": "Sort.", "distance": 0.41234, "nearest_id": "a"}, "picked: “Sort.” 0.412 from its nearest chosen"),
        ({"round": 2, "text": "Sort.", "distance": None, "nearest_id": None}, "picked: “Sort.”"),
        ({"round": 1, "text": "y" * 50}, f"picked: “{'y' * 50}”"),
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
    first = state()
    assert list(changes(None, first)) == [f"runs/a: {head_words(first)}", *list(changes(state(rounds=[], round=0), first))]
    assert list(changes(first, state(task=task(done=3.1, about="loss 2.4")))) == []  # still in the same tenth
    assert list(changes(first, state(task=task(done=3.6)))) == [
        "round 1: train: 4 of 6 steps (60%), 5.0 s/step, 15 s left, loss 2.5"
    ]
    assert list(changes(first, state(task=task(name="held-out loss", total=None, unit="tokens", rate=0.0, about="")))) == [
        "round 1: held-out loss: 3 tokens, 15 s left"
    ]
    picked = [{"round": 1, "text": "Sort."}]
    assert list(changes(first, state(picks=picked))) == ["picked: “Sort.”"]
    ended = state(state="stopped; the same command goes on", is_running=False, task=None)
    assert list(changes(first, ended)) == [
        "runs/a: stopped; the same command goes on; k_center, pool 2,000 rows (0 in quarantine)",
        "round 1: at stage train",
        "1 of 3 rounds done, 1 min 01 s so far, 5 MB on disk",
    ]


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize(
    "values",
    [
        state(),
        state(
            run="runs/" + "long/" * 40, state=HOSTILE, picks=[{"round": 1, "text": HOSTILE, "distance": 0.5, "nearest_id": "a"}]
        ),
        state(task=task(name="distances to the chosen", about=HOSTILE, done=4.5e9, total=9e9, unit="rows", rate=123456.0)),
        state(round=None, stage="final", task=None, rounds=[]),
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
    if values["picks"]:
        assert lines[-2].endswith("…” 0.5 from its nearest chosen"[-width:])  # the text gives way, not the distance
    if values["task"]:
        assert lines[-2 - len(values["picks"])].startswith("round 1: ")
        assert lines[-3 - len(values["picks"])].rstrip() == "━" * (min(width, 60) // 2)  # half of it is done


def test_a_long_run_fits_the_screen():
    one = state()["rounds"][0]
    rounds = [one | {"round": index} for index in range(50)]
    lines = drawn(state(rounds=rounds, picks=[{"round": 9, "text": "a"}] * 3), 80, 24)
    assert len(lines) <= 23
    assert any(line.split()[:1] == ["49"] for line in lines)
    assert any(line.strip() == "+42" for line in lines)


def test_what_is_drawn_of_a_run_under_way():
    lines = drawn(state(), 80)
    assert lines[0].strip() == "runs/a"
    assert "3.000 → 2.000" in next(line for line in lines if line.split()[:1] == ["0"])
    assert [line.rstrip() for line in lines[-3:]] == [
        "━" * 30,
        "round 1: train: 3 of 6 steps (50%), 5.0 s/step, 15 s left, loss 2.5",
        "1 of 3 rounds done, 1 min 01 s so far, 5 MB on disk",
    ]
    assert not any("━" in line for line in drawn(state(task=None), 80))
    stopped = drawn(state(round=None, stage=None, stopped="enough", task=None, picks=[{"round": 0, "text": "a"}]), 80)
    assert stopped[-3:-1] == ["stopped by itself: enough", "drawn: “a”"]


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
        "both: FLOPs 1e+10 predicted, 1.03e+10 measured (+3%)",
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
    ended = start("status", run_dir.parent)
    out, err = ended.communicate(timeout=300)
    (line,) = out.splitlines()
    assert line.startswith(f"{run_dir}: finished; k_center; 2 of 2 rounds done, ")
    with start("status", run_dir.parent, "--watch") as ended:
        said = ended.communicate(timeout=300)[1]
    assert said == f"Error: --watch follows one run, and {run_dir.parent} holds 1. Name one, such as {run_dir}.\n"
    assert ended.returncode == 1
    (values,) = json.loads(start("status", run_dir.parent, "--json").communicate(timeout=300)[0])
    assert values["run"] == str(run_dir)
    assert overview_line(state()).startswith("runs/a: running (process 7 on far); k_center; round 1: train: 3 of 6 steps (50%)")


def test_the_loop_leaves_how_it_ended(run_dir):
    assert read_json(run_dir / "progress.json")["state"] == "ended"


def test_a_run_seen_from_beginning_to_end(made_model, pool_file, tmp_path, capsys):
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
    assert _follow(tmp_path / "r", 0.02, _show_json) == 0
    running.join()
    states = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(one != other for one, other in zip(states, states[1:], strict=False))
    assert states[0]["is_running"] is True
    assert states[-1]["state"] == "finished"
    assert [metrics["n_chosen"] for metrics in states[-1]["rounds"]] == [8, 12]
    n_done = [len(each["rounds"]) for each in states]
    assert n_done == sorted(n_done)
    assert {each["stage"] for each in states} > {None, "pool", "train"}


WORKER = """
import sys, time
from pathlib import Path
from diverseevol.base.progress import SILENT
from diverseevol.run import locked, recorded
with locked(Path(sys.argv[1])) as run, recorded(run, SILENT) as watch, watch.task("train", 6, "steps") as task:
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
    with start("status", out, "--watch", "--interval", 0.1) as watching:
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
    text = "\n".join(status_lines(run_status(out)))
    assert "stopped; the same command goes on" in text
    assert "steps" not in text  # no bar of a dead process


def test_ctrl_c_ends_the_watching_and_says_that_the_run_goes_on(half_done):
    out, worker = half_done
    with start("status", out, "--watch", "--interval", 0.1) as watching:
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=300)
    assert (watching.returncode, err) == (130, "No longer watching; the run itself is not touched.\n")
    assert worker.poll() is None


def test_a_file_that_cannot_be_read_for_a_moment_is_no_news(run_dir, monkeypatch):
    from diverseevol.run import status

    n_looks = []

    def flaky(*words):
        n_looks.append(words)
        if len(n_looks) < 3:
            raise OSError(116, "Stale file handle")
        return run_status(*words)

    monkeypatch.setattr(status, "run_status", flaky)
    assert [each["state"] for each in looks(run_dir, 0.01)] == ["finished"]
    assert len(n_looks) == 3


def test_a_watcher_does_not_read_everything_again_at_every_look(run_dir, monkeypatch):
    from diverseevol.run import status

    known = {}
    first = run_status(run_dir, None, known)
    for name in ("pool_counts", "last_picks", "size_of"):
        monkeypatch.setattr(status, name, None)
    assert run_status(run_dir, None, known) == first


def test_of_no_run_even_with_watch(tmp_path, monkeypatch):
    monkeypatch.setattr("diverseevol.cli.status.STARTING", 0.2)
    began = time.monotonic()
    with pytest.raises(RunFolderError, match="is not a run folder: it has no config.yaml. Give the folder named by --out."):
        list(looks(tmp_path, 0.05))
    assert time.monotonic() - began > 0.2


def test_a_run_that_is_just_being_started_is_waited_for(run_dir, tmp_path, monkeypatch):
    from diverseevol.run import status

    stopped = {"state": "stopped", "is_running": False}
    said = [RunFolderError("no config.yaml"), stopped, {"state": "running", "is_running": True}, stopped, None]

    def next_state(*_):
        state = said.pop(0)
        if isinstance(state, Exception):
            raise state
        return state

    monkeypatch.setattr(status, "run_status", next_state)
    assert [each["state"] for each in looks(tmp_path, 0.01)] == ["stopped", "running", "stopped"]
    monkeypatch.setattr("diverseevol.cli.status.STARTING", 0.0)
    said[:] = [stopped, None]
    assert [each["state"] for each in looks(tmp_path, 0.01)] == ["stopped"]


def test_status_loads_no_torch(run_dir):
    code = f"import sys; from pathlib import Path; from diverseevol.run.status import run_status; run_status(Path({str(run_dir)!r})); print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stdout == "False\n", ended.stderr
