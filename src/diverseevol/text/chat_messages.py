"""From a sample to the messages and tools that chat templates take.

Source: the forms documented for `apply_chat_template` (https://huggingface.co/docs/transformers/chat_extras):
a call is {"type": "function", "id", "function": {"name", "arguments": object}}, a tool a JSON schema in the
same envelope. Records that write calls or tools in the short form, {"name", "arguments"}, are put into the
envelope; a missing call id gets a running one of nine characters, as Mistral's templates demand, and tools'
answers take the ids and names of their calls.

Control tokens in any string are broken by `CUT`, which stays in the rendered text and says where to tokenise
apart.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ..data.messages import THINKING
from ..data.sample import Sample, Turn
from ..data.tool_calls import answered_calls
from ..errors import PromptError

# Unicode noncharacters: for a program's internal use, never in interchanged text.
EDGE, CUT = "\ufdd3", "\ufdd2"
RESERVED = re.compile("[\ufdd0-\ufdd3]")
Message = dict[str, Any]
Names = list[tuple[str, str]]


def messages_of(sample: Sample, border: re.Pattern[str], control: re.Pattern[str]) -> list[Message]:
    """Turn a sample into messages, one a turn, with `border` (assistant) or `control` (others) tokens cut.

    Raises:
        PromptError: the calls are not JSON that describes calls, or a text holds a reserved noncharacter.
    """
    messages: list[Message] = []
    answered = answered_calls(sample.turns) if any(turn.role == "tool" for turn in sample.turns) else {}
    n_calls = 0
    for number, turn in enumerate(sample.turns):
        message: Message = {
            "role": turn.role,
            "content": _cut(_content(turn), border if turn.role == "assistant" else control),
        }
        if turn.thinking:
            message |= dict.fromkeys(THINKING, _cut(turn.thinking, border))
        if turn.tool_calls:
            calls = [
                _call(call, n_calls + index, border)
                for index, call in enumerate(_read(turn.tool_calls, "tool_calls"))
            ]
            message["tool_calls"], n_calls = calls, n_calls + len(calls)
        elif number in answered:
            call = messages[answered[number].turn]["tool_calls"][answered[number].place]
            message |= {
                "tool_call_id": call["id"],
                "name": _cut(turn.name, control) or call["function"]["name"],
            }
        elif turn.role == "tool":
            own = {"tool_call_id": turn.call_id, "name": turn.name}
            message |= {key: _cut(value, control) for key, value in own.items() if value}
        messages.append(message)
    return messages


def tools_of(text: str, control: re.Pattern[str]) -> list[Message] | None:
    """Read the tools on offer; None where there are none.

    Raises:
        PromptError: the text is not JSON that describes tools.
    """
    if not text:
        return None
    tools = [
        tool if "function" in tool else {"type": "function", "function": tool}
        for tool in _read(text, "tools")
    ]
    for tool in tools:
        if not isinstance(tool["function"], dict) or not isinstance(tool["function"].get("name"), str):
            raise PromptError(f"tools: a tool has no name: {json.dumps(tool, ensure_ascii=False)[:80]}")
    return [_cut(tool, control) for tool in tools]


def names_of(messages: list[Message], tools: list[Message] | None) -> Names:
    """List what a rendering must mention beside the contents: each tool and each call, by name."""
    names = [("tool", tool["function"]["name"]) for tool in tools or []]
    calls = [call for message in messages for call in message.get("tool_calls", [])]
    return names + [("call of", call["function"]["name"]) for call in calls]


def with_text_arguments(messages: list[Message]) -> list[Message]:
    """The same messages with every call's arguments as JSON text."""
    return [
        {**message, "tool_calls": [_with_text(call) for call in message["tool_calls"]]}
        if "tool_calls" in message
        else message
        for message in messages
    ]


def _with_text(call: Message) -> Message:
    function = call["function"]
    return {
        **call,
        "function": {**function, "arguments": json.dumps(function["arguments"], ensure_ascii=False)},
    }


def _content(turn: Turn) -> str:
    return "\n".join(part for part in (turn.text, turn.input) if part)


def _call(call: Message, number: int, border: re.Pattern[str]) -> Message:
    function = call.get("function", call)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise PromptError(f"tool_calls: a call has no name: {json.dumps(call, ensure_ascii=False)[:80]}")
    arguments = function.get("arguments", function.get("parameters", {}))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments) if arguments else {}
        except ValueError:
            raise PromptError(
                f"tool_calls: the arguments of {function['name']!r} are not JSON: {arguments[:80]!r}"
            ) from None
    inner = {"name": function["name"], "arguments": arguments}
    return {
        "type": "function",
        "id": str(call.get("id") or f"call{number:05d}"),
        "function": _cut(inner, border),
    }


def _read(text: str, what: str) -> list[Message]:
    try:
        value = json.loads(text)
    except ValueError:
        raise PromptError(f"{what}: not JSON: {text[:80]!r}") from None
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, dict) for item in values):
        raise PromptError(f"{what}: expected a JSON list of objects, found {text[:80]!r}")
    return values


def _cut(value: Any, pattern: re.Pattern[str]) -> Any:  # noqa: ANN401 - any JSON value
    """Break every token that `pattern` matches behind its first character, in all strings of a JSON value."""
    if isinstance(value, str):
        if RESERVED.search(value):
            raise PromptError(
                "the text holds one of the noncharacters U+FDD0 to U+FDD3, which are reserved. Remove it"
            )
        return pattern.sub(lambda token: f"{token[0][0]}{CUT}{token[0][1:]}", value)
    if isinstance(value, dict):
        return {_cut(key, pattern): _cut(item, pattern) for key, item in value.items()}
    return [_cut(item, pattern) for item in value] if isinstance(value, list) else value
