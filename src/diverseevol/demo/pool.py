"""Instruction data made by a program, shaped like real pools: a long tail of skills, and near-duplicates.

What can be asked is data: `skills.json` holds word lists, and families of skills that share their `slots`,
which are filled in order. "one of X" draws an item, "3 of X" a list without repetition, "all of X" all in a
new order; any other text is a template. X is a range ("1 to 30"), a word list or an earlier slot, several
joined by " + ", less what follows " without ". A template's field may say what to make of its value:
`{word:plural}` looks it up in that word list (by number where it is no table), `{a:plus {b}}` calls one of
`FORMS`. Slots named "_…" are material for others; the rest are the content of what is asked, and one content
in five is kept for held-out sets.

The counts of the skills follow Zipf's law (the r-th most common has 1/r as many rows as the first), in an
order that the seed draws, so no skill is rare by our choice. In the more common half of the skills a quarter
of the rows repeat an earlier question in slightly other words; a few rows anywhere are exact copies.
Cost: about 0.2 s for 3,000 rows.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

Record = dict[str, object]
HELD_OUT_SHARE = 5  # one content in so many never gets into a pool
NEAR_SHARE = 0.25  # of the rows of the more common half of the skills: about a fifth of the whole pool
EXACT_SHARE = 0.02  # of all rows
N_TRIES = 50  # draws of an exercise before a repeated one is accepted
FORMS: dict[str, Callable[..., object]] = {
    "plus": lambda a, b: int(a) + int(b),
    "times": lambda a, b: int(a) * int(b),
    "largest": max,
    "smallest": min,
    "sorted": lambda items: ", ".join(map(str, sorted(items))),
    "commas": lambda items: ", ".join(map(str, items)),
    "spaces": " ".join,
    "hyphens": "-".join,
    "at": lambda items, place: items[int(place)],
    "length": len,
    "upper": str.upper,
    "reversed": lambda word: word[::-1],
    "repeated": lambda word, n: " ".join([word] * int(n)),
    "clock": lambda minutes: f"{int(minutes) // 60}:{int(minutes) % 60:02d}",
}


@dataclass(frozen=True, slots=True)
class Exercise:
    """One thing asked and its one right answer: an alpaca record, and the same knowledge in a sentence."""

    record: Record
    statement: str
    is_held_out: bool  # kept for held-out sets; the content alone decides, so no list has to be passed on


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing that can be asked: its slots, and templates over them.

    Each wording of the question is said as often as the others; what follows " | " is the record's input.
    `history` holds the earlier questions and answers of a dialogue.
    """

    name: str
    slots: Mapping[str, str]
    wordings: Sequence[str]
    output: str
    statement: str
    history: Sequence[Sequence[str]] = ()

    def exercise(self, rng: Random) -> Exercise:
        """Draw one exercise: first its slots, then a wording."""
        values: dict[str, _Value] = {}
        for name, slot in self.slots.items():
            values[name] = _Value(_drawn(slot.format_map(values), values, rng))
        instruction, _, context = rng.choice(self.wordings).format_map(values).partition(" | ")
        output, statement = self.output.format_map(values), self.statement.format_map(values)
        record: Record = {"instruction": instruction, "input": context, "output": output}
        if self.history:
            record["history"] = [[text.format_map(values) for text in pair] for pair in self.history]
        content = ", ".join(f"{name} {values[name]}" for name in sorted(values) if not name.startswith("_"))
        is_held_out = zlib.crc32(f"{self.name} {content}".encode()) % HELD_OUT_SHARE == 0
        return Exercise(record | {"skill": self.name}, statement, is_held_out)


@dataclass(frozen=True, slots=True)
class _Value:
    """A slot's value; in a template, the part of the field behind ":" says what is made of it."""

    raw: Any

    def __getitem__(self, place: int) -> _Value:
        return _Value(self.raw[place])

    def __format__(self, spec: str) -> str:
        form, *arguments = spec.split() or [""]
        match WORDS.get(form):
            case dict() as table:
                return str(table[self.raw])
            case list() as words:
                return str(words[int(self.raw) % len(words)])  # goes round, as the days of the week do
        return str(FORMS[form](self.raw, *arguments) if form else self.raw)


def _drawn(slot: str, values: Mapping[str, _Value], rng: Random) -> object:
    how_many, is_draw, source = slot.partition(" of ")
    if not is_draw:
        return slot
    names, *left_out = source.split(" without ")
    items: list[Any] = []
    for name in names.split(" + "):
        first, is_range, last = name.partition(" to ")
        if is_range:
            items += range(int(first), int(last) + 1)
        elif name in values:
            items += values[name].raw
        else:
            items += sorted(WORDS[name]) if isinstance(WORDS[name], dict) else WORDS[name]
    items = [item for item in items if item not in left_out]
    if how_many == "all":
        rng.shuffle(items)
        return items
    return rng.choice(items) if how_many == "one" else rng.sample(items, int(how_many))


_DATA = json.loads(Path(__file__).with_name("skills.json").read_text("utf-8"))
SKILLS = tuple(Skill(slots=each["slots"], **skill) for each in _DATA["families"] for skill in each["skills"])
WORDS: dict[str, Any] = _DATA["words"]
WORDS["nouns"] = WORDS["animal"] + WORDS["fruit"] + WORDS["tool"] + WORDS["place"]
_SPELT = ("nouns", "adjectives", "opposite", "past", "colour", "spanish")
WORDS["words"] = list(dict.fromkeys(word for name in _SPELT for word in WORDS[name]))


def make_pool(n_rows: int = 3000, seed: int = 0) -> list[Record]:
    """Make shuffled alpaca records {instruction, input, output, [history,] skill}; the seed decides all.

    Raises:
        ValueError: `n_rows` is smaller than the number of skills.
    """
    n_skills = len(SKILLS)
    if n_rows < n_skills:
        raise ValueError(f"cannot make {n_rows} rows of {n_skills} skills: ask for {n_skills} rows or more.")
    rng = Random(f"pool {seed}")
    skills = rng.sample(SKILLS, n_skills)
    records: list[Record] = []
    for rank, (skill, n) in enumerate(zip(skills, zipf_counts(n_rows, n_skills), strict=True)):
        n_near, n_exact = round(n * NEAR_SHARE) if rank < n_skills / 2 else 0, round(n * EXACT_SHARE)
        rows = _distinct(skill, n - n_near - n_exact, rng, is_held_out=False)
        near = [_reworded(row, rng) for row in rng.choices(rows, k=n_near)]
        records += rows + near + rng.choices(rows, k=n_exact)
    rng.shuffle(records)
    return records


def make_heldout(n_per_skill: int = 8, seed: int = 0) -> list[Record]:
    """Make `n_per_skill` records of every skill, in the order of `SKILLS`; no pool has their contents."""
    rng = Random(f"held-out {seed}")
    return [record for skill in SKILLS for record in _distinct(skill, n_per_skill, rng, is_held_out=True)]


def rare_skills(pool: Iterable[Mapping[str, object]]) -> frozenset[str]:
    """The rarest third of the pool's skills by number of rows; of equal ones the first in the alphabet."""
    counts = Counter(str(record["skill"]) for record in pool)
    return frozenset(sorted(counts, key=lambda skill: (counts[skill], skill))[: len(counts) // 3])


def zipf_counts(n_rows: int, n_skills: int) -> list[int]:
    """Split `n_rows` by Zipf's law, common first, one at least; what rounding leaves goes to the front."""
    harmonic = sum(1 / rank for rank in range(1, n_skills + 1))
    counts = [1 + int((n_rows - n_skills) / rank / harmonic) for rank in range(1, n_skills + 1)]
    n_over = n_rows - sum(counts)
    return [n + (rank < n_over) for rank, n in enumerate(counts)]


def _distinct(skill: Skill, n: int, rng: Random, is_held_out: bool) -> list[Record]:
    """Draw records of different texts; a narrow skill that runs out of new ones repeats itself, reworded."""
    rows: list[Record] = []
    seen: set[str] = set()
    while len(rows) < n:
        for _ in range(N_TRIES):
            while (exercise := skill.exercise(rng)).is_held_out != is_held_out:
                pass
            if (text := str(exercise.record)) not in seen:
                break
        rows.append(_reworded(exercise.record, rng) if text in seen else exercise.record)
        seen.add(text)
    return rows


def _reworded(record: Record, rng: Random) -> Record:
    text = str(record["instruction"])
    reworded = rng.choice(WORDS["rewordings"]).format(text=text, bare=text.rstrip(".?"))
    return record | {"instruction": reworded}
