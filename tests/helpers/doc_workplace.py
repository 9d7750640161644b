"""A folder in which documented commands find what they name, and how they are run there.

They run as they stand, in this process, with words behind them that make them quick, so that a renamed verb, option or key breaks a test.
`run` goes as far as its plan; in the README and the tutorial it runs. `compare` goes as far as its checks, `demo` as far as its data.
"""

import json
import shutil
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from api_server import answer_lines
from doc_fences import FENCES, ROOT, arguments_of
from typer.testing import CliRunner

from diverseevol import evolve, load_config
from diverseevol.cli.app import app
from diverseevol.demo.pool import make_heldout, make_pool

RUN_FOR_REAL = ("README.md", "docs/tutorial.md")
SMALL = ("rounds=1", "n_init=6", "n_new=3", "pool.max_rows=60", "pool.holdout=null", "prompt.max_length=128")
SMALL += ("train.num_train_epochs=1", "train.total_batch_size=8")
QUICK = {
    "answer": ("--max-new-tokens", "2", "--overwrite"),
    "demo": ("--rows", "700", "--only-data"),
    "diversity": ("--random-sets", "2"),
    "init": ("--force",),
    "plan": ("out=runs/planned",),
    "score": ("--yes",),
}
SERVED = "http://localhost:8000/v1"


@dataclass
class Workplace:
    """Copies of the prepared folder, one a page, so that pages do not depend on each other."""

    root: Path
    url: str
    n_runs: int = field(default=0)

    def of(self, page):
        place = self.root / page.replace("/", "-")
        if not place.exists():
            shutil.copytree(self.root / "prepared", place)
            for fence in FENCES:
                if fence.page == page and fence.mark == "file":
                    (place / fence.reason).write_text(fence.text)
        return place

    def call(self, words, page):
        """Run one command where the process stands; what it raises is raised."""
        arguments = arguments_of(words)
        if arguments is None:
            return call_other(words)
        verb, *rest = (word.replace(SERVED, self.url) for word in arguments)
        quick = QUICK.get(verb, ())
        if verb == "run" and "--show-samples" not in rest:
            self.n_runs += 1
            verb, quick = ("run", SMALL) if page in RUN_FOR_REAL else ("plan", ())
            quick = (*quick, f"out=runs/new-{self.n_runs}")
        if "--calibrate" in rest:
            quick += ("prompt.max_length=128", "train.per_device_train_batch_size=1", "train.total_batch_size=1")
        ended = CliRunner().invoke(app, [verb, *rest, *quick], catch_exceptions=False)
        assert ended.exit_code == 0, ended.output


def prepare(place, model):
    """Everything that the documentation's commands name, as small as it can be."""
    shutil.copytree(model, place / "path/to/model")
    shutil.copytree(model, place / "path/to/other")
    shutil.copytree(ROOT / "configs", place / "configs")
    for name, rows in (("pool", make_pool(1700, seed=1)), ("heldout", make_heldout(seed=0)[:20])):
        write(place / f"{name}.jsonl", [{**row, "category": row["skill"]} for row in rows])
    for name, key in (("vicuna", "text"), ("koala", "prompt"), ("wizardlm", "Instruction")):
        write(place / f"benchmarks/{name}.jsonl", [{"question_id": at, key: f"Question {at}?"} for at in range(3)])
    for name in ("vicuna_test_set.jsonl", "vicuna.jsonl"):
        shutil.copy(place / "benchmarks/vicuna.jsonl", place / name)
    write(place / "questions.jsonl", [{"question_id": at, "question": f"Question {at}?", "ask": "?"} for at in range(3)])
    np.save(place / "X.npy", np.random.default_rng(0).normal(size=(1200, 16)).astype(np.float32))
    write(place / "picks.jsonl", [{"row": row} for row in range(20)])
    for worth, name in enumerate(("a", "b", "gpt35"), 4):
        answer_lines(3, lambda at, worth=worth: worth, place / f"{name}.jsonl")
    prepare_runs(place)
    CliRunner().invoke(app, ["init", str(place / "my.yaml")], catch_exceptions=False)


def prepare_runs(place):
    """A finished run of two rounds with answers, under the names that the pages use, and verdicts."""
    options = {"pool.path": str(place / "pool.jsonl"), "model": str(place / "path/to/model"), "out": str(place / "runs/a")}
    list(evolve(load_config(None, [*SMALL, "rounds=2", "keep=all"], options=options)))
    for benchmark in ("vicuna", "koala", "wizardlm"):
        for worth, name in enumerate(("base", "round-00", "round-01", "round-02"), 3):
            answer_lines(3, lambda at, worth=worth: worth, place / f"runs/a/answers/{benchmark}/{name}.jsonl")
    lines = [{"question_id": q, "order": o, "score": 7 + q % 3, "opponent_score": 8 - o} for q in range(12) for o in (0, 1)]
    said = {"answer": "mine", "opponent_answer": "theirs", "judge": "gpt-4.1", "template": "pairwise"}
    in_runs = [f"runs/{name}/verdicts/vicuna/round-02-vs-base.jsonl" for name in ("k_center", "random")]
    for name in ("k_center", "random"):
        shutil.copytree(place / "runs/a", place / "runs" / name)
    for name in ("verdicts.jsonl", "verdicts/base.jsonl", "verdicts/round-02.jsonl", *in_runs):
        write(place / name, [{**line, **said, "ours": "round-02", "opponent": "base"} for line in lines])


def write(file, records):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record) + "\n" for record in records))


def call_other(words):
    """Programs that are not ours: looked at, never started but for those that only read files."""
    match words:
        case ["pip", "install", *names]:
            known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            for package, _, extras in (name.rstrip("]").partition("[") for name in names):
                assert package in ("diverseevol", "."), names
                assert not extras or set(extras.split(",")) <= set(known), names
        case ["make", target]:
            assert f"\n{target}:" in (ROOT / "Makefile").read_text()
        case ["head", "-n", _, file]:
            assert Path(file).read_text()
        case _:
            assert words[0] in ("git", "cd"), f"unknown to the tests: mark its fence with <!-- not run: why --> ({words})"
