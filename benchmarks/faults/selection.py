"""Faults of selection."""

from . import Fault

ENGINE, TESTS = "selection/distances.py", "tests/selection/test_distances.py"
K_CENTER = "tests/selection/test_k_center.py"
FAULTS = [
    Fault(ENGINE, "(offer[0], -offer[2])", "(offer[0], offer[2])", K_CENTER),
    Fault(ENGINE, " | ((squared == known_M[found]) & (rows < nearest_M[found]))", "", K_CENTER),
    Fault(ENGINE, "-self.front[0][0] <= self.floor", "-self.front[0][0] < self.floor", TESTS),
    Fault(ENGINE, "(scores >= lowest) &", "(scores > lowest) &", TESTS),
    Fault(ENGINE, "slack_MC = 4 *", "slack_MC = 0 *", TESTS),
    Fault(ENGINE, "np.lexsort((rows_C[j_P], squared_P, i_P))", "np.lexsort((squared_P, i_P))", "tests/selection"),
    Fault(ENGINE, "(1 + (width + 8) * UNIT)", "0.999", TESTS),
    Fault(ENGINE, "[part - first]", "[: len(part)]", TESTS),
    Fault(ENGINE, "squared_N if weights is None else squared_N * weights", "squared_N", TESTS),
    Fault("selection/base.py", "is_free[self.chosen(chosen_rows)] = False", "pass", "tests/selection"),
    Fault("selection/k_center.py", "squared / 2 if", "squared if", K_CENTER),
    Fault("selection/random_draw.py", "replace=False", "replace=True", "tests/selection/test_strategies.py"),
    Fault("selection/rows.py", "values_MD /= np.sqrt", "values_MD /= (lambda x: x)", "tests/selection"),
]
