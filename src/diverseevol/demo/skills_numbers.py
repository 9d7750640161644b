"""Skills about numbers: arithmetic, comparing, ordering, writing them otherwise."""

from __future__ import annotations

from random import Random

from .skill import Skill, Values
from .words import FRUITS, NAMES, PLURALS, number_word, roman


def _sum_of_two(rng: Random) -> Values:
    a, b = rng.randint(1, 30), rng.randint(1, 30)
    return {"a": a, "b": b, "c": a + b}


def _difference(rng: Random) -> Values:
    b, c = rng.randint(1, 30), rng.randint(0, 30)
    return {"a": b + c, "b": b, "c": c}


def _product(rng: Random) -> Values:
    a, b = rng.randint(2, 30), rng.randint(2, 12)
    return {"a": a, "b": b, "c": a * b}


def _unequal_pair(rng: Random) -> Values:
    a, b = rng.sample(range(1, 60), 2)
    return {"a": a, "b": b, "high": max(a, b), "low": min(a, b)}


def _four_numbers(rng: Random) -> Values:
    numbers = rng.sample(range(1, 50), 4)
    ordered = sorted(numbers)
    return {
        "list": ", ".join(map(str, numbers)),
        "sorted": ", ".join(map(str, ordered)),
        "high": ordered[-1],
        "low": ordered[0],
    }


def _parity(rng: Random) -> Values:
    n = rng.randint(1, 300)
    return {"n": n, "parity": "odd" if n % 2 else "even"}


def _even_steps(rng: Random) -> Values:
    start, step = rng.randint(1, 40), rng.randint(1, 10)
    return {"list": ", ".join(str(start + step * i) for i in range(4)), "next": start + 4 * step, "step": step}


def _half(rng: Random) -> Values:
    c = rng.randint(1, 150)
    return {"a": 2 * c, "c": c}


def _as_roman(rng: Random) -> Values:
    n = rng.randint(1, 99)
    return {"n": n, "roman": roman(n)}


def _as_words(rng: Random) -> Values:
    n = rng.randint(1, 99)
    return {"n": n, "words": number_word(n)}


def _purchase(rng: Random) -> Values:
    a, b = rng.randint(2, 12), rng.randint(2, 12)
    return {"name": rng.choice(NAMES), "things": PLURALS[rng.choice(FRUITS)], "a": a, "b": b, "c": a + b}


# fmt: off
SKILLS = (
    Skill("add", _sum_of_two, (
        "Add {a} and {b}.", "What is {a} plus {b}?",
        "Find the sum of {a} and {b}.", "Add up the two numbers. | {a} and {b}",
    ), "{a} + {b} = {c}", "{a} plus {b} makes {c}."),
    Skill("subtract", _difference, (
        "Subtract {b} from {a}.", "What is {a} minus {b}?",
        "Take {b} away from {a}.", "Subtract the second number. | {a} and {b}",
    ), "{a} - {b} = {c}", "{a} minus {b} leaves {c}."),
    Skill("multiply", _product, (
        "Multiply {a} by {b}.", "What is {a} times {b}?",
        "Find the product of {a} and {b}.", "Multiply the two numbers. | {a} and {b}",
    ), "{a} x {b} = {c}", "{a} times {b} gives {c}."),
    Skill("compare", _unequal_pair, (
        "Which is larger, {a} or {b}?", "Compare {a} with {b}.",
        "Which of the two numbers is larger? | {a}, {b}", "Is {a} or {b} the larger number?",
    ), "{high} is larger than {low}.", "{high} is more than {low}, and {low} is less than {high}."),
    Skill("sort_numbers", _four_numbers, (
        "Sort these numbers. | {list}", "Put the numbers {list} in order.",
        "Order the numbers from low to high. | {list}", "Arrange in rising order: {list}.",
    ), "{sorted}", "In rising order the numbers {list} are {sorted}."),
    Skill("largest", _four_numbers, (
        "Which number is the largest? | {list}", "Find the maximum of {list}.",
        "Name the largest of {list}.", "What is the highest of these numbers? | {list}",
    ), "The largest number is {high}.", "Among {list} the largest is {high}."),
    Skill("smallest", _four_numbers, (
        "Which number is the smallest? | {list}", "Find the minimum of {list}.",
        "Name the smallest of {list}.", "What is the lowest of these numbers? | {list}",
    ), "Smallest: {low}", "Among {list} the smallest is {low}."),
    Skill("even_or_odd", _parity, (
        "Is {n} even or odd?", "Say whether {n} is even or odd.",
        "Even or odd? | {n}", "Tell if the number {n} is odd or even.",
    ), "{n} is {parity}.", "The number {n} is {parity}."),
    Skill("sequence", _even_steps, (
        "Which number comes next? | {list}", "Continue the sequence {list}.",
        "What follows in {list}?", "Give the next number of the row {list}.",
    ), "{next}, because each step is {step}", "Counting in steps of {step}: {list}, {next}."),
    Skill("half", _half, (
        "What is half of {a}?", "Halve {a}.",
        "Divide {a} by two.", "Give half of the number. | {a}",
    ), "Half of {a} is {c}", "{c} is one half of {a}."),
    Skill("roman", _as_roman, (
        "Write {n} in Roman numerals.", "What is {n} as a Roman numeral?",
        "Convert to Roman numerals. | {n}", "How did the Romans write {n}?",
    ), "{roman}", "The Romans wrote {n} as {roman}."),
    Skill("number_words", _as_words, (
        "Write {n} in words.", "Spell out the number {n}.",
        "How do you write {n} in letters?", "Turn the digits into words. | {n}",
    ), "in words: {words}", "The number {n} is called {words}."),
    Skill("word_problem", _purchase, (
        "{name} has {a} {things} and buys {b} more. How many {things} are there now?",
        "{name} finds {a} {things}, then {b} more. How many does {name} have?",
        "How many {things} does {name} have in all? | {name} has {a} {things} in one bag and {b} in the other.",
        "First {name} picks {a} {things}, later {b}. Count the {things}.",
    ), "{name} has {c} {things} now.", "With {a} {things} and {b} more, {name} has {c} {things}."),
)
# fmt: on
