"""The judge, and the key under which its reply to a judgement is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import ConfigError
from .pairs import Judgement
from .template import Template

DEFAULT_SAMPLING: Mapping[str, Any] = {"temperature": 0, "max_tokens": 1024}
"""Temperature 0 as in the paper; the length is ours."""
LENGTH_KEYS = ("max_completion_tokens", "max_tokens")
OWN_KEYS = {"model", "messages", "stream", "n"}


@dataclass(frozen=True)
class Judge:
    """Who judges, by which instruction, and how it samples; together with the texts this decides what a reply costs and says.

    Attributes:
        sampling: Keys of the chat API beside model and messages, sent as they are.
    """

    model: str
    template: Template
    sampling: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULT_SAMPLING))

    def __post_init__(self) -> None:
        for key in sorted(OWN_KEYS & set(self.sampling)):
            raise ConfigError(
                f"the judge's setting {key} is not free: one reply a request, not streamed. Leave it out."
            )

    @property
    def longest_reply(self) -> int | None:
        """Tokens of a reply at most, where a setting says so."""
        return next(
            (int(self.sampling[key]) for key in LENGTH_KEYS if isinstance(self.sampling.get(key), int)), None
        )

    def key(self, judgement: Judgement) -> str:
        """The same for every request that would be the same to the judge, whatever it is called and whoever asks.

        The order is in it by the places of the answers, so round 3 against round 5 and round 5 against round 3 share their replies.
        """
        asked = [self.model, self.template.text, dict(self.sampling), judgement.question, *judgement.shown]
        return hashlib.sha256(
            json.dumps(asked, sort_keys=True, ensure_ascii=False).encode("utf-8")
        ).hexdigest()

    def by_key(self, judgements: Iterable[Judgement]) -> dict[str, Judgement]:
        """One judgement a key: those that show the judge the same are asked once."""
        found: dict[str, Judgement] = {}
        for judgement in judgements:
            found.setdefault(self.key(judgement), judgement)
        return found
