"""Skills about calendars, clocks and units."""

from __future__ import annotations

from random import Random

from .skill import Skill, Values
from .words import DAYS, MONTH_LENGTHS, MONTHS, NAMES, number_word

UNITS = (
    ("metre", "centimetre", 100),
    ("hour", "minute", 60),
    ("kilogram", "gram", 1000),
    ("day", "hour", 24),
    ("week", "day", 7),
    ("year", "month", 12),
)


def _later_day(rng: Random) -> Values:
    start, n = rng.randrange(7), rng.randint(2, 30)
    return {"day": DAYS[start], "n": n, "later": DAYS[(start + n) % 7]}


def _later_month(rng: Random) -> Values:
    start, n = rng.randrange(12), rng.randint(2, 24)
    return {"month": MONTHS[start], "n": n, "later": MONTHS[(start + n) % 12]}


def _later_date(rng: Random) -> Values:
    month, n = rng.randrange(12), rng.randint(2, 14)
    day = rng.randint(1, MONTH_LENGTHS[month] - n)  # stays within its month
    return {"date": f"{day} {MONTHS[month]}", "n": n, "later": f"{day + n} {MONTHS[month]}"}


def _conversion(rng: Random) -> Values:
    big, small, factor = rng.choice(UNITS)
    n = rng.randint(2, 60)
    return {"n": n, "big": f"{big}s", "small": f"{small}s", "m": n * factor}


def _later_time(rng: Random) -> Values:
    hour, minute, n = rng.randint(1, 22), 5 * rng.randrange(12), 5 * rng.randint(1, 11)
    end = 60 * hour + minute + n
    return {"time": f"{hour}:{minute:02d}", "n": n, "later": f"{end // 60}:{end % 60:02d}"}


def _spoken_time(rng: Random) -> Values:
    hour, minute, name = rng.randint(1, 12), rng.choice((0, 15, 30)), rng.choice(NAMES)
    words = {0: "{} o'clock", 15: "quarter past {}", 30: "half past {}"}[minute].format(number_word(hour))
    return {"words": words, "time": f"{hour}:{minute:02d}", "name": name}


# fmt: off
SKILLS = (
    Skill("day", _later_day, (
        "Which day comes {n} days after {day}?", "Today is {day}. Which day is it in {n} days?",
        "Count {n} days on. | {day}", "Name the day of the week {n} days from {day}.",
    ), "That day is a {later}.", "Counting {n} days from {day} leads to {later}."),
    Skill("month", _later_month, (
        "Which month comes {n} months after {month}?", "It is {month}. Which month is it in {n} months?",
        "Count {n} months on. | {month}", "Name the month {n} months from {month}.",
    ), "It will be {later}", "Counting {n} months from {month} leads to {later}."),
    Skill("date", _later_date, (
        "Which date is {n} days after {date}?", "Add {n} days to {date}.",
        "Move the date {n} days on. | {date}", "It is {date}. Give the date in {n} days.",
    ), "on {later}", "The date {n} days after {date} is {later}."),
    Skill("convert_units", _conversion, (
        "Convert {n} {big} to {small}.", "How many {small} are {n} {big}?",
        "Express it in {small}. | {n} {big}", "Turn {n} {big} into {small}.",
    ), "{n} {big} = {m} {small}", "There are {m} {small} in {n} {big}."),
    Skill("clock", _later_time, (
        "What time is it {n} minutes after {time}?", "Add {n} minutes to {time}.",
        "A train is {n} minutes late. When does it come? | {time}",
        "The clock shows {time}. What does it show {n} minutes later?",
    ), "The clock shows {later}.", "Wait {n} minutes from {time} and it is {later}."),
    Skill("spoken_time", _spoken_time, (
        "{name} comes at {words}. Write the time in digits.", "Write the time in digits. | {name} sleeps until {words}.",
        "When does {name} leave? Use digits. | {name} leaves at {words}.",
        "{name} eats at {words}. Give the time as on a digital clock.",
    ), "{time}", "When {name} says {words}, the clock shows {time}."),
)
# fmt: on
