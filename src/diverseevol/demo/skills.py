"""Every skill of the made world in one place, and the check of an answer."""

from __future__ import annotations

from collections.abc import Mapping

from . import skills_dialogue, skills_lookup, skills_numbers, skills_text, skills_time
from .skill import Skill

SKILLS: tuple[Skill, ...] = (
    *skills_numbers.SKILLS,
    *skills_text.SKILLS,
    *skills_lookup.SKILLS,
    *skills_time.SKILLS,
    *skills_dialogue.SKILLS,
)


def check(record: Mapping[str, object], answer: str) -> bool:
    """Tell whether `answer` is the record's one right answer; space around it and a closing full stop do not count."""
    return _bare(answer) == _bare(str(record["output"]))


def _bare(text: str) -> str:
    return text.strip().removesuffix(".").rstrip()
