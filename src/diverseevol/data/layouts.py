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
OFFERS = ("tools", OLDER_OFFER)
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
OF_DIALOGUES = {
    "messages": "messages",
    "conversations": "sharegpt",
    "conversation": "sharegpt (conversation)",
}


@lru_cache(maxsize=4096)
def recognise(keys: tuple[str, ...], tags: tuple[tuple[str, str], ...] = ()) -> Layout | None:
    """The layout of records with these keys, whose dialogues name things as the tags say."""

    def first(*known: str) -> str:
        return next((name for name in known if name in keys), "")

    system, tools = first("system", "system_prompt"), first(*OFFERS)
    if messages := first(*OF_DIALOGUES):
        layout = Layout(OF_DIALOGUES[messages], messages=messages, system=system, tools=tools)
        return _tagged(layout, dict(tags))
    for prompt, response in PAIRS:
        if prompt in keys and response in keys:
            query = first(*(name for name in ("input", "context") if name != prompt))
            layout = Layout("", prompt, query, response, system, first("history"), tools=tools)
            for name in ("alpaca", "dolly", "prompt_completion"):
                if all(getattr(layout, part) in ("", getattr(STANDARD[name], part)) for part in COLUMNS):
                    break
            else:
                name = f"{prompt}/{response}"
            return _tagged(replace(layout, format=name), dict(tags))
    return None


def fixed_layout(source: SourceConfig) -> Layout | None:
    """The layout that a source's format, columns and tags ask for; None where each record's keys decide."""
    for words, known, what in (
        ([source.format], ("auto", *STANDARD), "pool.format is"),
        (source.columns, COLUMNS, "pool.columns maps"),
        (source.tags, ("role_tag", "content_tag", *TAGGED), "pool.tags sets"),
    ):
        for word in words:
            if word not in known:
                near = nearest(word, known)
                raise ConfigError(f"{what} {word!r}, which is unknown. {near}Known: {', '.join(known)}.")
    names = [source.tags[tag] for tag in TAGGED if tag in source.tags]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"pool.tags gives two roles the name {twice[0]!r}. Give each a name of its own.")
    columns, name = source.columns, source.format
    if name == "auto" and not columns:
        return None
    if name == "auto":
        name = "sharegpt" if "messages" in columns else "alpaca"
    standard = STANDARD[name]
    if not columns:
        return _tagged(standard, source.tags)
    has = (
        ["messages", "system", "tools"]
        if standard.messages
        else [one for one in COLUMNS if one != "messages"]
    )
    if wrong := sorted(set(columns) - set(has)):
        lacks = f"pool.columns names {', '.join(wrong)}, which format {name!r} does not have"
        raise ConfigError(f"{lacks}. It has {', '.join(has)}.")
    # Only the parts that the mapping names, and what cannot be done without.
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
    return _tagged(Layout(name if is_standard else f"{name} (columns)", **parts), source.tags)


def _tagged(layout: Layout, tags: dict[str, str]) -> Layout:
    if not tags:
        return layout
    if not layout.messages:
        raise ConfigError(
            f"pool.tags describes dialogues, but the rows are read as {layout.format!r}. "
            "Set pool.columns.messages, or drop pool.tags."
        )
    roles = ROLES | {tags[tag]: role for tag, role in TAGGED.items() if tag in tags}
    role_tag, content_tag = tags.get("role_tag", ""), tags.get("content_tag", "")
    name = f"{layout.format} (tags)"
    return replace(layout, format=name, role_tag=role_tag, content_tag=content_tag, roles=roles)
