"""What a pool holds twice, and what it shares with benchmarks: exact and near-duplicates, and decontamination. No torch.

`left_out` does what a pool's configuration asks for while the pool is made; `find_duplicates` and `find_contamination` only look.
"""

from .benchmarks import Benchmark, read_benchmarks
from .contamination import Match, find_contamination
from .duplicates import Duplicate, find_duplicates
from .left_out import Overlap, count_left_out, left_out, save_contamination, save_duplicates, why_dropped

__all__ = [
    "Benchmark",
    "Duplicate",
    "Match",
    "Overlap",
    "count_left_out",
    "find_contamination",
    "find_duplicates",
    "left_out",
    "read_benchmarks",
    "save_contamination",
    "save_duplicates",
    "why_dropped",
]
