"""Run folders made without a model: the files that a run, `diversity`, `judge` and `compare` would leave, with figures of our own."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import yaml

from diverseevol.base.files import write_json
from diverseevol.base.progress import SILENT
from diverseevol.config import PoolConfig
from diverseevol.data import Pool, finish_pool, read_pool
from diverseevol.run import BASE, RunFolder

_spec = importlib.util.spec_from_file_location("hostile", Path(__file__).with_name("hostile.py"))
hostile = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(hostile)
hostile_records = hostile.records

VERSIONS = {"python": "3.11.7", "diverseevol": "0.1.0", "torch": "2.13.0"}
CONFIG = {
    "pool": {"path": "pool.jsonl", "holdout_by": None},
    "model": "models/tiny",
    "rounds": 2,
    "n_init": 6,
    "n_new": 4,
    "heldout": {"path": "heldout.jsonl", "group": "topic"},
    "train": {"start": "base"},
}
TOPICS = ("letters", "numbers", "colours")


def records(n):
    """Alpaca rows with a topic."""
    return [
        {
            "instruction": f"Question {at} on {TOPICS[at % 3]}",
            "input": "",
            "output": f"Answer {at}" + " and more" * (at % 7),
            "topic": TOPICS[at % 3],
        }
        for at in range(n)
    ]


def make_run(root, rows=None, rounds=((0, 1, 2, 3, 4, 5), (10, 11, 12, 13), (20, 21, 22, 23)), losses=(3.0, 2.5, 2.25), **more):
    """Write a finished run.

    Args:
        root: Its folder.
        rows: The pool's records; None: sixty.
        rounds: Pool rows that each round chose.
        losses: Held-out losses of the rounds; None: not measured.
        more: seed, strategy, vectors (N × D; "base" puts them where `diversity` does), config (keys to lay over).
    """
    run = RunFolder(root)
    pool = make_pool(run, records(60) if rows is None else rows)
    strategy, seed = more.get("strategy", "k_center"), more.get("seed", 0)
    config = {**CONFIG, "seed": seed, "selection": {"strategy": strategy}, **more.get("config", {})}
    config |= {"versions": VERSIONS, "fingerprint": {"pool": "abcd", "model": "ef01"}}
    run.config_file.write_text(yaml.safe_dump(config, sort_keys=False))
    n_chosen = 0
    for index, chosen in enumerate(rounds):
        run.round_dir(index).mkdir(parents=True)
        n_chosen += len(chosen)
        run.save_picks(index, [pick_line(pool, index, rank, row, strategy) for rank, row in enumerate(chosen)])
        metrics = {"round": index, "n_new": len(chosen), "n_chosen": n_chosen, "stages": stages(index, n_chosen)}
        if losses is not None:
            metrics["heldout"] = {"loss": losses[index], "balanced_loss": losses[index] + 0.5}
        write_json(run.metrics_file(index), metrics)
        run.finish(index)
    if more.get("vectors") is not None:
        run.fixed_dir(BASE).mkdir(parents=True)
        np.save(run.fixed_file(BASE), more["vectors"][: len(pool)])
    write_json(run.plan_file, plan(rounds))
    return run


def make_pool(run, rows):
    """The pool's files, each character of the answer a token."""
    file = run.root / "rows.jsonl"
    run.root.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    config = PoolConfig(path=str(file), max_bad=0.5)
    found = read_pool(config, run.pool_dir, 0, SILENT)
    n = np.array([len(found.record_text(at)) for at in range(len(found))], dtype=np.int32)
    finish_pool(run.pool_dir, config, n, n)
    return Pool.open(run.pool_dir)


def pick_line(pool, index, rank, row, strategy):
    line = {
        "id": pool.id(row),
        "row": row,
        "round": index,
        "rank": rank,
        **pool.place(row),
    }
    if index and strategy == "k_center":
        line |= {"distance": 1.0 / (1 + rank + index), "nearest_id": pool.id(0)}
    return line


def stages(index, n_chosen):
    bill = {"seconds": 2.0, "peak_memory_bytes": 5_000_000}
    return {
        "select": {"seconds": 0.1, "peak_memory_bytes": 1_000_000},
        "train": {**bill, "tokens": 100 * n_chosen, "flops": 600.0 * n_chosen},
        "embed": {**bill, "tokens": 6_000, "flops": 12_000.0},
    }


def plan(rounds):
    sizes = np.cumsum([len(chosen) for chosen in rounds]).tolist()
    planned = [
        {"train_tokens": 90.0 * n, "train_flops": 540.0 * n, "embed_tokens": 6_000.0, "embed_flops": 12_000.0} for n in sizes
    ]
    whole = sum(each["train_flops"] + each["embed_flops"] for each in planned)
    return {
        "ratio": whole / 48_000,
        "flops": whole,
        "full_flops": 48_000.0,
        "rounds": planned,
        "memory": {"train": 1e6, "embed": 1e6},
    }


def add_diversity(run, radii=(0.9, 0.6, 0.4), vendis=(4.0, 6.0, 7.5), embeddings="model models/tiny"):
    """What `diverseevol diversity` writes, as far as the page reads it."""
    sizes = np.cumsum([len(run.picks(index)) for index in run.rounds_done()]).tolist()
    sets = []
    for index, (n, radius, vendi) in enumerate(zip(sizes, radii, vendis, strict=True)):
        measures = {
            "covering_radius": {
                "value": radius,
                "random_mean": radius + 0.2,
                "random_low": radius + 0.1,
                "random_high": radius + 0.3,
            },
            "vendi_1": {"value": vendi, "random_mean": vendi - 1, "random_low": vendi - 2, "random_high": vendi - 0.5},
        }
        sets.append({"round": index, "n_chosen": n, "measures": measures})
    write_json(
        run.diversity_file,
        {"run": str(run.root), "embeddings": embeddings, "random_sets": 20, "sets": sets, "pool": {"vendi_1": 20.0}},
    )


def add_verdicts(run, index, scores, benchmark="vicuna", opponent="base", answer="Our answer", other="Their answer"):
    """Verdicts in both orders: (ours, the opponent's) a question."""
    lines = [
        {
            "question_id": f"q{at}", "order": order, "score": ours, "opponent_score": theirs, "reply": f"{ours} {theirs}\nBecause {at}.",
            "question": f"Question {at}?", "category": None, "answer": f"{answer} {at}", "opponent_answer": f"{other} {at}",
            "judge": "j", "answered_by": "j", "template": "t", "ours": f"round-{index:02d}", "opponent": opponent,
        }
        for at, (ours, theirs) in enumerate(scores)
        for order in (0, 1)
    ]  # fmt: skip
    file = run.verdicts_file(benchmark, f"round-{index:02d}-vs-{opponent}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def vectors(n, width=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def add_lines(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_comparison(root, words=()):
    """What `compare` leaves, as far as the page reads it, with one seed's runs on disk and the figures of five."""
    for arm, losses in (("k_center", (3.0, 2.5, 2.25)), ("random", (3.0, 2.75, 2.5)), ("full", (2.0,))):
        rounds = {"rounds": [list(range(60))]} if arm == "full" else {}
        make_run(root / "runs/seed-0" / arm, strategy="random" if arm == "full" else arm, losses=losses, **rounds)
    names = {"heldout_loss": "held-out loss", "balanced_loss": "balanced loss"}
    values = {
        "measures": [{"name": name, "title": title, "is_lower_better": True} for name, title in names.items()],
        "differences": [
            difference("heldout_loss", "samples", 10, -0.2, (-0.3, -0.1)),
            difference("heldout_loss", "samples", 14, -0.3, (-0.4, -0.2)),
            difference("heldout_loss", "flops", 14, 0.5, (0.25, 0.75), "worse"),
            difference("balanced_loss", "samples", 14, -0.1, (-0.3, 0.1), "no difference shown"),
        ],
        "runs": [{"arm": arm, "seed": 0} for arm in ("full", "random", "k_center")],
        "confidence": {"random": 0.975},
        "words": list(words),
    }
    write_json(root / "comparison.json", values)
    return root


def difference(measure, axis, n, mean, interval, verdict="better"):
    found = {"arm": "k_center", "reference": "random", "measure": measure, "axis": axis, "n_samples": n, "verdict": verdict}
    return {**found, "paired": {"n": 5, "mean": mean, "low": interval[0], "high": interval[1]}}
