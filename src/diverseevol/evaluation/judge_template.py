"""What the judge is told: text files with named places, and the fence around what others wrote.

Lines `=== system ===` and `=== user ===` begin a message of that role; without one the whole is the user's.
{question}, {answer_1} and {answer_2} are filled in once, so that braces inside an answer stay what they are.
Answers are untrusted: one may say that the answer ends here, or what its score is. Each text therefore stands
between two lines with a mark ({mark} in the instruction) that occurs in none of them. It follows from the
texts, so the same request is the same bytes, and a stored verdict is found again.
The form (two scores of 1 to 10 on the first line) is that of DiverseEvol's GPT-4 judge (Wu et al., 2023,
https://arxiv.org/abs/2311.08182); the words are ours.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from itertools import count
from pathlib import Path

from ..errors import ConfigError
from .judge_pairs import Judgement

BUILT_IN = "pairwise"
ROLE = re.compile(r"^=== *(system|user) *===[ \t]*$", re.MULTILINE)
# What follows NAME{ in JSON or code is no place; only words in braces are looked at.
PLACE = re.compile(r"\{([a-z][a-z_0-9]*)\}")
NAMES = {"question": "question", "answer_1": "answer 1", "answer_2": "answer 2"}
MARK_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Template:
    """A judge's instruction; its messages are (role, text with places), in order."""

    name: str
    text: str
    messages: tuple[tuple[str, str], ...]

    def fill(self, judgement: Judgement) -> list[dict[str, str]]:
        """The messages for one judgement, in the chat API's form."""
        texts = (judgement.question, *judgement.shown)
        marks = (
            hashlib.sha256("\0".join((str(number), *texts)).encode("utf-8")).hexdigest()[:MARK_LENGTH]
            for number in count()
        )
        mark = next(mark for mark in marks if not any(mark in text for text in texts))
        values = {"mark": mark}
        for (place, name), text in zip(NAMES.items(), texts, strict=True):
            values[place] = f"[{mark}: {name}]\n{text}\n[{mark}: end of {name}]"
        return [
            {"role": role, "content": PLACE.sub(lambda found: values[found[1]], text)}
            for role, text in self.messages
        ]


def load_template(name: str | Path) -> Template:
    """A built-in template by name, or one from a file.

    Raises:
        ConfigError: there is none, it is not UTF-8, lacks a place that it needs or has one that is not known.
    """
    path, name = Path(name), str(name)
    if name == BUILT_IN:
        text = files(__package__).joinpath("templates", f"{name}.txt").read_text("utf-8")
    elif path.is_file():
        try:
            name, text = path.name, path.read_text("utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigError(f"the judge's template {path} is not UTF-8. Save it as UTF-8.") from None
    else:
        raise ConfigError(f"no judge's template {name!r}: neither a file nor {BUILT_IN}.")
    text, said = text.replace("\r\n", "\n"), f"the judge's template {name}"
    found, known = set(PLACE.findall(text)), {*NAMES, "mark"}
    for place in sorted(found - known):
        raise ConfigError(f"{said} has a place {{{place}}}. Known: {', '.join(sorted(known))}.")
    for place in (place for place in NAMES if place not in found):
        raise ConfigError(f"{said} has no place {{{place}}}. Put it where the judge shall see it.")
    first, *parts = ROLE.split(text)
    if parts and first.strip():
        raise ConfigError(
            f"{said} has text before its first role. Begin it with === system === or === user ===."
        )
    messages = zip(parts[::2], parts[1::2], strict=True) if parts else [("user", text)]
    return Template(name, text, tuple((role, content.strip()) for role, content in messages))
