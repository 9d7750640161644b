"""Killed anywhere, on any number of processes: the same ids as a run that nobody disturbed."""

import signal
import subprocess
import sys
import time

import numpy as np
from outside import QUICK, must, program, read_jsonl, run_cli

OPTIONS = ("--rounds", 2, "--n-init", 8, "--n-new", 4, *QUICK, "keep=all", "keep_signals=all")


def chosen(out):
    return [pick["id"] for index in range(3) for pick in read_jsonl(out / f"rounds/{index:02d}/chosen.jsonl")]


def torchrun(n, *words):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(n), *program(*words)[1:]]
    return subprocess.run(launcher, capture_output=True, text=True, timeout=240)


def start_until(file, sign, *words):
    """Start the program, and send it `sign` as soon as the file is there; its exit status."""
    process = subprocess.Popen(program(*words), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while not file.exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(sign)
    process.communicate()
    return process.returncode


def test_a_run_killed_at_every_stage_chooses_the_same_ids(finished_run, model, pool, tmp_path):
    out = tmp_path / "run"
    words = ("run", "--pool", pool, "--model", model, "--out", out, *OPTIONS)
    for file in ("rounds/00/chosen.jsonl", "rounds/00/model", "rounds/01/signals"):
        assert start_until(out / file, signal.SIGKILL, *words) == -signal.SIGKILL
    assert start_until(out / "rounds/02/chosen.jsonl", signal.SIGINT, *words) == 130
    must(run_cli(*words))
    assert chosen(out) == chosen(finished_run)
    assert not [file for file in out.rglob("*") if "partial" in file.name or file.suffix == ".tmp"]


def test_two_processes_choose_what_one_does(finished_run, model, pool, tmp_path):
    out = tmp_path / "run"
    ended = torchrun(2, "run", "--pool", pool, "--model", model, "--out", out, *OPTIONS)
    assert ended.returncode == 0, ended.stderr
    assert chosen(out) == chosen(finished_run)


def test_ids_and_picks_do_not_depend_on_the_order_of_the_rows(tmp_path):
    rng = np.random.default_rng(0)
    points, order = rng.standard_normal((300, 8)).astype(np.float32), rng.permutation(300)
    picked = []
    for name, rows in (("a", np.arange(300)), ("b", order)):
        np.save(tmp_path / f"{name}.npy", points[rows])
        (tmp_path / f"{name}.txt").write_text("".join(f"id-{row}\n" for row in rows))
        (tmp_path / "chosen.txt").write_text("id-5\nid-77\n")
        words = ("--embeddings", tmp_path / f"{name}.npy", "--ids", tmp_path / f"{name}.txt", "--n-new", 25)
        must(run_cli("select", *words, "--chosen", tmp_path / "chosen.txt", "--out", tmp_path / f"{name}.jsonl"))
        picked.append([pick["id"] for pick in read_jsonl(tmp_path / f"{name}.jsonl")])
    assert picked[0] == picked[1]
