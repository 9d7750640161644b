"""Break one line at a time, on a copy, and see whether the tests notice: a fault that no test notices is a hole in the tests.

    python benchmarks/mutations.py [--only selection|loop|verdict|judge] [--list]

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

VERDICT = [
    Fault("evaluation/verdict.py", "100 * ours / opponent", "100 * ours / (ours + opponent)", "tests/evaluation/test_verdict.py"),
    Fault("evaluation/verdict.py", "counts_QO.all(axis=1)", "counts_QO.any(axis=1)", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py",
        "rs_complete=_rs(sums_QS[complete_rows])",
        "rs_complete=_rs(sums_QS)",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "sums_QS[:, 0].sum() / n_judgements",
        "sums_QS[:, 0].sum() / len(questions)",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "ratio_of_sums(sums_QS[:, 0], verdicts.counts_QO[rows].sum(axis=1).astype(np.float64))",
        "ratio_of_sums(sums_QS[:, 0], sums_QS[:, 0])",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "len(scores_OS) == len(verdicts.orders)",
        "len(scores_OS) > 0",
        "tests/evaluation/test_verdict.py",
    ),
    Fault("evaluation/verdict.py", "< SAME", "<= 0", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py",
        "scores_S[0] > scores_S[1] else",
        "scores_S[0] < scores_S[1] else",
        "tests/evaluation/test_verdict.py",
    ),
    Fault(
        "evaluation/verdict.py",
        "_outcome(scores) for scores in scores_OS",
        "_outcome(means_S) for scores in scores_OS",
        "tests/evaluation/test_verdict.py",
    ),
    Fault("evaluation/verdict.py", 'counts["tie"] / 2', 'counts["tie"]', "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py", "first - second, confidence", "second - first, confidence", "tests/evaluation/test_verdict.py"
    ),
    Fault("evaluation/verdict.py", "difference(of_first, of_second)", "of_first", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict.py", "for row in rows.tolist():", "for row in range(len(rows)):", "tests/evaluation/test_verdict.py"
    ),
    Fault("evaluation/judgements.py", "self.scores_QOS, 0.0)", "self.scores_QOS, 1.0)", "tests/evaluation/test_verdict.py"),
    Fault(
        "evaluation/verdict_layouts.py",
        "shown if judgement.order == 0 else shown[::-1]",
        "shown",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault("evaluation/verdict_layouts.py", " and number != UNREADABLE", "", "tests/evaluation/test_verdict_files.py"),
    Fault(
        "evaluation/verdict_files.py",
        "not scale[0] <= score <= scale[1]",
        "not score <= scale[1]",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault("evaluation/verdict_files.py", "scores = (None,) * len(scores)", "pass", "tests/evaluation/test_verdict_files.py"),
    Fault(
        "evaluation/verdict_files.py",
        "None in earlier.scores and None not in scores",
        "True",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault(
        "evaluation/verdict_files.py",
        '[(int(part), "") if part.isdecimal() else (-1, part)',
        "[(-1, part)",
        "tests/evaluation/test_verdict_files.py",
    ),
    Fault(
        "evaluation/verdict_table.py",
        "first.counts_QO[pairs_Q2[:, 0]].any(axis=1) & ",
        "",
        "tests/evaluation/test_verdict_table.py",
    ),
    Fault(
        "evaluation/verdict_table.py",
        "headline(second, pairs_Q2[:, 1])",
        "headline(second, pairs_Q2[:, 0])",
        "tests/evaluation/test_verdict_table.py",
    ),
    Fault(
        "evaluation/verdict_table.py", "if interval.low > 0:", "if interval.high > 0:", "tests/evaluation/test_verdict_table.py"
    ),
    Fault("evaluation/answer_lengths.py", ' and ".." not in name.parts', "", "tests/evaluation/test_answer_lengths.py"),
    Fault(
        "evaluation/bootstrap.py", "high, low = value - error", "low, high = value + error", "tests/evaluation/test_bootstrap.py"
    ),
    Fault(
        "evaluation/bootstrap.py",
        "(above_Q - ratio_B[:, None] * below_Q)",
        "(above_Q - below_Q)",
        "tests/evaluation/test_bootstrap.py",
    ),
    Fault("evaluation/bootstrap.py", "/ error_B[has_spread]", "/ error", "tests/evaluation/test_bootstrap.py"),
    Fault(
        "evaluation/length_control.py",
        "np.tanh(delta_Q / delta_Q.std())",
        "np.tanh(delta_Q * 0)",
        "tests/evaluation/test_length_control.py",
    ),
    Fault("evaluation/length_control.py", " - RIDGE * phi_B", "", "tests/evaluation/test_length_control.py"),
    Fault(
        "evaluation/length_control.py",
        "[[c_B, -b_B], [-b_B, a_B]]",
        "[[c_B, b_B], [b_B, a_B]]",
        "tests/evaluation/test_length_control.py",
    ),
]


JUDGE = [
    Fault("evaluation/judge/parse.py", "if number in values:", "if False:", "tests/evaluation/judge/test_parse.py"),
    Fault("evaluation/judge/parse.py", "elif FRACTION.fullmatch(first):", "elif False:", "tests/evaluation/judge/test_parse.py"),
    Fault("evaluation/judge/parse.py", "PAIR.fullmatch(first)", "PAIR.match(first)", "tests/evaluation/judge/test_parse.py"),
    Fault(
        "evaluation/judge/template.py",
        "if not any(mark in text for text in texts)",
        "if True",
        "tests/evaluation/judge/test_template.py",
    ),
    Fault(
        "evaluation/judge/pairs.py",
        "return scores[::-1] if self.order else scores",
        "return scores",
        "tests/evaluation/judge/test_pairs.py",
    ),
    Fault("evaluation/judge/pairs.py", "for left in theirs.values()", "for left in ()", "tests/evaluation/judge/test_pairs.py"),
    Fault(
        "evaluation/judge/request.py",
        "judgement.question, *judgement.shown]",
        "judgement.question, *sorted(judgement.shown)]",
        "tests/evaluation/judge/test_request.py",
    ),
    Fault(
        "evaluation/judge/store.py",
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA locking_mode = NORMAL",
        "tests/evaluation/judge/test_store.py",
    ),
    Fault(
        "evaluation/judge/cost.py",
        "self._reserved + money > self._limit",
        "money > self._limit",
        "tests/evaluation/judge/test_cost.py",
    ),
    Fault(
        "evaluation/judge/client.py",
        "text = text.replace(self._secret, STRUCK_OUT) if self._secret else text",
        "text = str(text)",
        "tests/evaluation/judge/test_client.py",
    ),
    Fault("evaluation/judge/client.py", "max_retries=0", "max_retries=1", "tests/evaluation/judge/test_client.py"),
    Fault("evaluation/judge/asking.py", "self.n_failed_in_a_row = 0\n", "pass\n", "tests/evaluation/judge/test_asking.py"),
    Fault("evaluation/judge/asking.py", "used = most\n", "used = Tokens()\n", "tests/evaluation/judge/test_asking.py"),
    Fault(
        "evaluation/judge/asking.py",
        "self.pace.pause(seconds)",
        "await asyncio.sleep(seconds)",
        "tests/evaluation/judge/test_asking.py",
    ),
    Fault(
        "evaluation/judge/asking.py",
        "while self.queue and not self.asked.stopped_by",
        "while self.queue",
        "tests/evaluation/judge/test_asking.py",
    ),
    Fault("evaluation/judge/verdicts.py", "judgement.ours_first(scores)", "scores", "tests/evaluation/judge/test_verdicts.py"),
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
    sections = {"selection": SELECTION, "loop": LOOP, "verdict": VERDICT, "judge": JUDGE}
    parser.add_argument("--only", choices=list(sections))
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    faults = sections[options.only] if options.only else [fault for section in sections.values() for fault in section]
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
