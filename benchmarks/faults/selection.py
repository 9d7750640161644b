"""Faults of selection."""

from . import Fault

FAULTS = [
    Fault("selection/traversal.py", "(offer[0], -offer[2])", "(offer[0], offer[2])", "tests/selection/test_traversal.py"),
    Fault(
        "selection/lazy_distances.py", "(scores >= best) & (scores > GONE)", "(scores > best)", "tests/selection/test_k_center.py"
    ),
    Fault("selection/distances.py", " | ((squared == known) & (rows < nearest))", "", "tests/selection/test_k_center.py"),
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
        "np.lexsort((rows_C[j_P], squared_P, i_P))",
        "np.lexsort((squared_P, i_P))",
        "tests/selection",
    ),
    Fault("selection/first_bounds.py", "(1 + (rows_BD.shape[1] + 8) * UNIT)", "0.999", "tests/selection/test_first_bounds.py"),
    Fault("selection/first_bounds.py", "[part - first]", "[: len(part)]", "tests/selection/test_first_bounds.py"),
    Fault("selection/base.py", "is_free[self.chosen(chosen_rows)] = False", "pass", "tests/selection"),
    Fault("selection/k_center.py", "squared / 2 if", "squared if", "tests/selection/test_k_center.py"),
    Fault("selection/traversal.py", "squared_M if weights is None else squared_M * weights", "squared_M", "tests/selection"),
    Fault("selection/random_draw.py", "replace=False", "replace=True", "tests/selection/test_strategies.py"),
    Fault("selection/reader.py", "values_MD /= np.sqrt", "values_MD /= (lambda x: x)", "tests/selection"),
]
