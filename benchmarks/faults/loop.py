"""Faults of loop."""

from . import Fault

FAULTS = [
    Fault("loop/evolve.py", "rounds.saved_picks(index) or ", "", "tests/loop/test_loop.py tests/cli"),
    Fault("loop/evolve.py", "[rounds.config.seed, index]", "[rounds.config.seed + index]", "tests/loop/test_loop.py"),
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
    Fault("loop/rounds.py", "subset = sorted([*chosen", "subset = list([*chosen", "tests/loop/test_loop.py"),
    Fault(
        "loop/rounds.py",
        'is_base = config.train.start == "base" or',
        'is_base = config.train.start != "base" or',
        "tests/loop/test_loop.py",
    ),
    Fault("loop/rounds.py", "selectable[self.excluded_rows] = False", "pass", "tests/loop/test_loop.py"),
    Fault("loop/rounds.py", 'side="right"', 'side="left"', "tests/loop/test_loop.py"),
    Fault("loop/candidates.py", "np.searchsorted(self.rows, chosen)", "chosen", "tests/loop/test_candidates.py"),
    Fault("base/files.py", "remove(partial)\n        raise", "raise", "tests/base/test_files.py"),
    Fault("models/train.py", "[self.seed, self.epoch]", "[self.seed]", "tests/models/test_train.py"),
    Fault("models/batches.py", "weights_BT.sum(axis=1, dtype=np.float64)", "lengths_B", "tests/models/test_embed.py"),
    Fault("models/signals.py", "scatter_(1, at_P1, -torch.inf)", "scatter_(1, at_P1, 0.0)", "tests/models/test_signals.py"),
    Fault("models/embed_files.py", "        if not self.bad_rows:", "        if True:", "tests/models/test_embed.py"),
    Fault("models/embed_files.py", "or read_json(header_file) != header", "", "tests/models/test_embed.py"),
    Fault("models/encoder.py", "is_masked=not is_causal", "is_masked=False", "tests/models/test_encoder.py"),
]
