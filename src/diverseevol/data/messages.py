"""The turns of a dialogue: ShareGPT's {from, value}, everybody else's {role, content}, Alpaca's history.

Content is text or a list of text blocks, {type: text, text} or {type: text, value}, which are joined as they
are. A ShareGPT function_call is an assistant's turn that calls tools, an observation a tool's answer.
Thinking under a key of its own, or in blocks of type thinking or reasoning, is kept for the chat template.
What would be lost on the way (an image, half a loss weight) makes the row a bad one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .layouts import FUNCTION, OFFERS, Layout
from .preference import SEVERAL, check_is_wanted
from .row import RowError, as_list, parsed
from .sample import Turn
from .switches import is_switched_on
from .tool_calls import CALL_IDS, TOOL_NAMES, calls_in, calls_of, first_text, joined_calls, with_ids

# As apply_chat_template has them: a template finds the first of these under the name that it knows.
THINKING = ("reasoning_content", "reasoning", "thinking")
TEXTS = ("content", "value", "text")
MEDIA = frozenset(("images", "image", "videos", "video", "audios", "audio"))


def read_messages(value: Any, layout: Layout) -> list[Turn]:  # noqa: ANN401 - any JSON value
    """The turns of a list of messages.

    Raises:
        RowError: it is no such list, or a message has no known role or no usable content.
    """
    messages = _list(value, layout.messages or layout.prompt)
    if not messages:
        raise RowError("no turns")
    turns = [_turn(message, number, layout) for number, message in enumerate(messages)]
    if any(turn.role == "tool" and not turn.call_id for turn in turns):
        made = {call.id for turn in turns for call in calls_of(turn) if call.id}
        for number, turn in enumerate(turns):
            # A message's own id is a call's where a call has it; many number all of their messages.
            if (
                turn.role == "tool"
                and not turn.call_id
                and (own := first_text(messages[number], ("id",))) in made
            ):
                turns[number] = replace(turn, call_id=own)
    return joined_calls(turns)


def _turn(message: Any, number: int, layout: Layout) -> Turn:  # noqa: ANN401 - any JSON value
    if not isinstance(message, dict):
        raise RowError(f"turn {number} is not an object")
    role = role_of(message, layout)
    if role is None:
        name = message.get(layout.role_tag) if layout.role_tag else message.get("role", message.get("from"))
        raise RowError(f"turn {number} has the role {name!r}, which is unknown")
    check_has_text_only(message, f"turn {number}")
    texts = (layout.content_tag,) if layout.content_tag else TEXTS
    content = next((message[key] for key in texts if message.get(key) is not None), None)
    calls = calls_in(message, number) if role == "assistant" else ""
    text, thoughts = _content(content, number, role in ("assistant", FUNCTION), may_be_missing=bool(calls))
    if role == "tool":
        return Turn("tool", text, call_id=first_text(message, CALL_IDS), name=first_text(message, TOOL_NAMES))
    if role not in ("assistant", FUNCTION):
        return Turn(role, text)  # type: ignore[arg-type]
    if role == FUNCTION:
        text, calls = "", with_ids(parsed(text, f"the call in turn {number}"), number)
    parts = content if isinstance(content, list) else [text]
    is_trained = is_switched_on(message, [*parts, *(as_list(json.loads(calls)) if calls else [])], number)
    if is_trained:
        check_is_wanted(message, tuple(message))
    thinking = _thinking(message, thoughts, text, number)
    return Turn("assistant", text, is_trained=is_trained, tool_calls=calls, thinking=thinking)


def _content(
    content: Any,  # noqa: ANN401 - any JSON value
    number: int,
    is_answer: bool,
    may_be_missing: bool,
) -> tuple[str, str]:
    """The text of a turn's content, and what its blocks of thinking hold."""
    if isinstance(content, str):
        return content, ""
    if content is None and may_be_missing:
        return "", ""
    if content is None:
        raise RowError(f"wrong type: turn {number} has no text")
    if not isinstance(content, list):
        raise RowError(f"wrong type: the content of turn {number} is not text")
    if is_answer and len(content) > 1 and all(isinstance(block, str) for block in content):
        raise RowError(f"turn {number} holds {SEVERAL}")
    said: list[str] = []
    thoughts: list[str] = []
    for block in content:
        if is_answer and isinstance(block, dict) and block.get("type") in ("thinking", "reasoning"):
            if "".join(said).strip():
                raise RowError(f"turn {number} thinks behind what it says; its order would be lost")
            thoughts.append(_block(block, number, ("thinking", "reasoning", *TEXTS)))
        else:
            said.append(_said(block, number))
    return "".join(said), "".join(thoughts)


def _said(block: Any, number: int) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(block, str):
        return block
    kind = block.get("type") if isinstance(block, dict) else None
    if kind != "text":
        raise RowError(f"turn {number} holds a block of type {kind!r}; only text can be used")
    return _block(block, number, ("text", "value"))


def _block(block: dict[str, Any], number: int, keys: Sequence[str]) -> str:
    text = next((block[key] for key in keys if block.get(key) is not None), None)
    if isinstance(text, list) and "thinking" in keys:
        return "".join(_said(inner, number) for inner in text)
    if not isinstance(text, str):
        raise RowError(f"wrong type: a {block['type']} block of turn {number} has no text")
    return text


def _thinking(message: dict[str, Any], thoughts: str, text: str, number: int) -> str:
    """What a turn thinks: under a key, or in blocks before the text; the same under two names is one."""
    kept = {key: message[key] for key in THINKING if message.get(key)} | (
        {"a block": thoughts} if thoughts else {}
    )
    if not all(isinstance(thinking, str) for thinking in kept.values()):
        raise RowError(
            f"wrong type: turn {number} must keep its thinking as one text; found {', '.join(kept)}"
        )
    if len(set(kept.values())) > 1:
        raise RowError(f"turn {number} thinks differently under {' and '.join(kept)}; keep one of them")
    thinking = next(iter(kept.values()), "")
    if thinking.strip() and ("<think>" in text or "</think>" in text) and thinking.strip() in text:
        where = f"under {next(iter(kept))} and in its text"
        raise RowError(f"turn {number} has its thinking twice: {where}; keep one of them")
    return thinking


def check_has_text_only(holder: dict[str, Any], what: str) -> None:
    """Check that a row or a message has no pictures, sounds or films beside its text.

    Raises:
        RowError: it has, so a part of its prompt cannot be read.
    """
    for key in () if MEDIA.isdisjoint(holder) else sorted(MEDIA):
        if holder.get(key):
            raise RowError(f"{what} has {key}; only text can be used")


def read_history(value: Any) -> list[Turn]:  # noqa: ANN401 - any JSON value
    """The turns of Alpaca's history, a list of [user, assistant] pairs; every answer is trained on.

    Raises:
        RowError: it is no such list.
    """
    turns = []
    for pair in _list(value, "history") if value else []:
        if not (
            isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(text, str) for text in pair)
        ):
            raise RowError("wrong type: history is not a list of [user, assistant] pairs of text")
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1], is_trained=True)]
    return turns


def read_tools(record: dict[str, Any], layout: Layout) -> str:
    """The tools on offer as JSON text, from their column or a key of the system's turn; empty where none are.

    Raises:
        RowError: they are not JSON, or stand in two places and differ.
    """
    found = [_tools(record.get(layout.tools))] if layout.tools else []
    if not isinstance(record.get(layout.messages or layout.prompt), str) or layout.messages:
        first = next(iter(messages_in(record, layout)), {})
        found += [
            _tools(first[key]) for key in OFFERS if first.get(key) and role_of(first, layout) == "system"
        ]
    found = list(dict.fromkeys(filter(None, found)))
    if len(found) > 1 and len({json.dumps(json.loads(tools), sort_keys=True) for tools in found}) > 1:
        raise RowError(f"two lists of tools: the column {layout.tools!r} and the system's turn")
    return next(iter(found), "")


def _tools(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value else ""
    return value if value and parsed(value, "tools") else ""


def are_tools(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    """Whether a value describes tools: objects that have a name, or JSON text of such."""
    try:
        value = parsed(value, "tools") if isinstance(value, str) else value
    except RowError:
        return False
    return isinstance(value, list) and all(
        isinstance(tool, dict) and ("name" in tool or "function" in tool) for tool in value
    )


def messages_in(record: dict[str, Any], layout: Layout) -> list[dict[str, Any]]:
    """The messages of a record as they stand in it: of a dialogue, or of both prompt and completion."""
    values = [record.get(column) for column in (layout.messages, layout.prompt, layout.response) if column]
    texts = [value for value in values if isinstance(value, str) and layout.messages]
    lists = [value for value in values if isinstance(value, list)] + [
        _list(text, layout.messages) for text in texts
    ]
    return [message for messages in lists for message in messages if isinstance(message, dict)]


def role_of(message: dict[str, Any], layout: Layout) -> str | None:
    """Who speaks in a message; None where its word for that is unknown."""
    name = message.get(layout.role_tag) if layout.role_tag else message.get("role", message.get("from"))
    return layout.roles.get(name) if isinstance(name, str) else None


def _list(value: Any, column: str) -> list[Any]:  # noqa: ANN401 - any JSON value
    # A CSV can hold a list only as its JSON text.
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parsed(value, column)
    if not isinstance(value, list):
        raise RowError(f"wrong type: {column!r} is not a list")
    return value
