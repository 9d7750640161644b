"""Skills about words and sentences: letters, cases, orders, edits."""

from __future__ import annotations

from random import Random

from .skill import Skill, Values
from .words import ADJECTIVES, ANIMALS, COLOURS, NOUNS, OPPOSITES, ORDINALS, PAST, SPANISH, VERBS, number_word, sentence

WORDS = tuple(dict.fromkeys((*NOUNS, *ADJECTIVES, *OPPOSITES, *PAST, *COLOURS, *SPANISH)))


def _one_word(rng: Random) -> Values:
    word = rng.choice(WORDS)
    return {
        "word": word,
        "n": len(word),
        "reversed": word[::-1],
        "first": word[0],
        "last": word[-1],
        "spelt": "-".join(word),
    }


def _some_words(rng: Random) -> Values:
    words = rng.sample(WORDS, 3)
    return {
        "list": " ".join(words),
        "commas": ", ".join(words),
        "upper": " ".join(words).upper(),
        "sorted": ", ".join(sorted(words)),
        "hyphens": "-".join(words),
        "backwards": " ".join(reversed(words)),
    }


def _counted_words(rng: Random) -> Values:
    n = rng.randint(2, 6)
    return {"list": " ".join(rng.sample(WORDS, n)), "n": n}


def _one_of_five(rng: Random) -> Values:
    words, position = rng.sample(WORDS, 5), rng.randrange(5)
    return {"list": " ".join(words), "which": ORDINALS[position], "word": words[position]}


def _many_times(rng: Random) -> Values:
    word, n = rng.choice(WORDS), rng.randint(2, 5)
    return {"word": word, "times": number_word(n), "repeated": " ".join([word] * n)}


def _edited_sentence(rng: Random) -> Values:
    adjective, adjective_2 = rng.sample(ADJECTIVES, 2)
    rest = (rng.choice(ANIMALS), rng.choice(VERBS), adjective_2, rng.choice(NOUNS))
    new = rng.choice([noun for noun in NOUNS if noun not in rest])
    before = sentence(adjective, *rest)
    return {
        "text": before,
        "old": adjective,
        "new": new,
        "replaced": sentence(new, *rest),
        "removed": before.replace(f"{adjective} ", "", 1),
        "appended": f"{before} and the {new}",
    }


# fmt: off
SKILLS = (
    Skill("count_letters", _one_word, (
        'How many letters has "{word}"?', "Count the letters. | {word}",
        'Count the letters of "{word}".', 'Give the length of the word "{word}".',
    ), '"{word}" has {n} letters.', "There are {n} letters in {word}."),
    Skill("reverse_word", _one_word, (
        'Reverse the word "{word}".', "Write it backwards. | {word}",
        'Spell "{word}" from back to front.', 'What is "{word}" written backwards?',
    ), "{reversed}", "Read backwards, {word} turns into {reversed}."),
    Skill("first_letter", _one_word, (
        'What is the first letter of "{word}"?', "Name the first letter. | {word}",
        'With which letter does "{word}" begin?', 'Give the letter that starts "{word}".',
    ), "It begins with {first}.", "The word {word} starts with the letter {first}."),
    Skill("last_letter", _one_word, (
        'What is the last letter of "{word}"?', "Name the last letter. | {word}",
        'With which letter does "{word}" end?', 'Give the letter that closes "{word}".',
    ), "The last letter is {last}", "The word {word} ends in the letter {last}."),
    Skill("spell", _one_word, (
        'Spell the word "{word}".', "Spell it letter by letter. | {word}",
        'How is "{word}" spelt?', 'Write the letters of "{word}" one by one.',
    ), "{spelt}", "You spell {word} like this: {spelt}."),
    Skill("upper_case", _some_words, (
        "Write in capital letters. | {list}", 'Put "{list}" in upper case.',
        "Make all letters big. | {list}", 'Turn "{list}" into capitals.',
    ), "{upper}", "In capitals, {list} reads {upper}."),
    Skill("sort_words", _some_words, (
        "Sort the words by the alphabet. | {commas}", 'Put "{commas}" in alphabetical order.',
        "Arrange alphabetically. | {commas}", 'Order the words "{commas}" from A to Z.',
    ), "A to Z: {sorted}", "In the alphabet the words {commas} come as {sorted}."),
    Skill("join_words", _some_words, (
        "Join the words with hyphens. | {list}", 'Connect "{list}" by hyphens.',
        "Make one hyphenated word. | {list}", 'Glue "{list}" together with hyphens.',
    ), "{hyphens}", "Joined by hyphens, {list} gives {hyphens}."),
    Skill("reverse_words", _some_words, (
        "Reverse the order of the words. | {list}", 'Say the words of "{list}" in reverse order.',
        "Last word first, please. | {list}", 'Turn the order of "{list}" around.',
    ), "{backwards}", "From last to first, the words {list} are {backwards}."),
    Skill("count_words", _counted_words, (
        "How many words are there? | {list}", 'Count the words in "{list}".',
        "Count the words. | {list}", 'Of how many words does "{list}" consist?',
    ), "Number of words: {n}", "Counting the words {list} we get {n}."),
    Skill("pick_word", _one_of_five, (
        "What is the {which} word? | {list}", 'Name the {which} word of "{list}".',
        "Pick the {which} word. | {list}", 'Which word is the {which} in "{list}"?',
    ), "The {which} word is {word}.", "In the row {list} the {which} one is {word}."),
    Skill("repeat_word", _many_times, (
        'Repeat "{word}" {times} times.', "Say it {times} times. | {word}",
        'Write the word "{word}" {times} times in a row.', 'Give me "{word}", {times} times over.',
    ), "{repeated}", "The word {word} {times} times over: {repeated}."),
    Skill("replace_word", _edited_sentence, (
        'Replace "{old}" by "{new}". | {text}', 'Put "{new}" where "{old}" stands. | {text}',
        'Swap "{old}" for "{new}" in: {text}', 'Change "{old}" to "{new}". | {text}',
    ), "{replaced}", "With {new} for {old}, {text} becomes {replaced}."),
    Skill("remove_word", _edited_sentence, (
        'Remove "{old}". | {text}', 'Leave out the word "{old}". | {text}',
        'Delete "{old}" from: {text}', 'Drop "{old}" in this sentence. | {text}',
    ), "{removed}", "Without {old}, {text} becomes {removed}."),
    Skill("append_words", _edited_sentence, (
        'Add "and the {new}" at the end. | {text}', 'Append "and the {new}". | {text}',
        'Let it end with "and the {new}": {text}', 'Attach the words "and the {new}". | {text}',
    ), "{appended}", "Made longer, {text} becomes {appended}."),
)
# fmt: on
