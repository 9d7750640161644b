"""Faults of diversity."""

from . import Fault

FAULTS = [
    Fault("evaluation/diversity.py", "values[0] for name", "values[-1] for name", "tests/evaluation/test_diversity.py"),
    Fault("evaluation/diversity.py", "values[1:] for name", "values[:-1] for name", "tests/evaluation/test_diversity.py"),
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
        "vendi_scores(held, sizes=sizes)",
        "vendi_scores(held[::-1], sizes=sizes)",
        "tests/evaluation/test_diversity.py",
    ),
    Fault(
        "evaluation/diversity.py",
        "mean_nearest_within(held, np.arange(n)) if",
        "mean_nearest_within(vectors, np.arange(n)) if",
        "tests/evaluation/test_diversity.py",
    ),
    Fault("evaluation/diversity.py", "everything, asked)", "everything[:POOL_ROWS_ASKED])", "tests/evaluation/test_diversity.py"),
    Fault(
        "evaluation/diversity.py", "sorted(set(sizes)) != sizes", "sorted(sizes) != sizes", "tests/evaluation/test_diversity.py"
    ),
    Fault(
        "evaluation/coverage.py",
        "[len(chosen_rows)])[0][0]",
        "[len(chosen_rows)])[1][0]",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "largest_T[at] = max(largest_T[at], best_B.max())",
        "largest_T[at] = best_B.max()",
        "tests/evaluation/test_coverage.py",
    ),
    Fault("evaluation/coverage.py", "sums_T / n_rows", "sums_T / sizes[-1]", "tests/evaluation/test_coverage.py"),
    Fault("evaluation/coverage.py", "return total / len(asked)", "return total / len(rows)", "tests/evaluation/test_coverage.py"),
    Fault("evaluation/coverage.py", "rows.start + bad if", "bad if", "tests/evaluation/test_coverage.py"),
    Fault(
        "evaluation/coverage.py",
        "float(n_hit / n_all)",
        "float(n_hit / (cells_N.max() + 1))",
        "tests/evaluation/test_coverage.py",
    ),
    Fault("evaluation/coverage.py", "[cells_N[rows] != NO_CELL]", "", "tests/evaluation/test_coverage.py"),
    Fault(
        "evaluation/coverage.py",
        "read(vectors, rows) / scale - shift_D,",
        "read(vectors, rows) / scale,",
        "tests/evaluation/test_coverage.py",
    ),
    Fault("evaluation/diversity.py", "default_rng([seed, number])", "default_rng(seed)", "tests/evaluation/test_diversity.py"),
    Fault("selection/vendi.py", "gram[:n, :n]", "gram[-n:, -n:]", "tests/selection/test_vendi.py"),
    Fault("selection/vendi.py", "n_done = n\n", "n_done = 0\n", "tests/selection/test_vendi.py"),
    Fault("selection/vendi.py", " * shares[-1]]", " * 0]", "tests/selection/test_vendi.py"),
    Fault(
        "evaluation/base_embedding.py",
        "config.trust_remote_code and name == config.model",
        "config.trust_remote_code",
        "tests/evaluation/test_base_embedding.py",
    ),
    Fault("evaluation/base_embedding.py", "if fingerprint(name) != asked", "if False", "tests/evaluation/test_base_embedding.py"),
    Fault(
        "evaluation/base_embedding.py",
        "Tokens.open(tokens_dir, pool.positions)",
        "Tokens.open(tokens_dir)",
        "tests/evaluation/test_base_embedding.py",
    ),
    Fault(
        "evaluation/base_embedding.py",
        "if not dist.on_main(lambda: is_embedded(folder, mark)):",
        "if True:",
        "tests/evaluation/test_base_embedding.py",
    ),
    Fault("evaluation/diversity.py", """if line.rstrip("\\r\\n") != own""", "if False", "tests/cli/test_diversity.py"),
    Fault(
        "evaluation/diversity.py",
        "folder.chosen_before(rounds[-1] + 1)",
        "sorted(folder.chosen_before(rounds[-1] + 1))",
        "tests/cli/test_diversity.py",
    ),
    Fault("cli/measure.py", "value > high", "value > low", "tests/cli/test_diversity.py"),
    Fault("evaluation/coverage.py", "centres_CD[start:stop]))", "centres_CD[: stop - 1]))", "tests/evaluation/test_coverage.py"),
    Fault(
        "evaluation/coverage.py",
        "shift_D = (centres_CD / scale).mean(axis=0)",
        "shift_D = 0.0",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "squares_BC[own_B >= 0, own_B[own_B >= 0]] = np.inf",
        "pass",
        "tests/evaluation/test_coverage.py",
    ),
    Fault(
        "evaluation/coverage.py",
        "np.where(np.isinf(squares_BC.min(axis=1)), np.inf, distances_B)",
        "distances_B",
        "tests/evaluation/test_coverage.py",
    ),
    Fault("evaluation/coverage.py", "rows = np.sort(rows)", "rows = np.array(rows)", "tests/evaluation/test_coverage.py"),
]
