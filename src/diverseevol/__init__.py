"""diverseevol: the small, diverse subset of your instruction data that tunes your model best, chosen round by round by the model itself.

Names are loaded when they are first used, so that `import diverseevol` costs milliseconds and loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .config import RunConfig, load_config
    from .errors import DiverseEvolError
    from .evaluation.coverage import covering_radius
    from .evaluation.diversity import DiversityReport, measure_diversity, vendi_score
    from .evaluation.verdict_table import score_verdicts
    from .loop import Round, evolve
    from .opening import embed_pool
    from .pool import Pool
    from .selection import Selection, Signal, Signals, Strategy, make_strategy, select
    from .vectors import open_vectors

_HOMES = {
    "DiverseEvolError": "errors",
    "DiversityReport": "evaluation.diversity",
    "Pool": "pool",
    "Round": "loop",
    "RunConfig": "config",
    "Selection": "selection",
    "Signal": "selection",
    "Signals": "selection",
    "Strategy": "selection",
    "covering_radius": "evaluation.coverage",
    "embed_pool": "opening",
    "evolve": "loop",
    "load_config": "config",
    "make_strategy": "selection",
    "measure_diversity": "evaluation.diversity",
    "open_vectors": "vectors",
    "score_verdicts": "evaluation.verdict_table",
    "select": "selection",
    "vendi_score": "evaluation.diversity",
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
    "covering_radius",
    "embed_pool",
    "evolve",
    "load_config",
    "make_strategy",
    "measure_diversity",
    "open_vectors",
    "score_verdicts",
    "select",
    "vendi_score",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
