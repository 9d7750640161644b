"""Every skill of the made world in one place."""

from __future__ import annotations

from . import skills_facts, skills_numbers, skills_words
from .skill import Skill

SKILLS: tuple[Skill, ...] = (*skills_numbers.SKILLS, *skills_words.SKILLS, *skills_facts.SKILLS)
