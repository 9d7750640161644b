"""What the judge is told: text files with named places, and the fence around what others wrote.

A template is a text file. Lines `=== system ===` and `=== user ===` begin a message of that role; without one
the whole is the user's message. Places in braces are filled in once, so that braces inside an answer stay
what they are:
    {question}  {answer_1}  {answer_2}   the texts, each inside its fence
    {mark}                               what the fence's lines carry, so that the instruction can name it
Answers are untrusted: one may say that the answer ends here, or what its score is. Each text therefore stands
between two lines with a mark that occurs in none of the texts. The mark follows from the texts (the same
request is the same bytes, so a stored verdict is found again); an answer that contained its own mark would
have to know a hash of itself, and even then another mark is taken.
The form (two scores of 1 to 10 on the first line) is that of DiverseEvol's GPT-4 judge (Wu et al., 2023,
https://arxiv.org/abs/2311.08182); the words are ours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ..errors import ConfigError
from .judge_pairs import Judgement

BUILT_IN = "pairwise"
ROLE = re.compile(r"^=== *(system|user) *===[ \t]*$", re.MULTILINE)
PLACE = re.compile(r"\{([a-z][a-z_0-9]*)\}")
PLACES = {"question", "answer_1", "answer_2", "mark"}
NAMES = {"question": "question", "answer_1": "answer 1", "answer_2": "answer 2"}
MARK_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Template:
    """A judge's instruction.

    Attributes:
        name: The built-in's name, or the file's.
        messages: (role, text with places) in order.
    """

    name: str
    text: str
    messages: tuple[tuple[str, str], ...]

    def fill(self, judgement: Judgement) -> list[dict[str, str]]:
        """The messages for one judgement, in the chat API's form."""
        texts = {
            "question": judgement.question,
            "answer_1": judgement.shown[0],
            "answer_2": judgement.shown[1],
        }
        mark = _mark(tuple(texts.values()))
        fenced = {
            place: f"[{mark}: {NAMES[place]}]\n{text}\n[{mark}: end of {NAMES[place]}]"
            for place, text in texts.items()
        }
        values = {**fenced, "mark": mark}
        return [
            {"role": role, "content": PLACE.sub(lambda found: values[found[1]], text)}
            for role, text in self.messages
        ]


def load_template(name: str | Path) -> Template:
    """A built-in template by name, or one from a file.

    Raises:
        ConfigError: there is none, it is not UTF-8, lacks a place that it needs or has one that is not known.
    """
    if str(name) == BUILT_IN:
        return _parsed(str(name), files(__package__).joinpath("templates", f"{name}.txt").read_text("utf-8"))
    path = Path(name)
    if not path.is_file():
        raise ConfigError(f"no judge's template {str(name)!r}: neither a file nor {BUILT_IN}.")
    try:
        return _parsed(path.name, path.read_text("utf-8-sig"))
    except UnicodeDecodeError:
        raise ConfigError(f"the judge's template {path} is not UTF-8. Save it as UTF-8.") from None


def _parsed(name: str, text: str) -> Template:
    text = text.replace("\r\n", "\n")
    # What follows NAME{ in JSON or code is no place; only words in braces are looked at.
    found = set(PLACE.findall(text))
    for place in sorted(found - PLACES):
        raise ConfigError(
            f"the judge's template {name} has a place {{{place}}}. Known: {', '.join(sorted(PLACES))}."
        )
    for place in ("question", "answer_1", "answer_2"):
        if place not in found:
            raise ConfigError(
                f"the judge's template {name} has no place {{{place}}}. Put it where the judge shall see it."
            )
    first, *parts = ROLE.split(text)
    if not parts:
        return Template(name, text, (("user", text.strip()),))
    if first.strip():
        raise ConfigError(
            f"the judge's template {name} has text before its first role. Begin it with === system === or "
            f"=== user ===."
        )
    messages = tuple((role, content.strip()) for role, content in zip(parts[::2], parts[1::2], strict=True))
    return Template(name, text, messages)


def _mark(texts: Sequence[str]) -> str:
    """A short hash of the texts that none of them contains."""
    number = 0
    while True:
        content = "\0".join((str(number), *texts))
        mark = hashlib.sha256(content.encode("utf-8")).hexdigest()[:MARK_LENGTH]
        if not any(mark in text for text in texts):
            return mark
        number += 1
