"""Started by torchrun: `select_on_ranks.py FOLDER` picks from every FOLDER/*.npy and writes what each rank found."""

import sys
from pathlib import Path

import numpy as np

from diverseevol.base import dist
from diverseevol.selection import select

folder = Path(sys.argv[1])
for file in sorted(folder.glob("points-*.npy")):
    points = np.load(file, mmap_mode="r")
    for name, chosen in (("some", [5, 90, 33]), ("none", [])):
        picks = select(points, chosen, 40)
        np.savez(folder / f"picks-{file.stem}-{name}-{dist.rank()}.npz", rows=picks.rows, **picks.columns)
dist.stop()
