"""Faults of loop."""

from . import Fault

FAULTS = [
    Fault("loop.py", "stages.saved_picks(index) or ", "", "tests/test_loop.py tests/cli"),
    Fault("loop.py", "[stages.config.seed, index]", "[stages.config.seed + index]", "tests/test_loop.py"),
    Fault(
        "run_folder/folder.py",
        "for earlier in range(index) for",
        "for earlier in range(max(0, index - 1)) for",
        "tests/test_run_folder.py",
    ),
    Fault("run_folder/lock.py", "fcntl.LOCK_EX | fcntl.LOCK_NB", "fcntl.LOCK_SH | fcntl.LOCK_NB", "tests/test_run_folder.py"),
    Fault("stages.py", "subset = sorted([*chosen", "subset = list([*chosen", "tests/test_loop.py"),
    Fault("stages.py", 'if config.train.start == "base" or', 'if config.train.start != "base" or', "tests/test_loop.py"),
    Fault("stages.py", "selectable[self.excluded_rows] = False", "pass", "tests/test_loop.py"),
    Fault("stages.py", 'side="right"', 'side="left"', "tests/test_loop.py"),
    Fault("seen.py", "np.searchsorted(self.rows, chosen)", "chosen", "tests/test_seen.py"),
    Fault("base/files.py", "remove(partial)\n        raise", "raise", "tests/test_files.py"),
    Fault("train/order.py", "[self.seed, self.epoch]", "[self.seed]", "tests/train/test_order.py"),
    Fault("embed/shards.py", "sums_B[:, None]", "lengths_B[:, None]", "tests/embed"),
]
