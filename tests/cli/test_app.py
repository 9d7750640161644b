import json
import os
import signal
import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

QUICK = ("train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8", "prompt.max_length=256")


def call(*words, **kwargs):
    return subprocess.run(
        [sys.executable, "-m", "diverseevol", *map(str, words)], capture_output=True, text=True, timeout=120, **kwargs
    )


@pytest.fixture(scope="module")
def run_dir(made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("cli") / "run"
    ended = call(
        "run", "--pool", pool_file, "--model", made_model, "--out", out, "--rounds", 1, "--n-init", 8, "--n-new", 4, *QUICK
    )
    assert ended.returncode == 0, ended.stderr
    assert "round 1:     4 new,     12 chosen" in ended.stderr
    assert f"Done: 12 samples in {out}/rounds/01/subset.jsonl" in ended.stderr
    assert f"What was chosen and why: diverseevol report {out} --out report.html" in ended.stderr
    return out


def test_help_is_quick_and_every_verb_shows_an_example():
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        text = call("--help").stdout
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 2.0  # 0.3 s on an idle machine; the suite keeps every core busy
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "diverseevol", "--help"], capture_output=True, text=True
    ).stderr
    modules = {line.rpartition("|")[2].strip() for line in loaded.splitlines()}
    assert "diverseevol.cli.select" in modules
    assert not modules & {"torch", "numpy", "transformers", "pyarrow", "diverseevol.config"}
    for verb in ("init", "run", "status", "select", "export", "demo", "compare"):
        assert verb in text
        assert "Example: diverseevol" in " ".join(call(verb, "--help").stdout.split())


def test_an_error_is_short_says_what_to_do_and_exits_with_1(tmp_path):
    ended = call("run", "--pool", "x.jsonl", "--model", "m", "--out", tmp_path / "r", "train.learning_rte=1")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: unknown key train.learning_rte")
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) <= 2
    assert not (tmp_path / "r").exists()


def test_debug_shows_the_traceback():
    ended = call("--debug", "run", "--pool", "x.jsonl", "--model", "m", "--out", "r", "rounds=-1")
    assert "Traceback" in ended.stderr


def test_wrong_usage_exits_with_2():
    assert call("run", "--no-such-option").returncode == 2
    assert call("run", "a.yaml", "b.yaml").returncode == 2
    assert call("export", "runs/none").returncode == 2


def test_explain_a_chosen_and_an_unchosen_sample(run_dir):
    pick = json.loads((run_dir / "rounds/01/chosen.jsonl").read_text().splitlines()[2])
    text = call("status", run_dir, pick["id"]).stdout
    assert (
        f"chosen in round 1, pick 3 of that round: distance {pick['distance']:.6g} from its nearest chosen sample {pick['nearest_id']}"
        in text
    )
    chosen = {
        json.loads(line)["row"]
        for index in (0, 1)
        for line in (run_dir / f"rounds/{index:02d}/chosen.jsonl").read_text().splitlines()
    }
    other = next(row for row in range(200) if row not in chosen)
    found = json.loads(call("status", run_dir, other, "--json").stdout)
    assert found["why"].startswith("not chosen: distance ")
    assert found["nearest"]["id"]
    assert call("status", run_dir, "200").returncode == 1
    for wrong in ("ffffffffffffffff", "200"):
        said = " ".join(call("status", run_dir, wrong).stderr.split())
        assert (
            f"no sample '{wrong}' in {run_dir}: it is neither an id nor a row (0 to 199) of the pool. Rows that could not" in said
        )
        assert "quarantine.jsonl says why" in said


def test_export_of_a_round_that_is_not_there(run_dir, tmp_path):
    for name, message in (("7", "round 7 of"), ("best", "no held-out losses"), ("newest", "give a round's number, last or best")):
        ended = call("export", run_dir, "--format", "alpaca", "--out", tmp_path / "x.jsonl", "--round", name)
        assert ended.returncode == 1
        assert message in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_how_to_go_on_and_exits_with_130(made_model, pool_file, tmp_path, number):
    words = (
        "run",
        "--pool",
        pool_file,
        "--model",
        made_model,
        "--out",
        tmp_path / "r",
        "--rounds",
        60,
        "--n-init",
        8,
        "--n-new",
        2,
        *QUICK,
    )
    with subprocess.Popen([sys.executable, "-m", "diverseevol", *map(str, words)], stderr=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "r/rounds/00/done").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on from here" in said
    assert "Traceback" not in said


def test_two_runs_in_one_folder(made_model, pool_file, tmp_path):
    from diverseevol.run import locked

    with locked(tmp_path / "r"):
        ended = call("run", "--pool", pool_file, "--model", made_model, "--out", tmp_path / "r")
    assert ended.returncode == 1
    assert f"is in use by process {os.getpid()}" in ended.stderr


def test_torchrun_and_accelerate_hand_every_option_on():
    """argparse takes the beginning of an option for the option, also behind the program's name, and fails where it begins two."""
    from accelerate.commands.launch import launch_command_parser
    from torch.distributed.run import get_args_parser

    from diverseevol.cli.app import app

    commands = typer.main.get_command(app).commands
    options = {(verb, p.opts[0]) for verb, c in commands.items() for p in c.params if p.param_type_name == "option"}
    for parser in (get_args_parser(), launch_command_parser()):
        for verb, option in options:
            words = [verb, option, "1"]
            assert parser.parse_args(["-m", "diverseevol", *words]).training_script_args == words


def test_the_demo_ends_with_its_page(tmp_path, monkeypatch):
    from diverseevol import report
    from diverseevol.cli.app import app
    from diverseevol.demo import show

    monkeypatch.setattr(show, "run_demo", lambda *_: [show.DemoRow(name, 0, 9, 1.0, 1.0, 1, 1.0, 1.0, 1.0) for name in "ab"])
    monkeypatch.setattr(report, "write_report", lambda runs, out, watch: out.write_text(" ".join(run.name for run in runs)))
    last = CliRunner().invoke(app, ["demo", "--out", str(tmp_path)]).stdout.strip().splitlines()[-1]
    assert last.endswith(str(tmp_path / "report.html"))
    assert (tmp_path / "report.html").read_text() == "k_center random"
