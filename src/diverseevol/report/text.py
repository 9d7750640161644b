"""Text of data sets and models on its way into the page: it may be hostile, and must show and do nothing.

The page has two ways in, and each makes every text harmless: the template (jinja2's autoescape, `visible`
before it) and the JSON inside a <script> element (`script_json`). In between, texts may be anything.
"""

from __future__ import annotations

import json
import re
from typing import Any

CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
DIRECTION = r"\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
INVISIBLE = re.compile(rf"[{CONTROL}{DIRECTION}\ufff9-\ufffb\ud800-\udfff]")
"""Control characters (not tab and line end), marks of the reading direction, halves of surrogate pairs."""


def visible(text: str) -> str:
    """Text in which everything that cannot be seen shows as �."""
    return INVISIBLE.sub("\ufffd", text)


def shortened(text: str, n_bytes: int) -> str:
    """Visible text of at most so many bytes in UTF-8; where it is cut, it says how long it was."""
    head = visible(text[: n_bytes + 1]).strip("\n").rstrip()
    if len(text) <= n_bytes + 1 and len(head.encode()) <= n_bytes:
        return head
    return f"{head.encode()[:n_bytes].decode(errors='ignore').rstrip()}… ({len(text):,} characters)"


def script_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """JSON that can stand inside a <script> element: no text in it can end the element or begin a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", visible(text))
