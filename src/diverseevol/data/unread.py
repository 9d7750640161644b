"""What of a record is in no prompt: columns and keys that are not read, tools that are declared nowhere."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from ..base.text import printable
from .ids import OWN_ID
from .layouts import COLUMNS, FUNCTION, OFFERS, Layout
from .messages import TEXTS, THINKING, messages_in, role_of
from .sample import Sample
from .tool_calls import CALL_IDS, TOOL_NAMES, calls_of
from .train_flags import switch_kind, switch_value

ABOUT_PROMPTS = re.compile(
    "(?<![a-z])(tool|function|api|system|prompt|instruction|question|input|context|passage|document|article|"
    "paragraph|background|reference|table|schema|choice|option|definition|task|image|video|audio|persona|"
    "history|knowledge|template|kwarg|thinking|reasoning|thought|cot|chosen|rejected|label|name)s?(?![a-z])"
)
"""Words in names of columns that other tools put into the prompt, or that say what the answer is worth."""
N_NAMED = 12
READ_KEYS: dict[str | None, tuple[str, ...]] = {
    "assistant": ("tool_calls", "function_call", *THINKING),
    FUNCTION: THINKING,
    "tool": ("id", *CALL_IDS, *TOOL_NAMES),
    "system": OFFERS,
}


def unread_keys(record: dict[str, Any], layout: Layout) -> list[str]:
    """The filled columns of a record that are in no prompt, and its messages' keys, as `messages[].name`."""
    columns = {getattr(layout, part) for part in COLUMNS} | {OWN_ID}
    found = []
    for key, value in record.items():
        is_followed = switch_kind(key) in ("followed", "reversed") and switch_value(value) is not None
        if key not in columns and value is not None and value not in ("", [], {}) and not is_followed:
            found.append(key)
    for message in messages_in(record, layout):
        role = role_of(message, layout)
        known = {"role", "from", *TEXTS, layout.role_tag, layout.content_tag, *READ_KEYS.get(role, ())}
        for key, value in message.items():
            if key in known or value is None or value in ("", [], {}):
                continue
            # An answer's switches are followed; no switch makes a question one that is trained on.
            kind = switch_kind(key)
            if not kind or (
                role not in ("assistant", FUNCTION) and switch_value(value) is not (kind == "reversed")
            ):
                found.append(f"{layout.messages or layout.prompt}[].{key}")
    return list(dict.fromkeys(found))


def undeclared_tools(sample: Sample) -> set[str]:
    """The names of tools that a sample calls, and that neither its tools nor its system prompt names."""
    called = {call.name for turn in sample.turns if turn.tool_calls for call in calls_of(turn)}
    known = sample.tools + "".join(turn.text for turn in sample.turns if called and turn.role == "system")
    return {name for name in called if name and name not in known}


def notes(unread: Counter[str], undeclared: Counter[str]) -> list[str]:
    """What was passed over in a pool, in a line each, with the numbers of rows."""
    first = [key for key in unread if ABOUT_PROMPTS.search(key.lower())]
    ordered = sorted(unread, key=lambda key: (key not in first, -unread[key]))
    lines = []
    for what, counts, names, n_named in (
        ("in no prompt", unread, ordered, max(N_NAMED, len(first))),
        (
            "tools called that no row with them declares",
            undeclared,
            list(dict(undeclared.most_common())),
            N_NAMED,
        ),
    ):
        shown = [f"{printable(name[:60])} ({counts[name]:,} row{'s' * (counts[name] > 1)})" for name in names]
        more = f" and {len(names) - n_named:,} more" if len(names) > n_named else ""
        if names:
            lines.append(f"{what}: {', '.join(shown[:n_named])}{more}")
    return lines
