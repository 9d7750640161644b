"""The turns of a dialogue: ShareGPT's {from, value}, the {role, content} of everybody else, Alpaca's history, and tools.

Content is text or a list of text blocks, {type: text, text} or {type: text, value}, which are joined as they are. A
ShareGPT function_call is an assistant's turn that calls tools, an observation a tool's answer. Thinking under a key of its own is kept
for the chat template. What would be lost on the way (an image, half a loss weight) makes the row a bad one.
"""

from __future__ import annotations

import json
from typing import Any

from .checks import RowError
from .layouts import FUNCTION, Layout
from .sample import Turn

SWITCHES = ("loss_weight", "weight", "train", "loss")
# As transformers' apply_chat_template has them: a template finds the first of these under the name that it knows.
THINKING = ("reasoning_content", "reasoning", "thinking")


def read_messages(value: Any, layout: Layout) -> list[Turn]:  # noqa: ANN401 - any JSON value
    """The turns of a list of messages.

    Raises:
        RowError: it is no such list, or a message has no known role or no usable content.
    """
    messages = _list(value, layout.messages or layout.prompt)
    if not messages:
        raise RowError("no turns")
    return [_turn(message, number, layout) for number, message in enumerate(messages)]


def _turn(message: Any, number: int, layout: Layout) -> Turn:  # noqa: ANN401 - any JSON value
    if not isinstance(message, dict):
        raise RowError(f"turn {number} is not an object")
    name = message.get(layout.role_tag) if layout.role_tag else message.get("role", message.get("from"))
    role = layout.roles.get(name) if isinstance(name, str) else None
    if role is None:
        raise RowError(f"turn {number} has the role {name!r}, which is unknown")
    calls = _calls(message, number)
    text = _content(message, number, layout, may_be_missing=bool(calls))
    if role == FUNCTION:
        return Turn(
            "assistant", "", is_trained=_is_trained(message, number), tool_calls=_json_text(text, f"the call in turn {number}")
        )
    if role != "assistant":
        return Turn(role, text)  # type: ignore[arg-type]
    kept = {key: message[key] for key in THINKING if message.get(key)}
    if len(kept) > 1 or not all(isinstance(thinking, str) for thinking in kept.values()):
        raise RowError(f"wrong type: turn {number} must keep its thinking as one text; found {', '.join(kept)}")
    return Turn("assistant", text, is_trained=_is_trained(message, number), tool_calls=calls, thinking="".join(kept.values()))


def _content(message: dict[str, Any], number: int, layout: Layout, may_be_missing: bool) -> str:
    if layout.content_tag:
        content = message.get(layout.content_tag)
    else:
        content = next((message[key] for key in ("content", "value", "text") if message.get(key) is not None), None)
    if isinstance(content, str):
        return content
    if content is None and may_be_missing:
        return ""
    if not isinstance(content, list):
        raise RowError(
            f"wrong type: turn {number} has no text"
            if content is None
            else f"wrong type: the content of turn {number} is not text"
        )
    return "".join(_block(block, number) for block in content)


def _block(block: Any, number: int) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(block, str):
        return block
    kind = block.get("type") if isinstance(block, dict) else None
    if kind != "text":
        raise RowError(f"turn {number} holds a block of type {kind!r}; only text can be used")
    text = block["text"] if block.get("text") is not None else block.get("value")
    if not isinstance(text, str):
        raise RowError(f"wrong type: a text block of turn {number} has no text")
    return text


def _calls(message: dict[str, Any], number: int) -> str:
    calls = message.get("tool_calls") or None
    if calls is None and isinstance(message.get("function_call"), dict):
        calls = [message["function_call"]]
    if calls is None:
        return ""
    if isinstance(calls, str):
        return _json_text(calls, f"tool_calls of turn {number}")
    if not isinstance(calls, (list, dict)):
        raise RowError(f"wrong type: tool_calls of turn {number} is no list")
    return json.dumps(calls, ensure_ascii=False)


def _is_trained(message: dict[str, Any], number: int) -> bool:
    for key in SWITCHES:
        value = message.get(key)
        if value is None:
            continue
        if value not in (0, 1):
            raise RowError(f"turn {number} has {key} {value!r}; only 0 and 1 can be followed")
        return bool(value)
    return True


def read_history(value: Any) -> list[Turn]:  # noqa: ANN401 - any JSON value
    """The turns of Alpaca's history, a list of [user, assistant] pairs; every answer is trained on.

    Raises:
        RowError: it is no such list.
    """
    turns = []
    for pair in _list(value, "history") if value else []:
        if not (isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise RowError("wrong type: history is not a list of [user, assistant] pairs of text")
        turns += [Turn("user", pair[0]), Turn("assistant", pair[1], is_trained=True)]
    return turns


def read_tools(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """The tools on offer as JSON text; empty where there are none.

    Raises:
        RowError: they are not JSON.
    """
    if not value:
        return ""
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value if _json_text(value, "tools") not in ("[]", "{}", "null") else ""


def _list(value: Any, column: str) -> list[Any]:  # noqa: ANN401 - any JSON value
    # A CSV can hold a list only as its JSON text.
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(_json_text(value, column))
    if not isinstance(value, list):
        raise RowError(f"wrong type: {column!r} is not a list")
    return value


def _json_text(text: str, what: str) -> str:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        raise RowError(f"{what} is not JSON") from None
    return text.strip()
