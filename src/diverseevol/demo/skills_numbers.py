"""Skills about numbers and what they measure: arithmetic, order, dates, units."""

from __future__ import annotations

from random import Random

from .skill import Skill, Values
from .words import DAYS, MONTH_LENGTHS, MONTHS, roman

UNITS = (
    ("metre", "centimetre", 100),
    ("hour", "minute", 60),
    ("kilogram", "gram", 1000),
    ("day", "hour", 24),
    ("week", "day", 7),
    ("year", "month", 12),
)


def _sum_of_two(rng: Random) -> Values:
    a, b = rng.randint(1, 30), rng.randint(1, 30)
    return {"a": a, "b": b, "c": a + b}


def _difference(rng: Random) -> Values:
    b, c = rng.randint(1, 30), rng.randint(0, 30)
    return {"a": b + c, "b": b, "c": c}


def _unequal_pair(rng: Random) -> Values:
    a, b = rng.sample(range(1, 60), 2)
    return {"a": a, "b": b, "high": max(a, b), "low": min(a, b)}


def _four_numbers(rng: Random) -> Values:
    numbers = rng.sample(range(1, 50), 4)
    return {"list": ", ".join(map(str, numbers)), "sorted": ", ".join(map(str, sorted(numbers))), "high": max(numbers)}


def _even_steps(rng: Random) -> Values:
    start, step = rng.randint(1, 40), rng.randint(1, 10)
    return {"list": ", ".join(str(start + step * i) for i in range(4)), "next": start + 4 * step, "step": step}


def _as_roman(rng: Random) -> Values:
    n = rng.randint(1, 299)
    return {"n": n, "roman": roman(n)}


def _later_day(rng: Random) -> Values:
    start, n = rng.randrange(7), rng.randint(2, 30)
    return {"day": DAYS[start], "n": n, "later": DAYS[(start + n) % 7]}


def _later_date(rng: Random) -> Values:
    month, n = rng.randrange(12), rng.randint(2, 14)
    day = rng.randint(1, MONTH_LENGTHS[month] - n)  # stays within its month
    return {"date": f"{day} {MONTHS[month]}", "n": n, "later": f"{day + n} {MONTHS[month]}"}


def _conversion(rng: Random) -> Values:
    big, small, factor = rng.choice(UNITS)
    n = rng.randint(2, 60)
    return {"n": n, "big": f"{big}s", "small": f"{small}s", "m": n * factor}


SKILLS = (
    Skill(
        "add",
        _sum_of_two,
        ("Add {a} and {b}.", "What is {a} plus {b}?", "Find the sum of {a} and {b}.", "Add up the two numbers. | {a} and {b}"),
        "{a} + {b} = {c}",
        "{a} plus {b} makes {c}.",
    ),
    Skill(
        "subtract",
        _difference,
        (
            "Subtract {b} from {a}.",
            "What is {a} minus {b}?",
            "Take {b} away from {a}.",
            "Subtract the second number. | {a} and {b}",
        ),
        "{a} - {b} = {c}",
        "{a} minus {b} leaves {c}.",
    ),
    Skill(
        "compare",
        _unequal_pair,
        (
            "Which is larger, {a} or {b}?",
            "Compare {a} with {b}.",
            "Which of the two numbers is larger? | {a}, {b}",
            "Is {a} or {b} the larger number?",
        ),
        "{high} is larger than {low}.",
        "{high} is more than {low}, and {low} is less than {high}.",
    ),
    Skill(
        "sort_numbers",
        _four_numbers,
        (
            "Sort these numbers. | {list}",
            "Put the numbers {list} in order.",
            "Order the numbers from low to high. | {list}",
            "Arrange in rising order: {list}.",
        ),
        "{sorted}",
        "In rising order the numbers {list} are {sorted}.",
    ),
    Skill(
        "largest",
        _four_numbers,
        (
            "Which number is the largest? | {list}",
            "Find the maximum of {list}.",
            "Name the largest of {list}.",
            "What is the highest of these numbers? | {list}",
        ),
        "The largest number is {high}.",
        "Among {list} the largest is {high}.",
    ),
    Skill(
        "sequence",
        _even_steps,
        (
            "Which number comes next? | {list}",
            "Continue the sequence {list}.",
            "What follows in {list}?",
            "Give the next number of the row {list}.",
        ),
        "{next}, because each step is {step}",
        "Counting in steps of {step}: {list}, {next}.",
    ),
    Skill(
        "roman",
        _as_roman,
        (
            "Write {n} in Roman numerals.",
            "What is {n} as a Roman numeral?",
            "Convert to Roman numerals. | {n}",
            "How did the Romans write {n}?",
        ),
        "{roman}",
        "The Romans wrote {n} as {roman}.",
    ),
    Skill(
        "day",
        _later_day,
        (
            "Which day comes {n} days after {day}?",
            "Today is {day}. Which day is it in {n} days?",
            "Count {n} days on. | {day}",
            "Name the day of the week {n} days from {day}.",
        ),
        "That day is a {later}.",
        "Counting {n} days from {day} leads to {later}.",
    ),
    Skill(
        "date",
        _later_date,
        (
            "Which date is {n} days after {date}?",
            "Add {n} days to {date}.",
            "Move the date {n} days on. | {date}",
            "It is {date}. Give the date in {n} days.",
        ),
        "on {later}",
        "The date {n} days after {date} is {later}.",
    ),
    Skill(
        "convert_units",
        _conversion,
        (
            "Convert {n} {big} to {small}.",
            "How many {small} are {n} {big}?",
            "Express it in {small}. | {n} {big}",
            "Turn {n} {big} into {small}.",
        ),
        "{n} {big} = {m} {small}",
        "There are {m} {small} in {n} {big}.",
    ),
)
