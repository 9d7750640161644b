"""Skills about facts: grammar, geography, another language, and what was said earlier in a dialogue (records with `history`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from .skill import Skill, Values
from .words import ANIMALS, CAPITALS, FRUITS, KINDS, NAMES, OPPOSITES, PLACES, PLURALS, SPANISH


def _two_facts(table: Mapping[str, str]) -> Callable[[Random], Values]:
    """Draws of two different entries of a table; pairs, since single facts would run out in a large pool."""

    def draw(rng: Random) -> Values:
        a, b = rng.sample(sorted(table), 2)
        return {"a": a, "b": b, "A": table[a], "B": table[b]}

    return draw


def _odd_one_out(rng: Random) -> Values:
    usual, odd = rng.sample(sorted(KINDS), 2)
    stranger = rng.choice(KINDS[odd])
    words = [*rng.sample(KINDS[usual], 3), stranger]
    rng.shuffle(words)
    return {"list": ", ".join(words), "word": stranger, "kind": usual}


def _running_sum(rng: Random) -> Values:
    a, b, c = (rng.randint(1, 20) for _ in range(3))
    return {"a": a, "b": b, "sum": a + b, "c": c, "total": a + b + c}


def _introduction(rng: Random) -> Values:
    return {"name": rng.choice(NAMES), "place": rng.choice(PLACES), "animal": rng.choice(ANIMALS)}


def _shopping_list(rng: Random) -> Values:
    a, b, c = (PLURALS[fruit] for fruit in rng.sample(FRUITS, 3))
    return {"a": a, "b": b, "c": c}


SKILLS = (
    Skill(
        "plural",
        _two_facts(PLURALS),
        (
            'Give the plurals of "{a}" and "{b}".',
            "Write the words in the plural. | {a}, {b}",
            'What are the plurals of "{a}" and "{b}"?',
            "Make plurals. | {a}, {b}",
        ),
        "many {A}, many {B}",
        "One {a}, many {A}; one {b}, many {B}.",
    ),
    Skill(
        "opposite",
        _two_facts(OPPOSITES),
        (
            'Name the opposites of "{a}" and "{b}".',
            "Write the opposite of each word. | {a}, {b}",
            'What is the opposite of "{a}" and of "{b}"?',
            "Give antonyms. | {a}, {b}",
        ),
        "not {a} but {A}, not {b} but {B}",
        "The opposite of {a} is {A}, that of {b} is {B}.",
    ),
    Skill(
        "capital",
        _two_facts(CAPITALS),
        (
            "What are the capitals of {a} and {b}?",
            "Name the capital city of {a} and of {b}.",
            "Name each country's capital. | {a}, {b}",
            "Which cities are the capitals of {a} and {b}?",
        ),
        "{A} is the capital of {a}, {B} of {b}.",
        "The capital of {a} is {A}. The capital of {b} is {B}.",
    ),
    Skill(
        "spanish",
        _two_facts(SPANISH),
        (
            'Say "{a}" and "{b}" in Spanish.',
            "Translate into Spanish. | {a}, {b}",
            'What are the Spanish words for "{a}" and "{b}"?',
            "Give the Spanish words. | {a}, {b}",
        ),
        "{A} y {B}",
        "In Spanish {a} is {A} and {b} is {B}.",
    ),
    Skill(
        "odd_one_out",
        _odd_one_out,
        (
            "Which word does not fit? | {list}",
            "Find the odd one out: {list}.",
            "One of these is different. Which? | {list}",
            "Name the word that does not belong to {list}.",
        ),
        "{word} is not one of the {kind}s",
        "Among {list} only {word} does not name a kind of {kind}.",
    ),
    Skill(
        "follow_up_sum",
        _running_sum,
        ("And now add {c}.", "Add {c} to that.", "What do you get with {c} more?", "Now {c} on top of it."),
        "{sum} and {c} make {total}.",
        "First {a} and {b} make {sum}, then {c} more make {total}.",
        history=(("What is {a} plus {b}?", "{a} + {b} = {sum}"),),
    ),
    Skill(
        "recall_name",
        _introduction,
        ("What is my name?", "Do you remember what I am called?", "Say my name.", "Who am I?"),
        "Your name is {name}.",
        "I live near the {place} with my {animal} and my name is {name}.",
        history=(("My name is {name}. I live near the {place} and have a {animal}.", "Hello, {name}!"),),
    ),
    Skill(
        "shopping_list",
        _shopping_list,
        ("Put {c} on it too.", "Also {c}, please.", "Add {c} to the list.", "I need {c} as well."),
        "Your list: {a}, {b}, {c}",
        "A list of {a}, {b} and, added later, {c}.",
        history=(("Start a list with {a}.", "Your list: {a}"), ("Now {b} too.", "Your list: {a}, {b}")),
    ),
)
