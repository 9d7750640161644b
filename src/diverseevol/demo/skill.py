"""What a skill is: a seeded draw of values, several wordings of one question, and the one right answer.

A skill is data: `draw` yields the values of one exercise (the answer among them) and the templates are filled with them.
Everything follows from the generator that is passed in, so a seed gives the same exercises everywhere.
Cost: microseconds an exercise.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

Values = Mapping[str, object]
HELD_OUT_SHARE = 5
"""One content in so many is kept for held-out sets and never gets into a pool."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """One thing asked and its answer.

    Attributes:
        skill: The skill's name.
        content: What is asked, whatever the wording; two exercises of equal content are the same question.
        instruction: The question, or the last of them in a dialogue.
        input: What the question is about where that stands apart; often empty.
        output: The one right answer.
        statement: The same piece of knowledge as a plain sentence, for the base model to read.
        history: Earlier questions and answers of a dialogue, oldest first.
    """

    skill: str
    content: str
    instruction: str
    input: str
    output: str
    statement: str
    history: tuple[tuple[str, str], ...] = ()

    @property
    def is_held_out(self) -> bool:
        """Whether this content is kept for held-out sets; a property of the content alone, so no list has to be passed on."""
        return zlib.crc32(f"{self.skill} {self.content}".encode()) % HELD_OUT_SHARE == 0

    def record(self) -> dict[str, object]:
        """The exercise as an alpaca record, with `history` only where there is one, and the skill's name."""
        record: dict[str, object] = {"instruction": self.instruction, "input": self.input, "output": self.output}
        if self.history:
            record["history"] = [list(pair) for pair in self.history]
        return record | {"skill": self.skill}


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing that can be asked.

    Attributes:
        name: Its name, unique in the world.
        draw: Values for the templates from a seeded generator; the dialogue, the answer and the statement depend on nothing else.
        wordings: Templates of the question, each said as often as the others; what follows " | " is the record's input.
        output: Template of the answer.
        statement: Template of the plain sentence that a base model reads.
        history: Templates of earlier questions and answers.
    """

    name: str
    draw: Callable[[Random], Values]
    wordings: tuple[str, ...]
    output: str
    statement: str
    history: tuple[tuple[str, str], ...] = ()

    def exercise(self, rng: Random) -> Exercise:
        """Draw one exercise: first its values, then a wording."""
        values = self.draw(rng)
        instruction, _, context = rng.choice(self.wordings).format(**values).partition(" | ")
        return Exercise(
            skill=self.name,
            content=", ".join(f"{key} {value}" for key, value in sorted(values.items())),
            instruction=instruction,
            input=context,
            output=self.output.format(**values),
            statement=self.statement.format(**values),
            history=tuple((asked.format(**values), said.format(**values)) for asked, said in self.history),
        )
