"""How answers are sampled, and the random numbers for it, which belong to the question and not to the batch.

paper    temperature 0.7, the 50 best tokens (DiverseEvol's published code; 50 was its library's default then)
greedy   the best token; of equals the lowest id
model    the model's own generation_config, through the library's own processors
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        name: paper, greedy or model.
        temperature: What scores are divided by; None: the best is taken.
        top_k: How many of the best tokens may be drawn; None: all.
    """

    name: str
    temperature: float | None = None
    top_k: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the settings beside the answers."""
        return {key: value for key, value in asdict(self).items() if value is not None}


SAMPLINGS = {
    "paper": Sampling("paper", temperature=0.7, top_k=50),
    "greedy": Sampling("greedy"),
    "model": Sampling("model"),
}


def uniforms(seed: int, question_id: int | str, turn: int, n: int) -> np.ndarray:
    """The random numbers of one turn of one question, float64[n] in [0, 1)."""
    digest = hashlib.blake2b(f"{type(question_id).__name__} {question_id}".encode(), digest_size=8).digest()
    return np.random.default_rng([seed, turn, int.from_bytes(digest, "little")]).random(n)
