"""What a chat template makes of messages, and where in it the assistants' contents stand.

A second rendering has noncharacters (U+FDD0 …) where contents begin and end; it counts only if it is the
first one but for the marks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import PromptError
from .chat_messages import EDGE, Message, Names

FIRST, LAST = "\ufdd0", "\ufdd1"
MARKS = re.compile(f"([{FIRST}{LAST}])([0-9]+){EDGE}")
Render = Callable[..., list[str]]
WITH_THINKING = "Give the tokenizer one that writes it, or put it into the content."
NO_THINKING = (
    "the chat template leaves out the thinking of the last answer, so it could not be learnt. "
    f"{WITH_THINKING}"
)


@dataclass(frozen=True)
class Rendering:
    """A rendered sample; positions are characters of `text`, which still holds the cuts.

    Attributes:
        text: The rendered text.
        first: Turn number to where its content begins, for the turns whose content was found.
        last: Turn number to where its content ends.
    """

    text: str
    first: dict[int, int]
    last: dict[int, int]


def marked(render: Render, messages: list[Message]) -> Rendering:
    """Render plainly and with marked contents; marks that change the text elsewhere are not trusted."""
    text, marked = render([messages, _with_marks(messages, has_first=True, is_inside=False)])
    if MARKS.sub("", marked) != text:
        # Blanks at the ends may be stripped.
        marked = render([_with_marks(messages, has_first=True, is_inside=True)])[0]
    if MARKS.sub("", marked) != text:
        # How an answer begins may be looked at.
        marked = render([_with_marks(messages, has_first=False, is_inside=True)])[0]
    if MARKS.sub("", marked) != text:
        return Rendering(text, {}, {})
    found: dict[str, dict[int, int]] = {FIRST: {}, LAST: {}}
    n_before = 0
    for mark in MARKS.finditer(marked):
        found[mark[1]][int(mark[2])] = mark.start() - n_before
        n_before += len(mark[0])
    return Rendering(text, found[FIRST], found[LAST])


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


def prefix(render: Render, messages: list[Message], is_asked: bool = False) -> str:
    """The rendering of a dialogue's first messages.

    Empty where there are none or the template refuses them.
    """
    try:
        return render([messages], is_asked)[0] if messages else ""
    except PromptError:
        return ""


def common_start(one: str, other: str) -> str:
    """What two texts begin with alike."""
    n_same = next(
        (number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    return one[:n_same]


def check_complete(rendering: Rendering, messages: list[Message], names: Names, may_rewrite: bool) -> None:
    """Refuse a rendering that leaves something out without a word.

    With markers of its own it may rewrite answers.
    """
    text = rendering.text
    for number, message in enumerate(messages):
        core = message["content"].strip()
        if may_rewrite and message["role"] == "assistant":
            continue
        # Some templates write a tool's answer as a JSON string.
        if not (
            number in rendering.last or core in text or json.dumps(core, ensure_ascii=False)[1:-1] in text
        ):
            raise PromptError(
                f"the chat template leaves out or rewrites turn {number}, of role {message['role']}"
            )
    for kind, name in names:
        if name not in text:
            raise PromptError(f"the chat template leaves out the {kind} {name!r}")
    last = messages[-1]["content"]
    if "</think>" in last and last.partition("</think>")[0].rpartition("<think>")[2].strip() not in text:
        raise PromptError(NO_THINKING)
