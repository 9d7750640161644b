"""Which column of a record plays which part: found from its keys, or said in LLaMA-Factory's words.

Sources: the data README of LLaMA-Factory (columns, tags), the dataset formats of TRL and axolotl, Dolly's and
Alpaca's files. Two columns the first of which asks and the second answers are known under the names in
`PAIRS`, tried in that order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

from ..base.text import nearest
from ..config import SourceConfig
from ..errors import ConfigError

FORMATS = ("alpaca", "dolly", "sharegpt", "messages", "prompt_completion")
COLUMNS = ("prompt", "query", "response", "system", "history", "messages", "tools")
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
_NAMES = {
    "system": ("system", "developer"),
    "user": ("user", "human"),
    "assistant": ("assistant", "gpt", "chatgpt", "bing", "bard", "model", "bot"),
    "tool": ("tool", "function", "ipython", "observation", "tool_response", "function_response"),
    FUNCTION: (FUNCTION, "tool_call"),
}
ROLES = {name: role for role, names in _NAMES.items() for name in names}
TAGGED = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": FUNCTION,
    "system_tag": "system",
}
TAGS = ("role_tag", "content_tag", *TAGGED)


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
    "alpaca": Layout("alpaca", "instruction", "input", "output", "system", "history", tools="tools"),
    "dolly": Layout("dolly", "instruction", "context", "response"),
    "sharegpt": Layout("sharegpt", messages="conversations", system="system", tools="tools"),
    "messages": Layout("messages", messages="messages", tools="tools"),
    "prompt_completion": Layout("prompt_completion", "prompt", response="completion", tools="tools"),
}


@lru_cache(maxsize=4096)
def recognise(keys: tuple[str, ...], tags: tuple[tuple[str, str], ...] = ()) -> Layout | None:
    """The layout of records with these keys, whose dialogues name things as the tags say."""
    names = set(keys)

    def first(known: tuple[str, ...], without: str = "") -> str:
        return next((name for name in known if name in names and name != without), "")

    system, tools = first(SYSTEMS), first(OFFERS)
    for column, name in (
        ("messages", "messages"),
        ("conversations", "sharegpt"),
        ("conversation", "sharegpt (conversation)"),
    ):
        if column in names:
            return _tagged(Layout(name, messages=column, system=system, tools=tools), dict(tags))
    for prompt, response in PAIRS:
        if prompt in names and response in names:
            query, history = first(("input", "context"), without=prompt), first(("history",))
            layout = Layout("", prompt, query, response, system, history, tools=tools)
            return _tagged(replace(layout, format=_name(layout)), dict(tags))
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


def _name(layout: Layout) -> str:
    """The name of the format that has a layout's columns, else those of its prompt and response."""
    for name in ("alpaca", "dolly", "prompt_completion"):
        if all(getattr(layout, part) in ("", getattr(STANDARD[name], part)) for part in COLUMNS):
            return name
    return f"{layout.prompt}/{layout.response}"


def _with_columns(standard: Layout, columns: dict[str, str]) -> Layout:
    """The standard layout, or with columns: only the parts they name, and what cannot be done without."""
    if not columns:
        return standard
    of_dialogues = ("messages", "system", "tools")
    parts_known = of_dialogues if standard.messages else tuple(part for part in COLUMNS if part != "messages")
    if wrong := sorted(set(columns) - set(parts_known)):
        raise ConfigError(
            f"pool.columns names {', '.join(wrong)}, which format {standard.format!r} does not have. "
            f"It has {', '.join(parts_known)}."
        )
    needed = ("messages",) if standard.messages else ("prompt", "response")
    parts = {part: getattr(standard, part) for part in needed} | columns
    seen: dict[str, str] = {}
    for part, column in parts.items():
        if (other := seen.setdefault(column, part)) != part:
            raise ConfigError(
                f"pool.columns maps both {other} and {part} to the column {column!r}. "
                "Give each a column of its own."
            )
    is_standard = all(getattr(standard, part) == column for part, column in parts.items())
    return Layout(standard.format if is_standard else f"{standard.format} (columns)", **parts)


def _tagged(layout: Layout, tags: dict[str, str]) -> Layout:
    if not tags:
        return layout
    if not layout.messages:
        raise ConfigError(
            f"pool.tags describes dialogues, but the rows are read as {layout.format!r}. "
            "Set pool.columns.messages, or drop pool.tags."
        )
    return replace(
        layout,
        format=f"{layout.format} (tags)",
        role_tag=tags.get("role_tag", ""),
        content_tag=tags.get("content_tag", ""),
        roles={**ROLES, **{tags[tag]: role for tag, role in TAGGED.items() if tag in tags}},
    )


def _check_words(source: SourceConfig) -> None:
    for words, known, what in (
        ([source.format], ("auto", *FORMATS), "pool.format is"),
        (source.columns, COLUMNS, "pool.columns maps"),
        (source.tags, TAGS, "pool.tags sets"),
    ):
        for word in words:
            if word not in known:
                near = nearest(word, known)
                raise ConfigError(f"{what} {word!r}, which is unknown. {near}Known: {', '.join(known)}.")
    names = [source.tags[tag] for tag in TAGGED if tag in source.tags]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"pool.tags gives two roles the name {twice[0]!r}. Give each a name of its own.")
