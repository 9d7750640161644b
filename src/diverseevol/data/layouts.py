"""Which column of a record plays which part: found from its keys, or said by the user in LLaMA-Factory's words.

Sources: the data README of LLaMA-Factory (columns, tags), the dataset formats of TRL and axolotl, Dolly's and Alpaca's files.
Two columns the first of which asks and the second answers are known under the names in `PAIRS`, tried in that order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ..base.text import nearest
from ..config import SourceConfig
from ..errors import ConfigError

FORMATS = ("alpaca", "dolly", "sharegpt", "messages", "prompt_completion")
COLUMNS = ("prompt", "query", "response", "system", "history", "messages", "tools")
TAGS = (
    "role_tag",
    "content_tag",
    "user_tag",
    "assistant_tag",
    "observation_tag",
    "function_tag",
    "system_tag",
)
PAIRS = (
    ("instruction", "output"),
    ("instruction", "response"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("prompt", "output"),
    ("query", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "answer"),
    ("problem", "solution"),
    ("problem", "answer"),
    ("instruction", "answer"),
    ("instruction", "completion"),
    ("input", "output"),
    ("inputs", "targets"),
)
OLDER_OFFER = "functions"
"""OpenAI's older name of the tools on offer."""
SYSTEMS, OFFERS = ("system", "system_prompt"), ("tools", OLDER_OFFER)
"""Columns of the system prompt and of the tools on offer."""
FUNCTION = "function_call"
"""The role of a ShareGPT turn whose text is the call of a tool, as JSON."""
ROLES: dict[str, str] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "tool": "tool",
    "function": "tool",
    "ipython": "tool",
    "observation": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    FUNCTION: FUNCTION,
    "tool_call": FUNCTION,
}
TAGGED = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": FUNCTION,
    "system_tag": "system",
}


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of record, empty where it has no such part, and how its dialogues name things."""

    format: str
    prompt: str = ""
    query: str = ""
    response: str = ""
    system: str = ""
    history: str = ""
    messages: str = ""
    tools: str = ""
    role_tag: str = ""
    content_tag: str = ""
    roles: dict[str, str] = field(default_factory=lambda: ROLES)

    def needed(self) -> tuple[str, ...]:
        """The columns without which there is no sample."""
        return (self.messages,) if self.messages else (self.prompt, self.response)


STANDARD = {
    "alpaca": Layout(
        "alpaca",
        prompt="instruction",
        query="input",
        response="output",
        system="system",
        history="history",
        tools="tools",
    ),
    "dolly": Layout("dolly", prompt="instruction", query="context", response="response"),
    "sharegpt": Layout("sharegpt", messages="conversations", system="system", tools="tools"),
    "messages": Layout("messages", messages="messages", tools="tools"),
    "prompt_completion": Layout("prompt_completion", prompt="prompt", response="completion", tools="tools"),
}


@lru_cache(maxsize=4096)
def recognise(keys: tuple[str, ...], tags: tuple[tuple[str, str], ...] = ()) -> Layout | None:
    """The layout of records with these keys, whose dialogues name things as the tags say."""
    names = set(keys)
    system, tools = (next((name for name in known if name in names), "") for known in (SYSTEMS, OFFERS))
    for column, format_name in (
        ("messages", "messages"),
        ("conversations", "sharegpt"),
        ("conversation", "sharegpt"),
    ):
        if column in names:
            is_standard = STANDARD[format_name].messages == column
            name = format_name if is_standard else f"{format_name} ({column})"
            return _tagged(Layout(name, messages=column, system=system, tools=tools), dict(tags))
    for prompt, response in PAIRS:
        if prompt in names and response in names:
            query = next((name for name in ("input", "context") if name in names - {prompt}), "")
            history = _if_there("history", names)
            return _tagged(
                _named(Layout("", prompt, query, response, system, history, tools=tools)), dict(tags)
            )
    return None


def fixed_layout(source: SourceConfig) -> Layout | None:
    """The layout that a source's format, columns and tags ask for; None where each record's keys decide.

    Raises:
        ConfigError: an unknown word, two parts in one column, or words that do not go together.
    """
    _check_words(source)
    format_name = source.format
    if format_name == "auto" and source.columns:
        format_name = "sharegpt" if "messages" in source.columns else "alpaca"
    if format_name == "auto":
        return None
    return _tagged(_with_columns(STANDARD[format_name], source.columns), source.tags)


def _named(layout: Layout) -> Layout:
    """The layout under the name of the format that has its columns, else under those of its prompt and response."""
    fits = (
        name
        for name in ("alpaca", "dolly", "prompt_completion")
        if all(getattr(layout, part) in ("", getattr(STANDARD[name], part)) for part in COLUMNS)
    )
    return replace(layout, format=next(fits, f"{layout.prompt}/{layout.response}"))


def _if_there(name: str, names: set[str]) -> str:
    return name if name in names else ""


def _with_columns(standard: Layout, columns: dict[str, str]) -> Layout:
    """The standard layout, or with columns: only the parts they name, and what cannot be done without."""
    if not columns:
        return standard
    is_dialogue = bool(standard.messages)
    wrong = sorted(
        set(columns) & ({"prompt", "query", "response", "history"} if is_dialogue else {"messages"})
    )
    if wrong:
        raise ConfigError(
            f"pool.columns names {', '.join(wrong)}, which format {standard.format!r} does not have. "
            f"It has {'messages, system, tools' if is_dialogue else 'prompt, query, response, system, history, tools'}."
        )
    needed = (
        {"messages": standard.messages}
        if is_dialogue
        else {"prompt": standard.prompt, "response": standard.response}
    )
    parts: dict[str, Any] = {**needed, **columns}
    seen: dict[str, str] = {}
    for part, column in parts.items():
        if column in seen:
            raise ConfigError(
                f"pool.columns maps both {seen[column]} and {part} to the column {column!r}. Give each a column of its own."
            )
        seen[column] = part
    is_standard = all(getattr(standard, part) == column for part, column in parts.items())
    return replace(Layout(standard.format if is_standard else f"{standard.format} (columns)"), **parts)


def _tagged(layout: Layout, tags: dict[str, str]) -> Layout:
    if not tags:
        return layout
    if not layout.messages:
        raise ConfigError(
            f"pool.tags describes dialogues, but the rows are read as {layout.format!r}. "
            "Set pool.columns.messages, or drop pool.tags."
        )
    roles = {**ROLES, **{tags[tag]: role for tag, role in TAGGED.items() if tag in tags}}
    return replace(
        layout,
        format=f"{layout.format} (tags)",
        role_tag=tags.get("role_tag", ""),
        content_tag=tags.get("content_tag", ""),
        roles=roles,
    )


def _check_words(source: SourceConfig) -> None:
    _check_known(source.format, ("auto", *FORMATS), "pool.format is")
    for word in source.columns:
        _check_known(word, COLUMNS, "pool.columns maps")
    for word in source.tags:
        _check_known(word, TAGS, "pool.tags sets")
    names = [source.tags[tag] for tag in TAGGED if tag in source.tags]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"pool.tags gives two roles the name {twice[0]!r}. Give each a name of its own.")


def _check_known(word: str, known: Iterable[str], what: str) -> None:
    names = list(known)
    if word not in names:
        raise ConfigError(
            f"{what} {word!r}, which is unknown. {nearest(word, names)}Known: {', '.join(names)}."
        )
