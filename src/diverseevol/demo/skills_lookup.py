"""Skills about facts: grammar, geography, colours, kinds of things, another language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from .skill import Skill, Values
from .words import CAPITALS, COLOURS, KINDS, NAMES, OPPOSITES, PAST, PLURALS, SPANISH


def _two_facts(table: Mapping[str, str]) -> Callable[[Random], Values]:
    """Draws of two different entries of a table; pairs, since single facts would run out in a large pool."""

    def draw(rng: Random) -> Values:
        a, b = rng.sample(sorted(table), 2)
        return {"a": a, "b": b, "A": table[a], "B": table[b]}

    return draw


def _kind(rng: Random) -> Values:
    kinds = rng.sample(sorted(KINDS), 2)
    right = rng.choice(kinds)
    return {"word": rng.choice(KINDS[right]), "kind": right, "k": kinds[0], "l": kinds[1]}


def _odd_one_out(rng: Random) -> Values:
    usual, odd = rng.sample(sorted(KINDS), 2)
    stranger = rng.choice(KINDS[odd])
    words = [*rng.sample(KINDS[usual], 3), stranger]
    rng.shuffle(words)
    return {"list": ", ".join(words), "word": stranger, "kind": usual}


def _past_tense(rng: Random) -> Values:
    verb = rng.choice(sorted(PAST))
    return {"verb": verb, "past": PAST[verb], "name": rng.choice(NAMES)}


# fmt: off
SKILLS = (
    Skill("plural", _two_facts(PLURALS), (
        'Give the plurals of "{a}" and "{b}".', "Write the words in the plural. | {a}, {b}",
        'What are the plurals of "{a}" and "{b}"?', "Make plurals. | {a}, {b}",
    ), "many {A}, many {B}", "One {a}, many {A}; one {b}, many {B}."),
    Skill("opposite", _two_facts(OPPOSITES), (
        'Name the opposites of "{a}" and "{b}".', "Write the opposite of each word. | {a}, {b}",
        'What is the opposite of "{a}" and of "{b}"?', "Give antonyms. | {a}, {b}",
    ), "not {a} but {A}, not {b} but {B}", "The opposite of {a} is {A}, that of {b} is {B}."),
    Skill("capital", _two_facts(CAPITALS), (
        "What are the capitals of {a} and {b}?", "Name the capital city of {a} and of {b}.",
        "Name each country's capital. | {a}, {b}", "Which cities are the capitals of {a} and {b}?",
    ), "{A} is the capital of {a}, {B} of {b}.", "The capital of {a} is {A}. The capital of {b} is {B}."),
    Skill("colour", _two_facts(COLOURS), (
        'What colour have "{a}" and "{b}"?', "Name the colour of each. | {a}, {b}",
        'Say which colours belong to "{a}" and "{b}".', "Give the usual colours. | {a}, {b}",
    ), "{a}: {A}; {b}: {B}", "The colour of {a} is {A}, and {b} is {B}."),
    Skill("spanish", _two_facts(SPANISH), (
        'Say "{a}" and "{b}" in Spanish.', "Translate into Spanish. | {a}, {b}",
        'What are the Spanish words for "{a}" and "{b}"?', "Give the Spanish words. | {a}, {b}",
    ), "{A} y {B}", "In Spanish {a} is {A} and {b} is {B}."),
    Skill("kind", _kind, (
        'Is "{word}" one of the {k}s or of the {l}s?', "To which group does it belong, {k} or {l}? | {word}",
        'Classify "{word}" as {k} or {l}.', "Choose the right group: {k} or {l}. | {word}",
    ), "The word {word} belongs to the group {kind}.", "A word like {word} names a kind of {kind}."),
    Skill("odd_one_out", _odd_one_out, (
        "Which word does not fit? | {list}", "Find the odd one out: {list}.",
        "One of these is different. Which? | {list}", "Name the word that does not belong to {list}.",
    ), "{word} is not one of the {kind}s", "Among {list} only {word} does not name a kind of {kind}."),
    Skill("past_tense", _past_tense, (
        'Put "{name} will {verb}" into the past.', "Write in the past tense. | {name} will {verb}",
        'Say "{name} will {verb}" as if it was yesterday.', "Change the tense to past. | {name} will {verb}",
    ), "{name} {past}", "Tomorrow {name} will {verb}; yesterday {name} {past}."),
)
# fmt: on
