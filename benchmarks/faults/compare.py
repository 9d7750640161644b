"""Faults of compare: the pure part, then lending, figures and runs."""

from . import Fault

PAIRED, COMPARISON = "tests/evaluation/test_paired.py", "tests/evaluation/test_comparison.py"
WORDS, LENDING, RUNS = "tests/evaluation/test_comparison_words.py", "tests/compare/test_lending.py", "tests/compare/test_runs.py"

FAULTS = [
    Fault("evaluation/paired.py", "confidence_interval(confidence)", "confidence_interval(0.9)", PAIRED),
    Fault("evaluation/paired.py", "std(ddof=1)", "std()", PAIRED),
    Fault("evaluation/paired.py", "t.isf(alpha / 2, n - 1)", "t.isf(alpha, n - 1)", PAIRED),
    Fault("evaluation/paired.py", "or np.ptp(values) == 0", "or False", PAIRED),
    Fault("evaluation/comparison.py", "found.low <= 0 <= found.high", "found.low < 0 < found.high", COMPARISON),
    Fault("evaluation/comparison.py", "at = min(spent[0], spent[1])", "at = max(spent[0], spent[1])", COMPARISON),
    Fault("evaluation/comparison.py", "found.sort(key=lambda run: run.seed)", "pass", COMPARISON),
    Fault("evaluation/comparison.py", "if not 0 < pairs[0][0] <= spent <= pairs[-1][0]:", "if not pairs:", COMPARISON),
    Fault("evaluation/comparison.py", "(1 - CONFIDENCE) / max(1, n_arms)", "(1 - CONFIDENCE)", COMPARISON),
    Fault("evaluation/comparison_words.py", '.verdict == "better" != at_tokens', ".verdict != at_tokens", WORDS),
    Fault("evaluation/comparison_words.py", "is_longer=is_same_size and ratio > 1", "is_longer=True", WORDS),
    Fault("compare/figures.py", "for at in range(index))]", "for at in range(index + 1))]", "tests/compare/test_figures.py"),
    Fault("compare/figures.py", "if not is_chain:", "if False:", "tests/compare/test_figures.py"),
    Fault("compare/experiment.py", ', "budget": None}', "}", "tests/compare/test_experiment.py"),
    Fault("compare/experiment.py", "and _plain(config) ==", "and {} ==", RUNS),
    Fault("compare/lending.py", ", without=lender.losses_dir", "", LENDING),
    Fault("compare/lending.py", "if each == seed or not experiment.config.pool.holdout:", "if True:", RUNS),
    Fault("compare/lending.py", "if each == seed or not is_drawn_by_seed(experiment.config):", "if True:", RUNS),
    Fault("compare/lending.py", "if _asks_the_same(experiment, arm, other, seed)]", "if True]", RUNS),
    Fault("compare/lending.py", "if was.get(what) != now.get(what):", "if False:", RUNS),
    Fault("compare/runs.py", 'keep="all", keep_signals="all"', 'keep="none", keep_signals="all"', RUNS),
    Fault("compare/runs.py", "    if exclude:", "    if False:", RUNS),
]
