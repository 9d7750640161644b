"""Instruction data: from files, folders and the Hub to a pool of rows with ids that do not change.

`read_pool` reads and checks, `finish_pool` says which rows can be chosen once their tokens are counted,
`Pool` is the result. `Pool.read(path)` does both for data without a run. `export_rows` (in export) writes
rows in other tools' forms.
"""

from .build import finish_pool, read_pool
from .pool import Pool, Records
from .rows_file import read_rows_file
from .sample import Sample, Turn, plain_text
from .sources import fingerprint

__all__ = [
    "Pool",
    "Records",
    "Sample",
    "Turn",
    "fingerprint",
    "finish_pool",
    "plain_text",
    "read_pool",
    "read_rows_file",
]
