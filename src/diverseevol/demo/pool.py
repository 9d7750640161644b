"""Instruction data made by a program, with the shape that real pools have: a long tail of skills, and near-duplicates.

The counts of the skills follow Zipf's law (the r-th most common has 1/r as many rows as the first), in an order that the
seed draws, so no skill is rare by our choice. In the more common half of the skills a quarter of the rows repeat an earlier
question in slightly other words; a few rows anywhere are exact copies. Held-out questions share no content with any pool,
whatever the seeds.
Cost: about 0.1 s for 3,000 rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import Random

from .skill import Exercise, Skill
from .skills import SKILLS

Record = dict[str, object]
NEAR_SHARE = 0.25
"""Share of near-duplicates among the rows of the more common half of the skills: about a fifth of the whole pool."""
EXACT_SHARE = 0.02
"""Share of exact copies among all rows."""
N_TRIES = 50
"""Draws of an exercise before a repeated one is accepted."""

REWORDINGS: tuple[Callable[[str], str], ...] = (
    lambda text: text.rstrip(".?"),
    lambda text: f"Please help me. {text}",
    lambda text: f"{text} Thank you.",
    lambda text: f"Hello! {text}",
    lambda text: f"Question: {text}",
    lambda text: text + " ",
)


def make_pool(n_rows: int = 3000, seed: int = 0) -> list[Record]:
    """Make a pool of alpaca records.

    Args:
        n_rows: Rows in all; at least one a skill.
        seed: Decides everything; the same seed gives the same rows in the same order.

    Returns:
        Records {instruction, input, output, [history,] skill} in a shuffled order.

    Raises:
        ValueError: `n_rows` is smaller than the number of skills.
    """
    if n_rows < len(SKILLS):
        raise ValueError(
            f"cannot make a pool of {n_rows} rows: there are {len(SKILLS)} skills. Ask for at least {len(SKILLS)} rows."
        )
    rng = Random(f"pool {seed}")
    skills = rng.sample(SKILLS, len(SKILLS))
    exercises: list[Exercise] = []
    for index, (skill, n) in enumerate(zip(skills, zipf_counts(n_rows, len(skills)), strict=True)):
        exercises += _rows_of_skill(skill, n, NEAR_SHARE if index < len(skills) / 2 else 0.0, rng)
    rng.shuffle(exercises)
    return [exercise.record() for exercise in exercises]


def make_heldout(n_per_skill: int = 8, seed: int = 0) -> list[Record]:
    """Make `n_per_skill` records of every skill, in the order of `SKILLS`; none of their contents occurs in any pool."""
    rng = Random(f"held-out {seed}")
    return [exercise.record() for skill in SKILLS for exercise in _distinct(skill, n_per_skill, rng, is_held_out=True)]


def rare_skills(pool: Iterable[Mapping[str, object]]) -> frozenset[str]:
    """The rarest third of the pool's skills by their number of rows; equal counts are taken in alphabetical order."""
    counts = Counter(str(record["skill"]) for record in pool)
    return frozenset(sorted(counts, key=lambda skill: (counts[skill], skill))[: len(counts) // 3])


def zipf_counts(n_rows: int, n_skills: int) -> list[int]:
    """Split `n_rows` by Zipf's law, common first, at least one each; what rounding leaves over goes to the front."""
    harmonic = sum(1 / rank for rank in range(1, n_skills + 1))
    spare = n_rows - n_skills
    counts = [1 + int(spare / rank / harmonic) for rank in range(1, n_skills + 1)]
    for index in range(n_rows - sum(counts)):
        counts[index] += 1
    return counts


def _rows_of_skill(skill: Skill, n: int, near_share: float, rng: Random) -> list[Exercise]:
    n_near, n_exact = round(n * near_share), round(n * EXACT_SHARE)
    rows = _distinct(skill, n - n_near - n_exact, rng, is_held_out=False)
    near = [_reworded(row, rng) for row in rng.choices(rows, k=n_near)]
    return rows + near + rng.choices(rows, k=n_exact)


def _distinct(skill: Skill, n: int, rng: Random, is_held_out: bool) -> list[Exercise]:
    """Draw `n` exercises with different texts; a narrow skill that has run out of new ones repeats itself, reworded."""
    rows: list[Exercise] = []
    seen: set[tuple[object, ...]] = set()
    while len(rows) < n:
        for _ in range(N_TRIES):
            row = _of_side(skill, rng, is_held_out)
            key = (row.instruction, row.input, row.history)
            if key not in seen:
                break
        rows.append(_reworded(row, rng) if key in seen else row)
        seen.add(key)
    return rows


def _of_side(skill: Skill, rng: Random, is_held_out: bool) -> Exercise:
    while (row := skill.exercise(rng)).is_held_out != is_held_out:
        pass
    return row


def _reworded(row: Exercise, rng: Random) -> Exercise:
    return replace(row, instruction=rng.choice(REWORDINGS)(row.instruction))
