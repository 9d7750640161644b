"""A second computation of the answers, from the text of the record alone; looked-up facts are the data themselves."""

import calendar
import re
from datetime import date, datetime, timedelta

SMALL = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
IN_WORDS = SMALL.split() + [t + s for t in TENS.split() for s in ["", *("-" + w for w in SMALL.split()[:9])]]  # of 1, 2, … 99
PLACES = "garden kitchen school forest river market bridge tower harbour station field street"
ANIMALS = "dog cat horse sheep bird fish mouse lion bear duck goat wolf"
FRUITS = "apple pear lemon cherry peach plum grape melon banana orange mango fig"
TOOLS = "hammer saw knife spoon brush needle ladder shovel rake drill axe pen"
KIND = {w: k for k, ws in {"place": PLACES, "animal": ANIMALS, "fruit": FRUITS, "tool": TOOLS}.items() for w in ws.split()}


def text_of(record):
    return f"{record['instruction']} | {record['input']}" if record["input"] else record["instruction"]


def numbers(record):
    return [int(n) for n in re.findall(r"\d+", text_of(record))]


def subject(record):
    """The words that are asked about: the input, what stands after a colon, or the last words in quotes."""
    if record["input"]:
        return record["input"]
    quoted = re.findall(r'"([^"]+)"', record["instruction"])
    return record["instruction"].split(": ")[1] if ": " in record["instruction"] else quoted[-1]


def quoted(record):
    return re.findall(r'"([^"]+)"', record["instruction"])


def known(record, words):
    return [word for word in re.findall(r"\w+", text_of(record)) if word in words]


def roman(n):
    ones = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
    return ones[n // 10].translate(str.maketrans("IVX", "XLC")) + ones[n % 10]


def sequence(r):
    row = numbers(r)
    return f"{2 * row[3] - row[2]}, because each step is {row[1] - row[0]}"


def word_problem(r):
    text = text_of(r)
    name = re.search(r"Anna|Ben|Clara|David|Eva|Frank|Grace|Henry|Ida|Jack|Kate|Leo", text)[0]
    return f"{name} has {sum(numbers(r))} {re.search(r'[0-9]+ ([a-z]+)', text)[1]} now."


def pick_word(r):
    which = re.search("first|second|third|fourth|fifth", r["instruction"])[0]
    place = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}[which]
    return f"The {which} word is {subject(r).split()[place]}."


def repeat_word(r):
    times = re.search("two|three|four|five", r["instruction"])[0]
    return " ".join([subject(r)] * (IN_WORDS.index(times) + 1))


def replace_word(r):
    first, second = quoted(r)
    new, old = (first, second) if r["instruction"].startswith("Put") else (second, first)
    return " ".join(new if word == old else word for word in subject(r).split())


def remove_word(r):
    gone = quoted(r)[0] if quoted(r) else None
    return " ".join(word for word in subject(r).split() if word != gone)


def kind(r):
    word = r["input"] or quoted(r)[0]
    assert KIND[word] in r["instruction"]
    return f"The word {word} belongs to the group {KIND[word]}."


def odd_one_out(r):
    words = known(r, KIND)
    kinds = [KIND[word] for word in words]
    odd = next(word for word in words if kinds.count(KIND[word]) == 1)
    return f"{odd} is not one of the {max(kinds, key=kinds.count)}s"


def cycled(names, form):
    def answer(r):
        start = next(i for i, name in enumerate(names) if name in text_of(r))
        return form.format(names[(start + numbers(r)[0]) % len(names)])

    return answer


def later_date(r):
    day, month = re.search(rf"(\d+) ({'|'.join(calendar.month_name[1:])})", text_of(r)).groups()
    n = int(re.search(r"(\d+) days", text_of(r))[1])
    end = date(2023, list(calendar.month_name).index(month), int(day)) + timedelta(days=n)
    return f"on {end.day} {calendar.month_name[end.month]}"


def clock(r):
    start = datetime.strptime(re.search(r"\d+:\d\d", text_of(r))[0], "%H:%M")
    end = start + timedelta(minutes=int(re.search(r"(\d+) minutes", text_of(r))[1]))
    return f"The clock shows {end.hour}:{end.minute:02d}."


def spoken_time(r):
    before, hour, sharp = re.search(
        rf"(half past |quarter past )?\b({'|'.join(IN_WORDS[:12])})\b( o'clock)?", text_of(r)
    ).groups()
    assert bool(before) != bool(sharp)
    return f"{IN_WORDS.index(hour) + 1}:" + {"half past ": "30", "quarter past ": "15", None: "00"}[before]


def follow_up_sum(r):
    before = int(r["history"][-1][1].split("= ")[1])
    a, b = (int(n) for n in re.findall(r"\d+", r["history"][0][0]))
    assert a + b == before
    return f"{before} and {numbers(r)[0]} make {before + numbers(r)[0]}."


def recall_place(r):
    animal = known(r, ANIMALS.split())[0]
    places = dict(re.search(r"The (\w+) is at the (\w+)", asked).groups() for asked, _ in r["history"])
    return f"You said the {animal} is at the {places[animal]}."


ORACLES = {
    "add": lambda r: "{} + {} = {}".format(*numbers(r), sum(numbers(r))),
    "subtract": lambda r: "{1} - {0} = {2}".format(*sorted(numbers(r)), max(numbers(r)) - min(numbers(r))),
    "multiply": lambda r: "{} x {} = {}".format(*numbers(r), sum([numbers(r)[0]] * numbers(r)[1])),
    "compare": lambda r: "{1} is larger than {0}.".format(*sorted(numbers(r))),
    "sort_numbers": lambda r: ", ".join(map(str, sorted(numbers(r)))),
    "largest": lambda r: f"The largest number is {max(numbers(r))}.",
    "smallest": lambda r: f"Smallest: {min(numbers(r))}",
    "even_or_odd": lambda r: f"{numbers(r)[0]} is {'even' if str(numbers(r)[0])[-1] in '02468' else 'odd'}.",
    "sequence": sequence,
    "half": lambda r: f"Half of {numbers(r)[0]} is {numbers(r)[0] / 2:.0f}",
    "roman": lambda r: roman(numbers(r)[0]),
    "number_words": lambda r: "in words: " + IN_WORDS[numbers(r)[0] - 1],
    "word_problem": word_problem,
    "count_letters": lambda r: f'"{subject(r)}" has {len(list(subject(r)))} letters.',
    "reverse_word": lambda r: "".join(reversed(subject(r))),
    "first_letter": lambda r: f"It begins with {subject(r)[0]}.",
    "last_letter": lambda r: f"The last letter is {subject(r)[-1]}",
    "spell": lambda r: re.sub(r"(?<=\w)(?=\w)", "-", subject(r)),
    "upper_case": lambda r: "".join(chr(ord(c) - 32) if c != " " else c for c in subject(r)),
    "sort_words": lambda r: "A to Z: " + ", ".join(sorted(subject(r).split(", "))),
    "join_words": lambda r: subject(r).replace(" ", "-"),
    "reverse_words": lambda r: " ".join(subject(r).split()[::-1]),
    "count_words": lambda r: f"Number of words: {subject(r).count(' ') + 1}",
    "pick_word": pick_word,
    "repeat_word": repeat_word,
    "replace_word": replace_word,
    "remove_word": remove_word,
    "append_words": lambda r: f"{subject(r)} {quoted(r)[0]}",
    "kind": kind,
    "odd_one_out": odd_one_out,
    "day": cycled(list(calendar.day_name), "That day is a {}."),
    "month": cycled(list(calendar.month_name)[1:], "It will be {}"),
    "date": later_date,
    "clock": clock,
    "spoken_time": spoken_time,
    "follow_up_sum": follow_up_sum,
    "recall_name": lambda r: f"Your name is {re.search('My name is (.*?)[.]', r['history'][0][0])[1]}.",
    "recall_place": recall_place,
}
