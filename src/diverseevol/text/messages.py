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
from ..data.sample import Sample
from ..data.tool_calls import answered_calls
from ..errors import PromptError

# Unicode noncharacters: for a program's internal use, never in interchanged text.
FIRST, LAST, CUT, EDGE = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
RESERVED = re.compile("[\ufdd0-\ufdd3]")
Message = dict[str, Any]


def messages_of(sample: Sample, border: re.Pattern[str], control: re.Pattern[str]) -> list[Message]:
    """Turn a sample into messages, one a turn, with `border` (assistant) or `control` (others) tokens cut.

    Raises:
        PromptError: the calls are not JSON that describes calls, or a text holds a reserved noncharacter.
    """
    messages: list[Message] = []
    answered = answered_calls(sample.turns) if any(turn.role == "tool" for turn in sample.turns) else {}
    n_calls = 0
    for number, turn in enumerate(sample.turns):
        content = "\n".join(filter(None, (turn.text, turn.input)))
        own = border if turn.role == "assistant" else control
        message: Message = {"role": turn.role, "content": _cut(content, own)}
        if turn.thinking:
            message |= dict.fromkeys(THINKING, _cut(turn.thinking, border))
        if turn.tool_calls:
            read = _read(turn.tool_calls, "tool_calls")
            message["tool_calls"] = [_call(call, n_calls + n, border) for n, call in enumerate(read)]
            n_calls += len(read)
        elif number in answered:
            call = messages[answered[number].turn]["tool_calls"][answered[number].place]
            message["tool_call_id"] = call["id"]
            message["name"] = _cut(turn.name, control) or call["function"]["name"]
        elif turn.role == "tool":
            known = {"tool_call_id": turn.call_id, "name": turn.name}
            message |= {key: _cut(value, control) for key, value in known.items() if value}
        messages.append(message)
    return messages


def tools_of(text: str, control: re.Pattern[str]) -> list[Message] | None:
    """Read the tools on offer; None where there are none.

    Raises:
        PromptError: the text is not JSON that describes tools.
    """
    tools = [
        tool if "function" in tool else {"type": "function", "function": tool}
        for tool in (_read(text, "tools") if text else [])
    ]
    for tool in tools:
        if not isinstance(tool["function"], dict) or not isinstance(tool["function"].get("name"), str):
            raise PromptError(f"tools: a tool has no name: {json.dumps(tool, ensure_ascii=False)[:80]}")
    return [_cut(tool, control) for tool in tools] if text else None


def with_text_arguments(message: Message) -> Message:
    """The same message with every call's arguments as JSON text."""
    if "tool_calls" not in message:
        return message
    calls = []
    for call in message["tool_calls"]:
        arguments = json.dumps(call["function"]["arguments"], ensure_ascii=False)
        calls.append({**call, "function": {**call["function"], "arguments": arguments}})
    return {**message, "tool_calls": calls}


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
    inner = _cut({"name": function["name"], "arguments": arguments}, border)
    return {"type": "function", "id": str(call.get("id") or f"call{number:05d}"), "function": inner}


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
