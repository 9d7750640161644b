"""Faults of heldout."""

from . import Fault

FAULTS = [
    Fault("data/holdout.py", "np.minimum(n_G - 1, may_G)", "np.minimum(n_G, may_G)", "tests/data/test_holdout.py"),
    Fault("data/holdout.py", "least_G = np.minimum(room_G, 1)", "least_G = np.minimum(room_G, 0)", "tests/data/test_holdout.py"),
    Fault("data/holdout.py", "room_G - least_G, least_G)", "room_G - least_G)", "tests/data/test_holdout.py"),
    Fault("data/holdout.py", "dtype=np.int64), seed)", "dtype=np.int64), 0)", "tests/data/test_holdout.py"),
    Fault("data/holdout.py", "may_C & (group_C == group)", "group_C == group", "tests/data/test_holdout.py"),
    Fault("loop/setup.py", "pool.rows_also_in(held_pool)", "held_rows", "tests/data/test_holdout.py"),
    Fault(
        "loop/setup.py",
        'np.union1d(lists["exclude"], pool.rows_also_in(held_pool))',
        'lists["exclude"]',
        "tests/data/test_holdout.py",
    ),
    Fault("evaluation/loss.py", "by_group.values()) / len(by_group)", "by_group.values())", "tests/evaluation/test_loss.py"),
    Fault("evaluation/loss.py", "key=lambda name: by_group[name]", "key=str", "tests/evaluation/test_loss.py"),
    Fault("run/stopping.py", "metrics[-1 - stop.rounds :]", "metrics[-stop.rounds :]", "tests/run/test_stopping.py"),
    Fault("run/stopping.py", "move > stop.share", "move >= stop.share", "tests/run/test_stopping.py"),
    Fault("run/stopping.py", "abs(value - known[0])", "(known[0] - value)", "tests/run/test_stopping.py"),
    Fault("run/stopping.py", "spent >= limit", "spent > limit", "tests/run/test_stopping.py"),
    Fault("run/stopping.py", "for one in metrics for bill", "for one in metrics[-1:] for bill", "tests/run/test_stopping.py"),
    Fault("loop/stopping.py", "return float(picks.columns", "return 2 * float(picks.columns", "tests/loop/test_stopping.py"),
    Fault("loop/stopping.py", "[np.sort(chosen)]", "", "tests/loop/test_stopping.py"),
    Fault("loop/rounds.py", "self.run.chosen_before(at + 1)", "self.run.chosen_before(at)", "tests/loop/test_loop_stops.py"),
    Fault("loop/rounds.py", "for at in (index - 1, index):", "for at in (index,):", "tests/loop/test_loop_stops.py"),
    Fault("loop/rounds.py", "if self.run.is_done(index + 1):", "if False:", "tests/loop/test_loop_stops.py"),
    Fault("loop/rounds.py", "(index - 1, None), (index", "(index", "tests/loop/test_loop_stops.py"),
    Fault("loop/setup.py", "needs |= {Signal.EMBEDDING}", "needs |= set()", "tests/loop/test_loop_stops.py"),
    Fault("run/resume.py", '"stop", ', "", "tests/loop/test_loop_stops.py"),
    Fault(
        "evaluation/heldout.py",
        "chosen_before(_index(name) + 1)",
        "chosen_before(_index(name))",
        "tests/evaluation/test_heldout.py",
    ),
    Fault("evaluation/heldout.py", "if name == BASE or run.model_dir", "if run.model_dir", "tests/evaluation/test_heldout.py"),
    Fault("evaluation/heldout.py", "held.pool.positions)", "None)", "tests/evaluation/test_heldout.py"),
    Fault("evaluation/lm_eval.py", "if self.key(name) not in known", "if name not in known", "tests/evaluation/test_lm_eval.py"),
]
