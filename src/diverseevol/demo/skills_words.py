"""Skills about words and sentences: letters, cases, orders, edits."""

from __future__ import annotations

from random import Random

from .skill import Skill, Values
from .words import ADJECTIVES, ANIMALS, NOUNS, OPPOSITES, PLURALS, SPANISH, VERBS, sentence

WORDS = tuple(dict.fromkeys((*NOUNS, *PLURALS.values(), *VERBS, *ADJECTIVES, *OPPOSITES, *SPANISH, *SPANISH.values())))


def _one_word(rng: Random) -> Values:
    word = rng.choice(WORDS)
    return {"word": word, "n": len(word), "reversed": word[::-1], "spelt": "-".join(word)}


def _some_words(rng: Random) -> Values:
    words = rng.sample(WORDS, 3)
    return {
        "list": " ".join(words),
        "commas": ", ".join(words),
        "upper": " ".join(words).upper(),
        "sorted": ", ".join(sorted(words)),
        "hyphens": "-".join(words),
    }


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
        "appended": f"{before} and the {new}",
    }


SKILLS = (
    Skill(
        "count_letters",
        _one_word,
        (
            'How many letters has "{word}"?',
            "Count the letters. | {word}",
            'Count the letters of "{word}".',
            'Give the length of the word "{word}".',
        ),
        '"{word}" has {n} letters.',
        "There are {n} letters in {word}.",
    ),
    Skill(
        "reverse_word",
        _one_word,
        (
            'Reverse the word "{word}".',
            "Write it backwards. | {word}",
            'Spell "{word}" from back to front.',
            'What is "{word}" written backwards?',
        ),
        "{reversed}",
        "Read backwards, {word} turns into {reversed}.",
    ),
    Skill(
        "spell",
        _one_word,
        (
            'Spell the word "{word}".',
            "Spell it letter by letter. | {word}",
            'How is "{word}" spelt?',
            'Write the letters of "{word}" one by one.',
        ),
        "{spelt}",
        "You spell {word} like this: {spelt}.",
    ),
    Skill(
        "upper_case",
        _some_words,
        (
            "Write in capital letters. | {list}",
            'Put "{list}" in upper case.',
            "Make all letters big. | {list}",
            'Turn "{list}" into capitals.',
        ),
        "{upper}",
        "In capitals, {list} reads {upper}.",
    ),
    Skill(
        "sort_words",
        _some_words,
        (
            "Sort the words by the alphabet. | {commas}",
            'Put "{commas}" in alphabetical order.',
            "Arrange alphabetically. | {commas}",
            'Order the words "{commas}" from A to Z.',
        ),
        "A to Z: {sorted}",
        "In the alphabet the words {commas} come as {sorted}.",
    ),
    Skill(
        "join_words",
        _some_words,
        (
            "Join the words with hyphens. | {list}",
            'Connect "{list}" by hyphens.',
            "Make one hyphenated word. | {list}",
            'Glue "{list}" together with hyphens.',
        ),
        "{hyphens}",
        "Joined by hyphens, {list} gives {hyphens}.",
    ),
    Skill(
        "replace_word",
        _edited_sentence,
        (
            'Replace "{old}" by "{new}". | {text}',
            'Put "{new}" where "{old}" stands. | {text}',
            'Swap "{old}" for "{new}" in: {text}',
            'Change "{old}" to "{new}". | {text}',
        ),
        "{replaced}",
        "With {new} for {old}, {text} becomes {replaced}.",
    ),
    Skill(
        "append_words",
        _edited_sentence,
        (
            'Add "and the {new}" at the end. | {text}',
            'Append "and the {new}". | {text}',
            'Let it end with "and the {new}": {text}',
            'Attach the words "and the {new}". | {text}',
        ),
        "{appended}",
        "Made longer, {text} becomes {appended}.",
    ),
)
