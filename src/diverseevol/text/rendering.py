"""What a chat template makes of a sample's messages, and where in it the assistants' contents stand.

A second rendering has noncharacters (U+FDD0 …) where contents begin and end; it counts only if it is the
first one but for the marks. Cost: two renderings a sample.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import PromptError
from .messages import EDGE, FIRST, LAST, Message, with_text_arguments

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKS = re.compile(f"([{FIRST}{LAST}])([0-9]+){EDGE}")
WITH_THINKING = "Give the tokenizer one that writes it, or put it into the content."
NO_THINKING = (
    "the chat template leaves out the thinking of the last answer, so it could not be learnt. "
    f"{WITH_THINKING}"
)


def render(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    tools: list[Message] | None = None,
    is_asked: bool = False,
) -> str:
    """The text of messages, with the generation prompt behind them where an answer `is_asked` for.

    Raises:
        PromptError: the template refuses them.
    """
    from jinja2.exceptions import TemplateError

    try:
        return str(
            tokenizer.apply_chat_template(
                list(messages), tools=tools, tokenize=False, add_generation_prompt=is_asked
            )
        )
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise PromptError(f"the chat template refuses the sample: {error or type(error).__name__}") from error


@dataclass
class Rendering:
    """A rendered sample; positions are characters of `text`, which still holds the cuts.

    Attributes:
        messages: One a turn, with calls in the form that the template takes.
        text: The rendered text.
        first: Turn number to where its content begins, for the assistants' turns whose content was found.
        last: Turn number to where its content ends.
    """

    tokenizer: PreTrainedTokenizerBase
    messages: list[Message]
    tools: list[Message] | None
    text: str = ""
    first: dict[int, int] = field(default_factory=dict)
    last: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Render plainly, and with marked contents; marks that change the text elsewhere are not trusted."""
        try:
            self.text = self.of(self.messages)
        except PromptError:
            if not any("tool_calls" in message for message in self.messages):
                raise
            # Some templates add a call's arguments to text; the others want them as an object.
            self.messages = [with_text_arguments(message) for message in self.messages]
            self.text = self.of(self.messages)
        # Blanks at the ends may be stripped, and how an answer begins may be looked at.
        for has_first, is_inside in ((True, False), (True, True), (False, True)):
            marked = self.of(_with_marks(self.messages, has_first, is_inside))
            if MARKS.sub("", marked) == self.text:
                n_before = 0
                for mark in MARKS.finditer(marked):
                    places = self.first if mark[1] == FIRST else self.last
                    places[int(mark[2])] = mark.start() - n_before
                    n_before += len(mark[0])
                return

    def of(self, messages: Sequence[Message]) -> str:
        """Other messages in the same template, with the same tools."""
        return render(self.tokenizer, messages, self.tools)

    def beginning(self, n_turns: int, is_asked: bool = False) -> str:
        """The first turns alone; empty where there are none or the template refuses them."""
        try:
            return render(self.tokenizer, self.messages[:n_turns], self.tools, is_asked) if n_turns else ""
        except PromptError:
            return ""

    def check_complete(self, may_rewrite: bool) -> None:
        """Refuse a rendering that leaves something out without a word.

        With markers of its own it may rewrite answers.
        """
        for number, message in enumerate(self.messages):
            core, role = message["content"].strip(), message["role"]
            if (may_rewrite and role == "assistant") or number in self.last or core in self.text:
                continue
            # Some templates write a tool's answer as a JSON string.
            if json.dumps(core, ensure_ascii=False)[1:-1] not in self.text:
                raise PromptError(f"the chat template leaves out or rewrites turn {number}, of role {role}")
        named = [("tool", tool) for tool in self.tools or []]
        named += [("call of", call) for one in self.messages for call in one.get("tool_calls", [])]
        for kind, item in named:
            if item["function"]["name"] not in self.text:
                raise PromptError(f"the chat template leaves out the {kind} {item['function']['name']!r}")
        before, end, _ = self.messages[-1]["content"].partition("</think>")
        if end and before.rpartition("<think>")[2].strip() not in self.text:
            raise PromptError(NO_THINKING)


def _with_marks(messages: list[Message], has_first: bool, is_inside: bool) -> list[Message]:
    """The assistants' contents with a numbered mark at both ends, `is_inside` the blanks there."""
    marked = []
    for number, message in enumerate(messages):
        content = message["content"]
        if message["role"] == "assistant" and (content.strip() or "tool_calls" not in message):
            core = content.strip() if is_inside else content
            before, _, after = content.partition(core) if core else (content, "", "")
            first = f"{FIRST}{number}{EDGE}" if has_first else ""
            message = {**message, "content": f"{before}{first}{core}{LAST}{number}{EDGE}{after}"}
        marked.append(message)
    return marked
