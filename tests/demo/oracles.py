"""A second computation of every skill's answer, from the text of the record alone."""

import calendar
import re
from datetime import date, timedelta

PLACES = "garden kitchen school forest river market bridge tower harbour station field street"
ANIMALS = "dog cat horse sheep bird fish mouse lion bear duck goat wolf"
FRUITS = "apple pear lemon cherry peach plum grape melon banana orange mango fig"
TOOLS = "hammer saw knife spoon brush needle ladder shovel rake drill axe pen"
KIND = {w: k for k, ws in {"place": PLACES, "animal": ANIMALS, "fruit": FRUITS, "tool": TOOLS}.items() for w in ws.split()}


def table(text):
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


OPPOSITE = table(
    "hot cold big small old young fast slow high low light dark hard soft wet dry full empty loud quiet early late open closed strong "
    "weak happy sad rich poor clean dirty thick thin long short near far sweet sour"
)
OPPOSITE |= {b: a for a, b in OPPOSITE.items()}
CAPITAL = table(
    "Austria Vienna Canada Ottawa Chile Santiago China Beijing Cuba Havana Egypt Cairo Finland Helsinki France Paris Germany Berlin Greece "
    "Athens Hungary Budapest India Delhi Iraq Baghdad Ireland Dublin Italy Rome Japan Tokyo Kenya Nairobi Norway Oslo Peru Lima Poland Warsaw "
    "Portugal Lisbon Russia Moscow Spain Madrid Sweden Stockholm"
)
SPANISH = table(
    "friend amigo night noche table mesa book libro hand mano flower flor tree arbol sea mar moon luna sun sol milk leche bread pan water agua "
    "house casa pear pera apple manzana bird ave horse caballo cat gato dog perro"
)
UNIT = table("metres/centimetres 100 hours/minutes 60 kilograms/grams 1000 days/hours 24 weeks/days 7 years/months 12")


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


def pair(record, words):
    """The two words asked about: in the input, in quotes, or the only ones known."""
    found = record["input"].split(", ") if record["input"] else quoted(record) or known(record, words)
    assert len(found) == 2
    return found


def plural(word):
    if word in ("sheep", "fish", "mouse"):
        return {"mouse": "mice"}.get(word, word)
    if word in ("wolf", "knife"):
        return word.removesuffix("e").removesuffix("f") + "ves"
    if word.endswith(("ch", "sh")):
        return word + "es"
    return word[:-1] + "ies" if word.endswith("ry") else word + "s"


def roman(n):
    ones = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
    return n // 100 * "C" + ones[n // 10 % 10].translate(str.maketrans("IVX", "XLC")) + ones[n % 10]


def add(r):
    a, b = numbers(r)
    return f"{a} + {b} = {sum((a, b))}"


def subtract(r):
    high, low = sorted(numbers(r), reverse=True)
    return f"{high} - {low} = {high - low}"


def compare(r):
    low, high = sorted(numbers(r))
    return f"{high} is larger than {low}."


def sequence(r):
    row = numbers(r)
    return f"{2 * row[3] - row[2]}, because each step is {row[1] - row[0]}"


def replace_word(r):
    first, second = quoted(r)
    new, old = (first, second) if r["instruction"].startswith("Put") else (second, first)
    return " ".join(new if word == old else word for word in subject(r).split())


def two(words, form):
    def answer(r):
        a, b = pair(r, words if isinstance(words, dict) else ())
        look = words.get if isinstance(words, dict) else words
        return form.format(a=a, b=b, A=look(a), B=look(b))

    return answer


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


def convert(r):
    words = set(re.findall(r"[a-z]+", text_of(r)))
    pair, factor = next((pair.split("/"), int(factor)) for pair, factor in UNIT.items() if set(pair.split("/")) <= words)
    return f"{numbers(r)[0]} {pair[0]} = {numbers(r)[0] * factor} {pair[1]}"


def follow_up_sum(r):
    before = int(r["history"][-1][1].split("= ")[1])
    a, b = (int(n) for n in re.findall(r"\d+", r["history"][0][0]))
    assert a + b == before
    return f"{before} and {numbers(r)[0]} make {before + numbers(r)[0]}."


def shopping_list(r):
    things = re.findall(
        "|".join(map(plural, FRUITS.split())), " ".join([*(asked for asked, _ in r["history"]), r["instruction"]])
    )
    return "Your list: " + ", ".join(things)


ORACLES = {
    "add": add,
    "subtract": subtract,
    "compare": compare,
    "sort_numbers": lambda r: ", ".join(map(str, sorted(numbers(r)))),
    "largest": lambda r: f"The largest number is {max(numbers(r))}.",
    "sequence": sequence,
    "roman": lambda r: roman(numbers(r)[0]),
    "count_letters": lambda r: f'"{subject(r)}" has {len(list(subject(r)))} letters.',
    "reverse_word": lambda r: "".join(reversed(subject(r))),
    "spell": lambda r: re.sub(r"(?<=\w)(?=\w)", "-", subject(r)),
    "upper_case": lambda r: "".join(chr(ord(c) - 32) if c != " " else c for c in subject(r)),
    "sort_words": lambda r: "A to Z: " + ", ".join(sorted(subject(r).split(", "))),
    "join_words": lambda r: subject(r).replace(" ", "-"),
    "replace_word": replace_word,
    "append_words": lambda r: f"{subject(r)} {quoted(r)[0]}",
    "plural": two(plural, "many {A}, many {B}"),
    "opposite": two(OPPOSITE, "not {a} but {A}, not {b} but {B}"),
    "capital": two(CAPITAL, "{A} is the capital of {a}, {B} of {b}."),
    "spanish": two(SPANISH, "{A} y {B}"),
    "odd_one_out": odd_one_out,
    "day": cycled(list(calendar.day_name), "That day is a {}."),
    "date": later_date,
    "convert_units": convert,
    "follow_up_sum": follow_up_sum,
    "recall_name": lambda r: f"Your name is {re.search('My name is (.*?)[.]', r['history'][0][0])[1]}.",
    "shopping_list": shopping_list,
}
