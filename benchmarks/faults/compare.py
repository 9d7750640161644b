"""Faults of compare."""

from . import Fault

FAULTS = [
    Fault(
        "evaluation/paired.py", "confidence_interval(confidence)", "confidence_interval(0.9)", "tests/evaluation/test_paired.py"
    ),
    Fault("evaluation/paired.py", "std(ddof=1)", "std()", "tests/evaluation/test_paired.py"),
    Fault("evaluation/paired.py", "t.isf(alpha / 2, n - 1)", "t.isf(alpha, n - 1)", "tests/evaluation/test_paired.py"),
    Fault("evaluation/paired.py", "or np.ptp(values) == 0", "or False", "tests/evaluation/test_paired.py"),
    Fault(
        "evaluation/comparison.py",
        "at = min(spent, default=0.0)",
        "at = max(spent, default=0.0)",
        "tests/evaluation/test_comparison.py",
    ),
    Fault("evaluation/comparison.py", "sorted(runs, key=lambda run: run.seed)", "runs", "tests/evaluation/test_comparison.py"),
    Fault(
        "evaluation/comparison.py",
        "if not 0 < pairs[0][0] <= spent <= pairs[-1][0]:",
        "if not pairs:",
        "tests/evaluation/test_comparison.py",
    ),
    Fault(
        "evaluation/comparison.py", "(1 - CONFIDENCE) / max(1, n_arms)", "(1 - CONFIDENCE)", "tests/evaluation/test_comparison.py"
    ),
    Fault(
        "evaluation/comparison.py",
        '.verdict == "better" != at_tokens',
        ".verdict != at_tokens",
        "tests/evaluation/test_comparison_words.py",
    ),
    Fault(
        "evaluation/comparison.py",
        "if is_same_size and ratio > 1 else ()",
        "if is_same_size else ()",
        "tests/evaluation/test_comparison_words.py",
    ),
    Fault(
        "compare/results.py",
        "range(index if is_chain else 0)",
        "range(index + 1 if is_chain else 0)",
        "tests/compare/test_results.py",
    ),
    Fault(
        "compare/results.py", "range(0 if is_chain else index, index + 1)", "range(0, index + 1)", "tests/compare/test_results.py"
    ),
    Fault(
        "compare/results.py", 'keep="all", keep_signals="all"', 'keep="none", keep_signals="all"', "tests/compare/test_results.py"
    ),
    Fault("compare/results.py", "    if exclude:", "    if False:", "tests/compare/test_results.py"),
    Fault(
        "compare/experiment.py",
        '"n_new": sum(self.sizes[1:]), "budget": None}',
        '"n_new": sum(self.sizes[1:])}',
        "tests/compare/test_experiment.py",
    ),
    Fault("compare/experiment.py", "all(stored.get(key) == wanted[key] for key in wanted)", "True", "tests/compare"),
    Fault("compare/sharing.py", ", without=lender.losses_dir", "", "tests/compare"),
    Fault("compare/sharing.py", "if of_seed == seed or not pool.holdout:", "if True:", "tests/compare"),
    Fault("compare/sharing.py", "if of_seed == seed or not is_drawn_by_seed:", "if True:", "tests/compare"),
    Fault(
        "compare/sharing.py",
        "(experiment.run_config(name, seed)) == asked",
        "(experiment.run_config(name, seed))",
        "tests/compare",
    ),
    Fault("compare/sharing.py", "if was.get(what) != now.get(what):", "if False:", "tests/compare"),
    Fault("evaluation/paired.py", "if low <= 0 <= high:", "if low < 0 < high:", "tests/evaluation/test_comparison.py"),
]
