"""What of a record is in no prompt: columns and keys that are not read, tools that are declared nowhere."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from .ids import OWN_ID
from .layouts import COLUMNS, FUNCTION, OFFERS, Layout
from .messages import TEXTS, THINKING, messages_in, role_of
from .sample import Sample
from .switches import switch_kind, switch_value
from .tool_calls import CALL_IDS, TOOL_NAMES, calls_of

ABOUT_PROMPTS = re.compile(
    "(?<![a-z])(tool|function|api|system|prompt|instruction|question|input|context|passage|document|article|"
    "paragraph|background|reference|table|schema|choice|option|definition|task|image|video|audio|persona|"
    "history|knowledge|template|kwarg|thinking|reasoning|thought|cot|chosen|rejected|label|name)s?(?![a-z])"
)
"""Words in names of columns that other tools put into the prompt, or that say what the answer is worth."""
N_NAMED = 12
KNOWN: dict[str | None, tuple[str, ...]] = {
    "assistant": ("tool_calls", "function_call", *THINKING),
    FUNCTION: THINKING,
    "tool": ("id", *CALL_IDS, *TOOL_NAMES),
    "system": OFFERS,
}
"""Keys of messages that are read, by their role."""


def unread_keys(record: dict[str, Any], layout: Layout) -> list[str]:
    """The filled columns of a record that are in no prompt, and its messages' keys, as `messages[].name`."""
    columns = {getattr(layout, part) for part in COLUMNS} | {OWN_ID}
    found = []
    for key, value in record.items():
        is_followed = switch_kind(key) in ("followed", "reversed") and switch_value(value) is not None
        if key not in columns and _is_filled(value) and not is_followed:
            found.append(key)
    for message in messages_in(record, layout):
        role = role_of(message, layout)
        known = {"role", "from", *TEXTS, layout.role_tag, layout.content_tag, *KNOWN.get(role, ())}
        for key in [key for key, value in message.items() if key not in known and _is_filled(value)]:
            # No switch makes a question one that is trained on.
            kind = switch_kind(key)
            is_unread = not kind or switch_value(message[key]) is not (kind == "reversed")
            if is_unread and not (kind and role in ("assistant", FUNCTION)):
                found.append(f"{layout.messages or layout.prompt}[].{key}")
    return list(dict.fromkeys(found))


def _is_filled(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return value is not None and value not in ("", [], {})


def undeclared_tools(sample: Sample) -> set[str]:
    """The names of tools that a sample calls, and that neither its tools nor its system prompt names."""
    called = {call.name for turn in sample.turns if turn.tool_calls for call in calls_of(turn)}
    known = sample.tools + "".join(turn.text for turn in sample.turns if called and turn.role == "system")
    return {name for name in called if name and name not in known}


def notes(unread: Counter[str], undeclared: Counter[str]) -> list[str]:
    """What was passed over in a pool, in a line each, with the numbers of rows."""
    ordered = sorted(unread, key=lambda key: (not _is_about_prompts(key), -unread[key]))
    n_first = max(N_NAMED, sum(map(_is_about_prompts, ordered)))
    called = [name for name, _ in undeclared.most_common()]
    lines = [f"in no prompt: {_counted(unread, ordered, n_first)}"] if ordered else []
    if called:
        lines.append(f"tools called that no row with them declares: {_counted(undeclared, called, N_NAMED)}")
    return lines


def _counted(counts: Counter[str], names: list[str], n_named: int) -> str:
    safe = [
        "".join(letter if letter.isprintable() else "\ufffd" for letter in name[:60])
        for name in names[:n_named]
    ]
    numbers = [f"{counts[name]:,} row{'s' * (counts[name] > 1)}" for name in names[:n_named]]
    shown = [f"{name} ({number})" for name, number in zip(safe, numbers, strict=True)]
    return ", ".join(shown) + (f" and {len(names) - n_named:,} more" if len(names) > n_named else "")


def _is_about_prompts(key: str) -> bool:
    return bool(ABOUT_PROMPTS.search(key.lower()))
