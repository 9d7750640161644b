"""Skills that need the earlier turns of a dialogue; their records carry `history`."""

from __future__ import annotations

from random import Random

from .skill import Skill, Values
from .words import ANIMALS, FRUITS, NAMES, PLACES, PLURALS


def _running_sum(rng: Random) -> Values:
    a, b, c = (rng.randint(1, 20) for _ in range(3))
    return {"a": a, "b": b, "sum": a + b, "c": c, "total": a + b + c}


def _introduction(rng: Random) -> Values:
    return {"name": rng.choice(NAMES), "place": rng.choice(PLACES), "animal": rng.choice(ANIMALS)}


def _shopping_list(rng: Random) -> Values:
    a, b, c = (PLURALS[fruit] for fruit in rng.sample(FRUITS, 3))
    return {"a": a, "b": b, "c": c}


def _whereabouts(rng: Random) -> Values:
    animal, other = rng.sample(ANIMALS, 2)
    place, place_2 = rng.sample(PLACES, 2)
    return {"animal": animal, "other": other, "place": place, "place_2": place_2}


# fmt: off
SKILLS = (
    Skill("follow_up_sum", _running_sum, (
        "And now add {c}.", "Add {c} to that.",
        "What do you get with {c} more?", "Now {c} on top of it.",
    ), "{sum} and {c} make {total}.", "First {a} and {b} make {sum}, then {c} more make {total}.",
        history=(("What is {a} plus {b}?", "{a} + {b} = {sum}"),)),
    Skill("recall_name", _introduction, (
        "What is my name?", "Do you remember what I am called?",
        "Say my name.", "Who am I?",
    ), "Your name is {name}.", "I live near the {place} with my {animal} and my name is {name}.",
        history=(("My name is {name}. I live near the {place} and have a {animal}.", "Hello, {name}!"),)),
    Skill("shopping_list", _shopping_list, (
        "Put {c} on it too.", "Also {c}, please.",
        "Add {c} to the list.", "I need {c} as well.",
    ), "Your list: {a}, {b}, {c}", "A list of {a}, {b} and, added later, {c}.",
        history=(("Start a list with {a}.", "Your list: {a}"), ("Now {b} too.", "Your list: {a}, {b}"))),
    Skill("recall_place", _whereabouts, (
        "Where is the {animal}?", "In which place is the {animal}?",
        "Where did I say the {animal} is?", "Find the {animal} for me.",
    ), "You said the {animal} is at the {place}.", "The {animal} is at the {place}, the {other} at the {place_2}.",
        history=(("The {animal} is at the {place}.", "Noted."), ("The {other} is at the {place_2}.", "Noted."))),
)
# fmt: on
