"""The turns of a dialogue: ShareGPT's {from, value}, everybody else's {role, content}, Alpaca's history.

Content is text or a list of text blocks, {type: text, text} or {type: text, value}, which are joined as they
are. A ShareGPT function_call is an assistant's turn that calls tools, an observation a tool's answer.
Thinking under a key of its own, or in blocks of type thinking or reasoning, is kept for the chat template.
What would be lost on the way (an image, half a loss weight), or cannot be read, raises `RowError`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .layouts import FUNCTION, OFFERS, Layout
from .sample import RowError, Turn, as_list, parsed
from .tool_calls import CALL_IDS, TOOL_NAMES, calls_in, calls_of, first_text, joined_calls, with_ids
from .train_flags import SEVERAL, check_is_wanted, is_switched_on

# As apply_chat_template has them: a template finds the first of these under the name that it knows.
THINKING = ("reasoning_content", "reasoning", "thinking")
TEXTS = ("content", "value", "text")
MEDIA = frozenset(("images", "image", "videos", "video", "audios", "audio"))


def read_messages(value: Any, layout: Layout) -> list[Turn]:  # noqa: ANN401 - any JSON value
    """The turns of a list of messages."""
    messages = _list(value, layout.messages or layout.prompt)
    if not messages:
        raise RowError("no turns")
    turns = [_turn(message, number, layout) for number, message in enumerate(messages)]
    if any(turn.role == "tool" and not turn.call_id for turn in turns):
        # A message's own id is a call's where a call has it; many number all of their messages.
        made = {call.id for turn in turns for call in calls_of(turn) if call.id}
        for number, turn in enumerate(turns):
            own = first_text(messages[number], ("id",))
            if turn.role == "tool" and not turn.call_id and own in made:
                turns[number] = replace(turn, call_id=own)
    return joined_calls(turns)


def _turn(message: Any, number: int, layout: Layout) -> Turn:  # noqa: ANN401 - any JSON value
    if not isinstance(message, dict):
        raise RowError(f"turn {number} is not an object")
    role = role_of(message, layout)
    if role is None:
        raise RowError(f"turn {number} has the role {_said_role(message, layout)!r}, which is unknown")
    check_has_text_only(message, f"turn {number}")
    is_answer = role in ("assistant", FUNCTION)
    texts = (layout.content_tag,) if layout.content_tag else TEXTS
    content = next((message[key] for key in texts if message.get(key) is not None), None)
    calls = calls_in(message, number) if role == "assistant" else ""
    text, thoughts = ("", "") if content is None and calls else _content(content, number, is_answer)
    if role == "tool":
        return Turn("tool", text, call_id=first_text(message, CALL_IDS), name=first_text(message, TOOL_NAMES))
    if not is_answer:
        return Turn(role, text)  # type: ignore[arg-type]
    if role == FUNCTION:
        text, calls = "", with_ids(parsed(text, f"the call in turn {number}"), number)
    parts = content if isinstance(content, list) else [text]
    is_trained = is_switched_on(message, [*parts, *(as_list(json.loads(calls)) if calls else [])], number)
    if is_trained:
        check_is_wanted(message, tuple(message))
    thinking = _thinking(message, thoughts, text, number)
    return Turn("assistant", text, is_trained=is_trained, tool_calls=calls, thinking=thinking)


def _content(content: Any, number: int, is_answer: bool) -> tuple[str, str]:  # noqa: ANN401 - any JSON value
    """The text of a turn's content, and what its blocks of thinking hold."""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list):
        what = (
            f"turn {number} has no text" if content is None else f"the content of turn {number} is not text"
        )
        raise RowError(f"wrong type: {what}")
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
    kept = {key: message[key] for key in THINKING if message.get(key)}
    if thoughts:
        kept["a block"] = thoughts
    if not kept:
        return ""
    if not all(isinstance(thinking, str) for thinking in kept.values()):
        found = f"turn {number} must keep its thinking as one text; found {', '.join(kept)}"
        raise RowError(f"wrong type: {found}")
    if len(set(kept.values())) > 1:
        raise RowError(f"turn {number} thinks differently under {' and '.join(kept)}; keep one of them")
    place, thinking = next(iter(kept.items()))
    if thinking.strip() and ("<think>" in text or "</think>" in text) and thinking.strip() in text:
        where = f"under {place} and in its text"
        raise RowError(f"turn {number} has its thinking twice: {where}; keep one of them")
    return str(thinking)


def check_has_text_only(holder: dict[str, Any], what: str) -> None:
    """Refuse a row or a message with pictures, sounds or films: a part of its prompt cannot be read."""
    for key in () if MEDIA.isdisjoint(holder) else sorted(MEDIA):
        if holder.get(key):
            raise RowError(f"{what} has {key}; only text can be used")


def read_history(value: Any) -> list[Turn]:  # noqa: ANN401 - any JSON value
    """The turns of Alpaca's history, a list of [user, assistant] pairs; every answer is trained on."""
    turns = []
    for pair in _list(value, "history") if value else []:
        if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(text, str) for text in pair):
            raise RowError("wrong type: history is not a list of [user, assistant] pairs of text")
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1], is_trained=True)]
    return turns


def read_tools(record: dict[str, Any], layout: Layout) -> str:
    """The tools on offer as JSON text, from their column or the system's turn; empty where none are."""
    values = [record.get(layout.tools)] if layout.tools else []
    if layout.messages or not isinstance(record.get(layout.prompt), str):
        first = next(iter(messages_in(record, layout)), {})
        values += [first.get(key) for key in OFFERS if role_of(first, layout) == "system"]
    said: dict[str, Any] = {}
    for value in filter(None, values):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if tools := parsed(text, "tools"):
            said[text] = tools
    if len({json.dumps(tools, sort_keys=True) for tools in said.values()}) > 1:
        raise RowError(f"two lists of tools: the column {layout.tools!r} and the system's turn")
    return next(iter(said), "")


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
    lists = []
    for column in filter(None, (layout.messages, layout.prompt, layout.response)):
        value = record.get(column)
        if isinstance(value, list) or (isinstance(value, str) and layout.messages):
            lists.append(_list(value, column))
    return [message for messages in lists for message in messages if isinstance(message, dict)]


def role_of(message: dict[str, Any], layout: Layout) -> str | None:
    """Who speaks in a message; None where its word for that is unknown."""
    name = _said_role(message, layout)
    return layout.roles.get(name) if isinstance(name, str) else None


def _said_role(message: dict[str, Any], layout: Layout) -> Any:  # noqa: ANN401 - any JSON value
    return message.get(layout.role_tag) if layout.role_tag else message.get("role", message.get("from"))


def _list(value: Any, column: str) -> list[Any]:  # noqa: ANN401 - any JSON value
    # A CSV can hold a list only as its JSON text.
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parsed(value, column)
    if not isinstance(value, list):
        raise RowError(f"wrong type: {column!r} is not a list")
    return value
