"""Break one line at a time, on a copy, and see whether the tests notice: a fault that no test notices is a hole in the tests.

    python benchmarks/mutations.py [--only selection|loop|diversity] [--list]

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

DIVERSITY = [
    Fault("evaluation/diversity.py", "found[name][0] for", "found[name][-1] for", "tests/evaluation/test_diversity.py"),
    Fault("evaluation/diversity.py", "found[name][1:] for", "found[name][:-1] for", "tests/evaluation/test_diversity.py"),
    Fault(
        "evaluation/diversity.py",
        "chosen_rows[: sizes[-1]]",
        "np.sort(chosen_rows)[: sizes[-1]]",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py", "sizes[-1], n_random, seed)", "sizes[-1], n_random, 0)", "tests/evaluation/test_diversity.py"
    ),
    Fault(
        "evaluation/diversity.py",
        "np.quantile(values_RT, BAND, axis=0)",
        "np.quantile(values_RT, BAND[::-1], axis=0)",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "share_hit(cells, order[:n]) for",
        "share_hit(cells, order) for",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "cell_entropy(cells, order[:n]) for",
        "cell_entropy(cells, np.arange(n)) for",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "vendi_scores(vectors, sizes=sizes)",
        "vendi_scores(vectors[::-1], sizes=sizes)",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "mean_nearest_within(vectors, np.arange(n)) if",
        "mean_nearest_within(embeddings, np.arange(n)) if",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "grams.measure(np.arange(n)) for",
        "grams.measure(np.arange(len(order))) for",
        "tests/evaluation/test_diversity.py",
    ),
    Fault("evaluation/diversity.py", "everything, asked)", "everything[:POOL_ROWS_ASKED])", "tests/evaluation/test_diversity.py"),
    Fault(
        "evaluation/diversity.py", "sorted(set(sizes)) != sizes", "sorted(sizes) != sizes", "tests/evaluation/test_diversity.py"
    ),
    Fault(
        "evaluation/coverage.py",
        "[len(chosen_rows)])[0][0, 0]",
        "[len(chosen_rows)])[1][0, 0]",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "largest_ST[order_pos, size_pos] = max(largest_ST[order_pos, size_pos], best_B.max())",
        "largest_ST[order_pos, size_pos] = best_B.max()",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "first = (order_pos - group.start) * sizes[-1]",
        "first = 0",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "first + start, first + size, best_B), size",
        "first + size - 1, first + size, best_B), size",
        "tests/evaluation/test_coverage.py",
    ),
    Fault("evaluation/coverage.py", "sums_ST / n_rows", "sums_ST / sizes[-1]", "tests/evaluation/test_coverage.py"),
    Fault("evaluation/coverage.py", "place_Q, -1)", "part.start + place_Q, -1)", "tests/evaluation/test_coverage.py"),
    Fault("evaluation/coverage.py", "0, len(some), best_Q, own_Q)", "0, len(some), best_Q)", "tests/evaluation/test_coverage.py"),
    Fault(
        "evaluation/coverage.py",
        "best_Q = centres.nearer(centres.screened(asked_QD), 0, len(some), best_Q, own_Q)",
        "best_Q = centres.nearer(centres.screened(asked_QD), 0, len(some), best_Q * np.inf, own_Q)",
        "tests/evaluation/test_coverage.py",
    ),
    Fault("evaluation/coverage.py", "return total / len(asked)", "return total / len(rows)", "tests/evaluation/test_coverage.py"),
    Fault("evaluation/nearest.py", "self._slack = 2 * (", "self._slack = 0 * (", "tests/evaluation/test_nearest.py"),
    Fault("evaluation/nearest.py", "least_BC[is_own_BC] = np.inf", "pass", "tests/evaluation/test_nearest.py"),
    Fault("evaluation/nearest.py", " & ~is_own_BC", "", "tests/evaluation/test_nearest.py"),
    Fault(
        "evaluation/nearest.py",
        "np.square(best_B / self._scale), most_B)",
        "np.square(best_B / self._scale) / 4, most_B)",
        "tests/evaluation/test_nearest.py",
    ),
    Fault("evaluation/nearest.py", "first + centre_P[some])", "centre_P[some])", "tests/evaluation/test_nearest.py"),
    Fault("evaluation/nearest.py", "rows.start + bad if", "bad if", "tests/evaluation/test_nearest.py"),
    Fault(
        "evaluation/nearest.py", "np.where(np.isfinite(norms_B), bound_B, np.inf)", "bound_B", "tests/evaluation/test_nearest.py"
    ),
    Fault("evaluation/nearest.py", "2 * s * norms_C[nearest_B] + (1 + s)", "(1 - s)", "tests/evaluation/test_nearest.py"),
    Fault(
        "evaluation/cells.py",
        "_n_cells(cells_N[rows]) / _n_cells(cells_N)",
        "_n_cells(cells_N[rows]) / (cells_N.max() + 1)",
        "tests/evaluation/test_cells.py",
    ),
    Fault("evaluation/cells.py", "[cells_N[rows] != NO_CELL]", "", "tests/evaluation/test_cells.py"),
    Fault(
        "evaluation/cells.py",
        "read(embeddings_ND, rows) / scale - shift_D,",
        "read(embeddings_ND, rows) / scale,",
        "tests/evaluation/test_cells.py",
    ),
    Fault(
        "evaluation/random_sets.py", "default_rng([seed, number])", "default_rng(seed)", "tests/evaluation/test_random_sets.py"
    ),
    Fault(
        "evaluation/text_diversity.py",
        "pieces_of[: len(grams)] == pieces_of[n - 1 :]",
        "texts_of[: len(grams)] == texts_of[n - 1 :]",
        "tests/evaluation/test_text_diversity.py",
    ),
    Fault(
        "evaluation/text_diversity.py",
        "grams[:-1], first[1:]",
        "grams[:-1], first[:-1]",
        "tests/evaluation/test_text_diversity.py",
    ),
    Fault("vendi.py", "gram[:n, :n]", "gram[-n:, -n:]", "tests/test_vendi.py"),
    Fault("vendi.py", "n_done = n\n", "n_done = 0\n", "tests/test_vendi.py"),
    Fault("vendi.py", " * shares[-1]]", " * 0]", "tests/test_vendi.py"),
    Fault(
        "fixed_embedding.py",
        "config.trust_remote_code and name == config.model",
        "config.trust_remote_code",
        "tests/test_fixed_embedding.py",
    ),
    Fault("fixed_embedding.py", "if fingerprint(name) != asked", "if False", "tests/test_fixed_embedding.py"),
    Fault(
        "fixed_embedding.py",
        "Tokens.open(tokens_dir, pool.positions)",
        "Tokens.open(tokens_dir)",
        "tests/test_fixed_embedding.py",
    ),
    Fault("fixed_embedding.py", "if not is_embedded(folder, mark)", "if True", "tests/test_fixed_embedding.py"),
    Fault("cli/diversity_subject.py", "if name != own", "if False", "tests/cli/test_diversity.py"),
    Fault(
        "cli/diversity_subject.py",
        "run.chosen_before(rounds[-1] + 1)",
        "sorted(run.chosen_before(rounds[-1] + 1))",
        "tests/cli/test_diversity.py",
    ),
    Fault("cli/diversity_tables.py", "value > high", "value > low", "tests/cli/test_diversity.py"),
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
    parser.add_argument("--only", choices=["selection", "loop", "diversity"])
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    faults = {"selection": SELECTION, "loop": LOOP, "diversity": DIVERSITY, None: SELECTION + LOOP + DIVERSITY}[options.only]
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
