"""The closed vocabulary of the made world: the words and facts that its exercises are built from."""

from __future__ import annotations

NAMES = ("Anna", "Ben", "Clara", "David", "Eva", "Frank", "Grace", "Henry", "Ida", "Jack", "Kate", "Leo")
ANIMALS = ("dog", "cat", "horse", "sheep", "bird", "fish", "mouse", "lion", "bear", "duck", "goat", "wolf")
FRUITS = ("apple", "pear", "lemon", "cherry", "peach", "plum", "grape", "melon", "banana", "orange", "mango", "fig")
TOOLS = ("hammer", "saw", "knife", "spoon", "brush", "needle", "ladder", "shovel", "rake", "drill", "axe", "pen")
PLACES = ("garden", "kitchen", "school", "forest", "river", "market", "bridge", "tower", "harbour", "station", "field", "street")
ADJECTIVES = ("old", "young", "big", "small", "quiet", "loud", "happy", "tired", "clean", "quick", "brave", "kind")
VERBS = ("sees", "likes", "finds", "watches", "follows", "meets", "hears", "helps", "knows", "passes")
NOUNS = ANIMALS + FRUITS + TOOLS + PLACES
KINDS = {"animal": ANIMALS, "fruit": FRUITS, "tool": TOOLS, "place": PLACES}

PLURALS = {noun: noun + "s" for noun in NOUNS} | {
    "sheep": "sheep", "fish": "fish", "mouse": "mice", "wolf": "wolves", "goat": "goats", "cherry": "cherries", "peach": "peaches",
    "knife": "knives", "brush": "brushes",
}  # fmt: skip
OPPOSITES_ONE_WAY = {
    "hot": "cold", "big": "small", "old": "young", "fast": "slow", "high": "low", "light": "dark", "hard": "soft", "wet": "dry",
    "full": "empty", "loud": "quiet", "early": "late", "open": "closed", "strong": "weak", "happy": "sad", "rich": "poor",
    "clean": "dirty", "thick": "thin", "long": "short", "near": "far", "sweet": "sour",
}  # fmt: skip
OPPOSITES = OPPOSITES_ONE_WAY | {right: left for left, right in OPPOSITES_ONE_WAY.items()}
PAST = {
    "walk": "walked", "jump": "jumped", "play": "played", "open": "opened", "paint": "painted", "wash": "washed", "help": "helped",
    "cook": "cooked", "look": "looked", "talk": "talked", "go": "went", "see": "saw", "eat": "ate", "run": "ran", "sing": "sang",
    "find": "found", "write": "wrote", "take": "took", "give": "gave", "buy": "bought", "come": "came", "know": "knew",
    "swim": "swam", "sleep": "slept",
}  # fmt: skip
CAPITALS = {
    "France": "Paris", "Spain": "Madrid", "Italy": "Rome", "Germany": "Berlin", "Greece": "Athens", "Norway": "Oslo",
    "Sweden": "Stockholm", "Finland": "Helsinki", "Poland": "Warsaw", "Austria": "Vienna", "Hungary": "Budapest",
    "Portugal": "Lisbon", "Ireland": "Dublin", "Russia": "Moscow", "Egypt": "Cairo", "Kenya": "Nairobi", "Japan": "Tokyo",
    "China": "Beijing", "India": "Delhi", "Cuba": "Havana", "Peru": "Lima", "Chile": "Santiago", "Canada": "Ottawa",
    "Iraq": "Baghdad",
}  # fmt: skip
COLOURS = {
    "banana": "yellow", "lemon": "yellow", "sun": "yellow", "cherry": "red", "blood": "red", "tomato": "red", "grass": "green",
    "leaf": "green", "frog": "green", "sky": "blue", "sea": "blue", "snow": "white", "milk": "white", "swan": "white", "coal": "black",
    "raven": "black", "night": "black", "carrot": "orange", "fox": "orange", "plum": "purple", "violet": "purple", "chocolate": "brown",
    "bear": "brown", "elephant": "grey",
}  # fmt: skip
SPANISH = {
    "dog": "perro", "cat": "gato", "horse": "caballo", "bird": "ave", "apple": "manzana", "pear": "pera", "house": "casa",
    "water": "agua", "bread": "pan", "milk": "leche", "sun": "sol", "moon": "luna", "sea": "mar", "tree": "arbol", "flower": "flor",
    "hand": "mano", "book": "libro", "table": "mesa", "night": "noche", "friend": "amigo",
}  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip
MONTH_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
ORDINALS = ("first", "second", "third", "fourth", "fifth")
ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ROMAN = ((90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))


def number_word(n: int) -> str:
    """Write a number from 0 to 99 in words: 42 is forty-two."""
    if n < 20:
        return ONES[n]
    return TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")


def roman(n: int) -> str:
    """Write a number from 1 to 99 in Roman numerals: 42 is XLII."""
    digits = ""
    for value, digit in ROMAN:
        digits += digit * (n // value)
        n %= value
    return digits


def sentence(adjective: str, animal: str, verb: str, adjective_2: str, noun: str) -> str:
    """Build the world's plain sentence: the old dog sees the big tree."""
    return f"the {adjective} {animal} {verb} the {adjective_2} {noun}"
