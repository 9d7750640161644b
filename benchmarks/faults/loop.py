"""Faults of loop."""

from . import Fault

FAULTS = [
    Fault("loop/evolve.py", "stages.saved_picks(index) or ", "", "tests/loop/test_loop.py tests/cli"),
    Fault("loop/evolve.py", "[stages.config.seed, index]", "[stages.config.seed + index]", "tests/loop/test_loop.py"),
    Fault(
        "run/folder.py",
        "for earlier in range(index) for",
        "for earlier in range(max(0, index - 1)) for",
        "tests/run/test_folder.py",
    ),
    Fault(
        "run/progress.py",
        "fcntl.LOCK_EX | fcntl.LOCK_NB",
        "fcntl.LOCK_SH | fcntl.LOCK_NB",
        "tests/run/test_progress.py tests/run/test_folder.py",
    ),
    Fault("loop/stages.py", "subset = sorted([*chosen", "subset = list([*chosen", "tests/loop/test_loop.py"),
    Fault(
        "loop/stages.py", 'if config.train.start == "base" or', 'if config.train.start != "base" or', "tests/loop/test_loop.py"
    ),
    Fault("loop/stages.py", "selectable[self.excluded_rows] = False", "pass", "tests/loop/test_loop.py"),
    Fault("loop/stages.py", 'side="right"', 'side="left"', "tests/loop/test_loop.py"),
    Fault("loop/seen.py", "np.searchsorted(self.rows, chosen)", "chosen", "tests/loop/test_seen.py"),
    Fault("base/files.py", "remove(partial)\n        raise", "raise", "tests/base/test_files.py"),
    Fault("models/train/order.py", "[self.seed, self.epoch]", "[self.seed]", "tests/models/train/test_order.py"),
    Fault("models/embed/shards.py", "sums_B[:, None]", "lengths_B[:, None]", "tests/models/embed"),
]
