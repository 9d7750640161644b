"""Text of data sets and models on its way into the page: it may be hostile, and must show as text and do nothing else.

Escaping for HTML is jinja2's work (autoescape); this is what comes before it: marks that turn the reading direction of everything
after them, characters that no file may hold, endless words; and JSON that may stand inside a <script> element.
"""

from __future__ import annotations

import json
import re
from typing import Any

INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Control characters (not tab and line end), marks of the reading direction, invisible characters, halves of surrogate pairs."""
SHOWN_AS = "\ufffd"
IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def plain(text: str, n_bytes: int = 1_000) -> str:
    """Text as the page shows it: what cannot be seen becomes visible, and what is too long is cut, which is said.

    Args:
        text: Anything.
        n_bytes: The longest that is kept, in UTF-8.
    """
    head = text[: n_bytes + 1]
    shown = INVISIBLE.sub(SHOWN_AS, head).strip("\n").rstrip()
    encoded = shown.encode()
    if len(text) <= len(head) and len(encoded) <= n_bytes:
        return shown
    kept = encoded[:n_bytes].decode(errors="ignore").rstrip()
    return f"{kept}… ({len(text):,} characters)"


def script_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """JSON that can stand inside a <script> element: no text in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda found: IN_SCRIPT[found[0]], text)
