"""Lines to break on purpose, a file a part; benchmarks/mutations.py breaks them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One line broken."""

    file: str
    old: str
    new: str
    tests: str
