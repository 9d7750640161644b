"""Break one line at a time, on a copy, and see whether the tests notice: a fault that no test notices is a hole in the tests.

    python benchmarks/mutations.py [--only selection|loop|heldout] [--list]

Each fault is run against the tests named beside it, which stop at the first failure. Exit status 1 if a fault goes unnoticed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Fault:
    """One line broken."""

    file: str
    old: str
    new: str
    tests: str


SELECTION = [
    Fault("selection/traversal.py", "(offer[0], -offer[2])", "(offer[0], offer[2])", "tests/selection/test_traversal.py"),
    Fault(
        "selection/lazy_distances.py", "(scores >= best) & (scores > GONE)", "(scores > best)", "tests/selection/test_k_center.py"
    ),
    Fault("selection/lazy_distances.py", " | ((squared == bounds) & (nearest < known))", "", "tests/selection/test_k_center.py"),
    Fault(
        "selection/lazy_distances.py", "best > self.floor or", "best >= self.floor or", "tests/selection/test_lazy_distances.py"
    ),
    Fault(
        "selection/lazy_distances.py",
        "is_front = scores >= lowest",
        "is_front = scores > lowest",
        "tests/selection/test_lazy_distances.py",
    ),
    Fault(
        "selection/distances.py",
        "slack_MC = 4 * product_error",
        "slack_MC = 0 * product_error",
        "tests/selection/test_distances.py",
    ),
    Fault(
        "selection/distances.py",
        "np.lexsort((centre_rows[j_P], squared_P, i_P))",
        "np.lexsort((squared_P, i_P))",
        "tests/selection",
    ),
    Fault("selection/first_bounds.py", "(1 + (rows_BD.shape[1] + 8) * UNIT)", "0.999", "tests/selection/test_first_bounds.py"),
    Fault("selection/first_bounds.py", "[part - first]", "[: len(part)]", "tests/selection/test_first_bounds.py"),
    Fault("selection/candidates.py", "is_free[chosen_rows] = False", "pass", "tests/selection"),
    Fault("selection/k_center.py", "squared / 2 if", "squared if", "tests/selection/test_k_center.py"),
    Fault("selection/first_row.py", "(pick[0], -pick[1])", "(pick[0], pick[1])", "tests/selection"),
    Fault("selection/random_draw.py", "replace=False", "replace=True", "tests/selection/test_random_draw.py"),
    Fault("selection/reader.py", "values_MD /= np.sqrt", "values_MD /= (lambda x: x)", "tests/selection"),
]
LOOP = [
    Fault("loop.py", "stages.saved_picks(index) or ", "", "tests/test_loop.py tests/cli"),
    Fault("loop.py", "[stages.config.seed, index]", "[stages.config.seed + index]", "tests/test_loop.py"),
    Fault(
        "run_folder.py",
        "for earlier in range(index) for",
        "for earlier in range(max(0, index - 1)) for",
        "tests/test_run_folder.py",
    ),
    Fault("run_folder.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "tests/test_run_folder.py"),
    Fault("stages.py", "subset = sorted([*chosen", "subset = list([*chosen", "tests/test_loop.py"),
    Fault("stages.py", 'if config.train.start == "base" or', 'if config.train.start != "base" or', "tests/test_loop.py"),
    Fault("stages.py", "selectable[self.excluded_rows] = False", "pass", "tests/test_loop.py"),
    Fault("stages.py", 'side="right"', 'side="left"', "tests/test_loop.py"),
    Fault("seen.py", "np.searchsorted(self.rows, chosen)", "chosen", "tests/test_seen.py"),
    Fault("files.py", "remove(partial)\n        raise", "raise", "tests/test_files.py"),
    Fault("train/order.py", "[self.seed, self.epoch]", "[self.seed]", "tests/train/test_order.py"),
    Fault("embed/shards.py", "sums_B[:, None]", "lengths_B[:, None]", "tests/embed"),
]
HELDOUT = [
    Fault("holdout.py", "np.minimum(n_G - 1, may_G)", "np.minimum(n_G, may_G)", "tests/test_holdout.py"),
    Fault("holdout.py", "least_G = np.minimum(room_G, 1)", "least_G = np.minimum(room_G, 0)", "tests/test_holdout.py"),
    Fault("holdout.py", "room_G - least_G, least_G)", "room_G - least_G)", "tests/test_holdout.py"),
    Fault("holdout.py", "dtype=np.int64), seed)", "dtype=np.int64), 0)", "tests/test_holdout.py"),
    Fault("holdout.py", "may_C & (group_C == group)", "group_C == group", "tests/test_holdout.py"),
    Fault("holdout.py", "return held, barred", "return held, rows", "tests/test_holdout.py"),
    Fault("opening.py", 'np.union1d(lists["exclude"], barred)', 'lists["exclude"]', "tests/test_holdout.py"),
    Fault(
        "evaluation/per_token.py",
        "by_group.values()) / len(by_group)",
        "by_group.values())",
        "tests/evaluation/test_per_token.py",
    ),
    Fault("evaluation/per_token.py", "key=lambda name: by_group[name]", "key=str", "tests/evaluation/test_per_token.py"),
    Fault("stopping.py", "metrics[-1 - stop.rounds :]", "metrics[-stop.rounds :]", "tests/test_stopping.py"),
    Fault("stopping.py", "move > stop.share", "move >= stop.share", "tests/test_stopping.py"),
    Fault("stopping.py", "abs(value - known[0])", "(known[0] - value)", "tests/test_stopping.py"),
    Fault("stopping.py", "spent >= limit", "spent > limit", "tests/test_stopping.py"),
    Fault("stopping.py", "for one in metrics for bill", "for one in metrics[-1:] for bill", "tests/test_stopping.py"),
    Fault("gauges.py", "1, selectable=selectable", "1", "tests/test_gauges.py"),
    Fault("gauges.py", "[np.sort(chosen)]", "", "tests/test_gauges.py"),
    Fault("stages.py", "self.run.chosen_before(at + 1)", "self.run.chosen_before(at)", "tests/test_loop_stops.py"),
    Fault("stages.py", "for each in (index - 1, index)", "for each in (index,)", "tests/test_loop_stops.py"),
    Fault("stages.py", "if self.run.is_done(index + 1):", "if False:", "tests/test_loop_stops.py"),
    Fault("stages.py", "(index - 1, None), (index", "(index", "tests/test_loop_stops.py"),
    Fault("opening.py", "needs |= {Signal.EMBEDDING}", "needs |= set()", "tests/test_loop_stops.py"),
    Fault("run_folder.py", '    "stop",\n', "", "tests/test_loop_stops.py"),
    Fault("yardstick.py", "chosen_before(_index(name) + 1)", "chosen_before(_index(name))", "tests/test_yardstick.py"),
    Fault("yardstick.py", "if name == BASE or run.model_dir", "if run.model_dir", "tests/test_yardstick.py"),
    Fault("yardstick.py", "held.pool.positions)", "None)", "tests/test_yardstick.py"),
    Fault("evaluation/tasks.py", "if self.key(name) not in known", "if name not in known", "tests/evaluation/test_tasks.py"),
]


def notices(fault: Fault, folder: Path) -> bool:
    file = folder / "src" / "diverseevol" / fault.file
    sound = file.read_text("utf-8")
    assert sound.count(fault.old) >= 1, f"{fault.file} has no {fault.old!r} any more: mend this list"
    file.write_text(sound.replace(fault.old, fault.new, 1), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", *fault.tests.split()]
    try:
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=180)
    except subprocess.TimeoutExpired:
        return True  # an endless loop is noticed by whoever waits for it
    finally:
        file.write_text(sound, "utf-8")
    assert ended.returncode in (0, 1), ended.stdout.decode()[-2000:]
    return ended.returncode == 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["selection", "loop", "heldout"])
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    faults = {"selection": SELECTION, "loop": LOOP, "heldout": HELDOUT, None: SELECTION + LOOP + HELDOUT}[options.only]
    n_unnoticed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("src", "tests", "examples", "configs", "pyproject.toml"):
            (shutil.copytree if (ROOT / part).is_dir() else shutil.copy)(ROOT / part, folder / part)
        for fault in faults:
            started = time.perf_counter()
            is_noticed = options.list or notices(fault, folder)
            n_unnoticed += not is_noticed
            said = (
                "" if options.list else f"{'noticed' if is_noticed else 'NOT NOTICED'} in {time.perf_counter() - started:.0f} s: "
            )
            print(f"{said}{fault.file}: {fault.old!r} → {fault.new!r}", flush=True)
    if not options.list:
        print(f"{len(faults) - n_unnoticed} of {len(faults)} faults noticed")
    return 1 if n_unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
