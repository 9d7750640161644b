"""diverseevol: the small, diverse subset of your instruction data that tunes your model best.

The model itself chooses it, round by round.

Names are loaded when they are first used, so that `import diverseevol` costs milliseconds and loads no torch.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

# OpenMP's threads spin for milliseconds while they wait, which makes everything many times slower where the
# processors are shared; asleep at once, a small model trains a third slower where they are not. So they spin
# for some microseconds (benchmarks/waiting.py, benchmarks/loop.py). OpenMP reads this when torch is loaded:
# here, and not later.
if os.environ.keys().isdisjoint(("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")):
    os.environ.update(OMP_WAIT_POLICY="passive", GOMP_SPINCOUNT="3000")

if TYPE_CHECKING:
    from .config import RunConfig, load_config
    from .data import Pool
    from .errors import DiverseEvolError
    from .evaluation.answer import answer
    from .evaluation.coverage import covering_radius
    from .evaluation.diversity import DiversityReport, diversity, vendi_score
    from .evaluation.heldout import heldout
    from .evaluation.judge import judge
    from .evaluation.scoring import score
    from .loop.embed_pool import embed_pool
    from .loop.evolve import Round, evolve
    from .selection import Selection, Signal, Signals, Strategy, make_strategy, select
    from .selection.vectors import open_vectors

_HOMES = {
    "config": ("RunConfig", "load_config"),
    "errors": ("DiverseEvolError",),
    "evaluation.coverage": ("covering_radius",),
    "evaluation.diversity": ("DiversityReport", "diversity", "vendi_score"),
    "evaluation.answer": ("answer",),
    "evaluation.heldout": ("heldout",),
    "evaluation.judge": ("judge",),
    "evaluation.scoring": ("score",),
    "loop.evolve": ("Round", "evolve"),
    "loop.embed_pool": ("embed_pool",),
    "data": ("Pool",),
    "selection": ("Selection", "Signal", "Signals", "Strategy", "make_strategy", "select"),
    "selection.vectors": ("open_vectors",),
}

__all__ = [
    "DiverseEvolError",
    "DiversityReport",
    "Pool",
    "Round",
    "RunConfig",
    "Selection",
    "Signal",
    "Signals",
    "Strategy",
    "__version__",
    "answer",
    "covering_radius",
    "diversity",
    "embed_pool",
    "evolve",
    "heldout",
    "judge",
    "load_config",
    "make_strategy",
    "open_vectors",
    "score",
    "select",
    "vendi_score",
]


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
