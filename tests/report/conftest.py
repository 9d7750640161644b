"""Run folders made without a model: the files that a run, `diversity`, `judge` and `compare` would leave, with figures of our own."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from diverseevol.base.files import write_json
from diverseevol.base.progress import SILENT
from diverseevol.config import PoolConfig
from diverseevol.data import Pool, finish_pool, read_pool
from diverseevol.run import BASE, RunFolder

CONFIG = {
    "pool": {"path": "pool.jsonl", "holdout_by": None}, "model": "models/tiny", "rounds": 2, "n_init": 6, "n_new": 4,
    "heldout": {"path": "heldout.jsonl", "group": "topic"}, "train": {"start": "base"},
}  # fmt: skip
TOPICS = ("letters", "numbers", "colours")
NASTY = (
    "<script>window.hit = 1; alert(1)</script>",
    "</script><script>window.hit = 2</script>",
    "</style></title></textarea></template><svg onload='window.hit = 3'>",
    "<img src=x onerror=\"window.hit = 4\"> <a href='javascript:window.hit=5'>click</a>",
    "<!--<script>", "]]>-->", "{{ 7 * 7 }} {% raw %} ${7*7} `", "&lt;script&gt;window.hit = 6&lt;/script&gt;",
    "\" onmouseover=\"window.hit = 7\" x=\"", "' autofocus onfocus='window.hit = 8' x='",
    "\u202eright to left\u202c \u2066isolated \u200f\u200e", "مرحبا بالعالم", "\u2028\u2029 line ends", "\x07\x1b[31mred\x00",
    "\ud83d half of a pair", "W" * 100_000, "<b>" * 20_000, "=HYPERLINK(\"http://example.org\")", "$\\frac{1}{0}$ \\input{x}", "<iframe src='http://example.org/'>",
    "<meta http-equiv='refresh' content='0;url=http://example.org'>", "<link rel=stylesheet href=http://example.org/x.css>", "<base href='http://example.org/'>",
)  # fmt: skip
"""Texts that try to get out of wherever they are put."""


@pytest.fixture(scope="session")
def made():
    """The makers of this file."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def opened():
    """Open the runs of folders, as the page does."""
    from diverseevol.report.runs import open_subject

    return lambda *roots: open_subject([Path(root) for root in roots])


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory):
    """A run with everything that a page can show."""
    run = make_run(tmp_path_factory.mktemp("whole") / "a", vectors=vectors(60))
    add_diversity(run)
    add_verdicts(run, 0, [(5, 6), (4, 8), (6, 6), (7, 7), (2, 4)] * 3)
    add_verdicts(run, 2, [(8, 5), (3, 9), (6, 6), (7, 2), (2, 4)] * 3)
    return run.root


@pytest.fixture(scope="session")
def hostile_run(tmp_path_factory):
    """A run of which every text is hostile: records, labels, bad rows, duplicates, verdicts."""
    run = make_run(tmp_path_factory.mktemp("hostile") / "a", hostile_records(), vectors=vectors(46))
    add_diversity(run, embeddings=NASTY[3])
    add_verdicts(run, 2, [(8, 5), (3, 9)], answer=NASTY[0], other=NASTY[15])
    bad = [{"source": "<b>", "row": at, "line": 1, "reason": text[:300], "text": text} for at, text in enumerate(NASTY)]
    add_lines(run.pool_dir / "quarantine.jsonl", bad)
    found = [
        {"id": text, "benchmark": text, "question_id": text, "kind": text, "score": 1.0, "role": text, "matched": text}
        for text in NASTY
    ]
    add_lines(run.pool_dir / "contamination.jsonl", found)
    return run.root


def hostile_records(n=46):
    """Each hostile text as question, input, answer and label."""
    texts = [[NASTY[(at + shift) % len(NASTY)] for shift in (0, 5, 9, 0)] for at in range(n)]
    names = ("instruction", "input", "output", "topic")
    return [dict(zip(names, (a, b, f"{c} {at}", d), strict=True)) for at, (a, b, c, d) in enumerate(texts)]


def records(n):
    """Alpaca rows with a topic."""
    rows = [(f"Question {at} on {TOPICS[at % 3]}", f"Answer {at}" + " and more" * (at % 7), TOPICS[at % 3]) for at in range(n)]
    return [{"instruction": asked, "input": "", "output": answer, "topic": topic} for asked, answer, topic in rows]


def make_run(root, rows=None, rounds=((0, 1, 2, 3, 4, 5), (10, 11, 12, 13), (20, 21, 22, 23)), losses=(3.0, 2.5, 2.25), **more):
    """Write a finished run.

    Args:
        root: Its folder.
        rows: The pool's records; None: sixty. Each character of a record is a token.
        rounds: Pool rows that each round chose.
        losses: Held-out losses of the rounds; None: not measured.
        more: seed, strategy, vectors (N × D, put where `diversity` does), config (keys to lay over).
    """
    run = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    add_lines(root / "rows.jsonl", records(60) if rows is None else rows)
    pool_config = PoolConfig(path=str(root / "rows.jsonl"), max_bad=0.5)
    found = read_pool(pool_config, run.pool_dir, 0, SILENT)
    n_tokens = np.array([len(found.value("record", at)) for at in range(len(found))], dtype=np.int32)
    finish_pool(run.pool_dir, pool_config, n_tokens, n_tokens)
    pool, strategy = Pool.open(run.pool_dir), more.get("strategy", "k_center")
    config = {**CONFIG, "seed": more.get("seed", 0), "selection": {"strategy": strategy}, **more.get("config", {})}
    config |= {"versions": {"python": "3.11.7", "torch": "2.13.0"}, "fingerprint": {"pool": "abcd", "model": "ef01"}}
    run.config_file.write_text(yaml.safe_dump(config, sort_keys=False))
    n_chosen, planned = 0, []
    for index, chosen in enumerate(rounds):
        run.round_dir(index).mkdir(parents=True)
        n_chosen += len(chosen)
        picks = [
            {"id": pool.id(row), "row": row, "round": index, "rank": rank, **pool.place(row)} for rank, row in enumerate(chosen)
        ]
        for rank, pick in enumerate(picks if index and strategy == "k_center" else ()):
            pick.update(distance=1.0 / (1 + rank + index), nearest_id=pool.id(0))
        run.save_picks(index, picks)
        bill = {"seconds": 2.0, "peak_memory_bytes": 5_000_000}
        stages = {
            "select": {"seconds": 0.1, "peak_memory_bytes": 1_000_000},
            "train": {**bill, "tokens": 100 * n_chosen, "flops": 600.0 * n_chosen},
            "embed": {**bill, "tokens": 6_000, "flops": 12_000.0},
        }
        heldout = {"heldout": {"loss": losses[index], "balanced_loss": losses[index] + 0.5}} if losses is not None else {}
        sizes = {"round": index, "n_new": len(chosen), "n_chosen": n_chosen}
        write_json(run.metrics_file(index), {**sizes, "stages": stages, **heldout})
        run.finish(index)
        tuning = {"train_tokens": 90.0 * n_chosen, "train_flops": 540.0 * n_chosen}
        planned.append(tuning | {"embed_tokens": 6_000.0, "embed_flops": 12_000.0})
    if more.get("vectors") is not None:
        run.fixed_dir(BASE).mkdir(parents=True)
        np.save(run.fixed_file(BASE), more["vectors"][: len(pool)])
    write_json(run.plan_file, {"full_flops": 48_000.0, "rounds": planned, "memory": {"train": 1e6, "embed": 1e6}})
    return run


def add_diversity(run, radii=(0.9, 0.6, 0.4), vendis=(4.0, 6.0, 7.5), embeddings="model models/tiny"):
    """What `diverseevol diversity` writes, as far as the page reads it."""

    def beside_random(value, *shifts):
        return {"value": value} | {
            f"random_{name}": value + far for name, far in zip(("mean", "low", "high"), shifts, strict=True)
        }

    sizes = np.cumsum([len(run.picks(index)) for index in run.rounds_done()]).tolist()
    sets = []
    for index, (n, radius, vendi) in enumerate(zip(sizes, radii, vendis, strict=True)):
        measures = {"covering_radius": beside_random(radius, 0.2, 0.1, 0.3), "vendi_1": beside_random(vendi, -1, -2, -0.5)}
        sets.append({"round": index, "n_chosen": n, "measures": measures})
    write_json(run.diversity_file, {"embeddings": embeddings, "random_sets": 20, "sets": sets, "pool": {"vendi_1": 20.0}})


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
    add_lines(file, lines)


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
    found = [
        ("heldout_loss", "samples", 10, -0.2, (-0.3, -0.1), "better"),
        ("heldout_loss", "samples", 14, -0.3, (-0.4, -0.2), "better"),
        ("heldout_loss", "flops", 14, 0.5, (0.25, 0.75), "worse"),
        ("balanced_loss", "samples", 14, -0.1, (-0.3, 0.1), "no difference shown"),
    ]
    differences = [
        {"arm": "k_center", "reference": "random", "measure": measure, "axis": axis, "n_samples": n, "verdict": verdict}
        | {"paired": {"n": 5, "mean": mean, "low": low, "high": high}}
        for measure, axis, n, mean, (low, high), verdict in found
    ]
    values = {
        "measures": [{"name": name, "title": title, "is_lower_better": True} for name, title in names.items()],
        "differences": differences,
        "runs": [{"arm": arm, "seed": 0} for arm in ("full", "random", "k_center")],
        "confidence": {"random": 0.975},
        "words": list(words),
    }
    write_json(root / "comparison.json", values)
    return root
