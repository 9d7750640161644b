"""The finished signals as a Parquet file: `id`, and a column of float64 each; row i is pool row i.

Cost: eight bytes a row and signal in memory while reading; writing goes in groups of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ...base.files import damaged, replacing
from ...errors import EmbedError
from ...selection import Signal
from .shards import Ids

ROWS_PER_GROUP = 1 << 16


def open_signals(out_dir: Path) -> dict[str, np.ndarray]:
    """The finished signals of a folder by name, float64[N] each.

    Raises:
        EmbedError: the folder holds none.
    """
    file = _file(Path(out_dir))
    if not file.is_file():
        raise EmbedError(
            f"there are no finished signals in {out_dir}: signals.parquet is missing. Run the pass with signals first."
        )
    table = pq.read_table(file, columns=list(available_columns(Path(out_dir))))
    return {name: table.column(name).to_numpy() for name in table.column_names}


def available_columns(out_dir: Path) -> list[Signal]:
    """The signals that the folder's file holds; none if there is no file."""
    file = _file(out_dir)
    try:
        return [Signal(name) for name in pq.read_schema(file).names if name != "id"] if file.is_file() else []
    except (pa.ArrowException, OSError, ValueError) as error:
        raise damaged(file, error) from None


def write_columns(out_dir: Path, ids: Ids, signals: Sequence[Signal], values_NS: np.ndarray) -> None:
    """Write signals atomically, beside those that the file holds already."""
    columns = open_signals(out_dir) if _file(out_dir).is_file() else {}
    columns |= {signal.value: values_NS[:, i] for i, signal in enumerate(signals)}
    names = [signal.value for signal in Signal if signal.value in columns]
    schema = pa.schema([("id", pa.string()), *((name, pa.float64()) for name in names)])
    with replacing(_file(out_dir)) as partial, pq.ParquetWriter(partial, schema) as writer:
        for start in range(0, len(values_NS), ROWS_PER_GROUP):
            rows = slice(start, start + ROWS_PER_GROUP)
            parts = [
                pa.array([str(id_) for id_ in ids[rows]], pa.string()),
                *(pa.array(columns[name][rows]) for name in names),
            ]
            writer.write_table(pa.table(parts, schema=schema))


def _file(out_dir: Path) -> Path:
    return out_dir / "signals.parquet"
