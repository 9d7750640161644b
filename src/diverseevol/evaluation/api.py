"""A server with the OpenAI API: one request, and what came of it. The judge and `answer` both ask through it.

The key comes from the environment, goes into the Authorization header and nowhere else: it is struck out of
all that a server sends back, before anybody sees or stores it. What fails in passing (408, 409, 429, 5xx,
time-outs, cut connections) the `openai` client tries again by itself: after waits that double up to 8 s, or
as long as Retry-After says, up to two minutes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from ..errors import ConfigError

OPENAI_URL = "https://api.openai.com/v1"
SHORTEST_SECRET = 8
"""Shorter keys are words like EMPTY for local servers, and striking them out would spoil replies."""
N_SHOWN = 200
HOPELESS = {401, 402, 403, 404, 405}
NO_CREDIT = 402
MODERATED = re.compile(
    r"content[\W_]*(?:filter|policy|management|exists)|moderation|flagged|responsible\W?ai|inappropriate|"
    r"data_inspection",
    re.IGNORECASE,
)
"""How servers say that they refuse one prompt for what it says (400, 403 or 451), which is no wrong key."""
FILTERED = "content_filter"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: What was said, without the thinking before it; empty where nothing was, or where the server
            refused the prompt.
        finish: Why it ends: stop, length where it was cut, or `FILTERED` where the server took offence.
        answered_by: The model's name as the server reports it: the pinned version behind an alias.
        tokens_in: Tokens of the request, as billed.
        is_counted: Whether the server counted the tokens; else nothing is known of them.
        thinking: What a model that thinks first thought, where the server keeps it apart.
    """

    text: str
    finish: str | None
    answered_by: str | None
    tokens_in: int
    tokens_out: int
    is_counted: bool = True
    thinking: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no reply.

    Attributes:
        status: The HTTP status, where there is one.
        is_hopeless: No other request will fare better: a wrong key, address or model, an empty account.
        n_charged: Tries that the server may have worked on all the same.
    """

    text: str
    status: int | None = None
    is_hopeless: bool = False
    n_charged: int = 0


class ApiClient:
    """A connection to a server; use it as an async context manager, inside the event loop that asks.

    Args:
        base_url: The server's address; None: OpenAI's own.
        key: Sent to it; None: none.
        timeout: Seconds to wait for a reply.
        retries: Further tries after a failure that may pass.

    Raises:
        ConfigError: the address or the key cannot be used (neither is shown), or the client is not installed.
    """

    def __init__(self, base_url: str | None, key: str | None, timeout: float, retries: int) -> None:
        self.url = (base_url or OPENAI_URL).rstrip("/")
        try:
            parts = urlsplit(self.url)
            is_plain = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            parts, is_plain = urlsplit(""), False
        if not is_plain or parts.username or parts.password or parts.query:
            raise ConfigError(
                "--base-url is no http address, or holds a password or a query. Give one such as "
                "http://localhost:8000/v1, and put the key into the environment."
            )
        if not key and self.url == OPENAI_URL:
            raise ConfigError(
                "no key for api.openai.com. Export it, as OPENAI_API_KEY or under the name in --key-variable."
            )
        if key and not all("!" <= character <= "~" for character in key):
            raise ConfigError(
                "the key in the environment holds spaces, line breaks or characters beyond ASCII. Export it "
                "anew."
            )
        try:
            import openai
        except ModuleNotFoundError:
            raise ConfigError(
                "asking a server needs the package openai, which is not installed: pip install "
                "'diverseevol[judge]'"
            ) from None
        self._secret = key if key and len(key) >= SHORTEST_SECRET else ""
        self._timeout, self._n_tries, self._errors = timeout, retries + 1, openai
        # The client insists on a key, also for servers that want none.
        self._api = openai.AsyncOpenAI(
            base_url=self.url, api_key=key or "none", max_retries=retries, timeout=timeout
        )

    async def __aenter__(self) -> ApiClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._api.close()

    async def ask(
        self,
        route: Literal["/chat/completions", "/completions"],
        body: Mapping[str, Any],
        name: str | None = None,
    ) -> Reply | Failure:
        """Send one request and wait for its reply.

        Args:
            route: The part of the API, below the address.
            body: The request.
            name: Sent as Idempotency-Key: a gateway that knows it charges a request that is sent twice only
                once.
        """
        options = {"headers": {"Idempotency-Key": name}} if name else {}
        try:
            # Not by the client's typed method, which guesses at a response that is no completion (and takes
            # twice as long).
            return self._reply(await self._api.post(route, cast_to=str, body=body, options=options))
        except self._errors.APIStatusError as error:
            return self._refusal(error.response.text, error.status_code, error.code)
        except self._errors.APIConnectionError as error:
            cause = error.__cause__ or error
            # The library under the client is httpx or httpx2, by its version; their classes are told by their
            # names.
            never_arrived = type(cause).__name__ in {"ConnectError", "ConnectTimeout", "UnsupportedProtocol"}
            text = f"{type(cause).__name__}: {cause} ({self.url})"
            if isinstance(error, self._errors.APITimeoutError) and not never_arrived:
                text = f"no reply within {self._timeout:g} s"
            return Failure(self._shown(text), n_charged=0 if never_arrived else self._n_tries)

    def _refusal(self, said: str, status: int, code: str | None) -> Reply | Failure:
        text, is_empty = self._shown(f"Error code: {status} - {said}"), code == "insufficient_quota"
        if status in (400, 403, 451) and MODERATED.search(said):
            return Reply("", FILTERED, None, 0, 0)
        if status == NO_CREDIT or is_empty:
            text = f"no credit is left: {text}"
        return Failure(text, status, is_hopeless=is_empty or status in HOPELESS)

    def _reply(self, body: str) -> Reply | Failure:
        """Read a response's body; nothing in it is taken for granted."""
        try:
            value = json.loads(body)
            error = value.get("error") if isinstance(value, dict) else None
            if isinstance(error, dict) and not value.get("choices"):
                status = error.get("code")  # some gateways answer 200 and say inside what went wrong
                return self._refusal(body, status if isinstance(status, int) else 500, None)
            choice = value["choices"][0]
            said, thinking = (choice["text"], "") if "text" in choice else _said(choice["message"])
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return Failure(f"not a completion: {self._shown(body)!r}", n_charged=1)
        usage = value.get("usage") if isinstance(value.get("usage"), dict) else {}
        counts = usage.get("prompt_tokens"), usage.get("completion_tokens")
        n_in, n_out = (n if isinstance(n, int) and n >= 0 else None for n in counts)
        names = choice.get("finish_reason"), value.get("model")
        finish, answered_by = (self._shown(name) if isinstance(name, str) else None for name in names)
        return Reply(
            self._struck(said) if isinstance(said, str) else "",
            finish,
            answered_by,
            n_in or 0,
            n_out or 0,
            is_counted=n_in is not None and n_out is not None,
            thinking=self._struck(thinking),
        )

    def _struck(self, text: str) -> str:
        """A text without the key, and without half surrogate pairs, which cannot be stored or printed."""
        text = text.replace(self._secret, "[key]") if self._secret else text
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    def _shown(self, text: str) -> str:
        """The same for people, on a line: a server must not write on the terminal of whoever reads it."""
        printable = "".join(letter if letter.isprintable() else " " for letter in self._struck(text))
        return " ".join(printable.split())[:N_SHOWN]


def _said(message: Mapping[str, Any]) -> tuple[str, str]:
    """What a message says (a text, parts, or a refusal), and what was thought before."""
    content, said, thought = message.get("content"), list[str](), list[str]()
    for part in content if isinstance(content, list) else [content]:
        part = part if isinstance(part, dict) else {"text": part}
        is_thought = any(word in str(part.get("type")) for word in ("think", "reason"))
        for value in (part.get(key) for key in ("text", "thinking", "reasoning", "refusal")):
            text = "\n".join(_said({"content": value})).strip() if isinstance(value, list) else value
            if isinstance(text, str) and text.strip():
                (thought if is_thought else said).append(text)
    apart = (message.get(key) for key in ("reasoning_content", "reasoning"))
    thought += [text for text in apart if isinstance(text, str)][:1]
    if not said and isinstance(message.get("refusal"), str):
        said = [message["refusal"]]
    return "\n".join(said), "\n".join(thought)
