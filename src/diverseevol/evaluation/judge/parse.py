"""From a judge's reply to scores, strictly: a reply is readable in one way or it is unreadable, with the reason.

Only the beginning of a reply counts; numbers further down (reasons, a quoted answer) are never scores. Thinking before it,
up to </think> (</thinking>, </reasoning>, [/THINK]), whether it was opened or not, blank lines, code-fence lines, and marks of emphasis,
headings, quotes and bullets are passed over. Where thinking ends more than once, or a reply has scores before and others behind the end of
a thinking that was not opened, it is unreadable: an answer that the judge quotes may have written one of them. Then, for two scores:

    verdict   = [title] pair | [title] labelled labelled | labelled NEWLINE labelled | score NEWLINE score (no fractions) | json
    pair      = score separator score, or the same inside ( ) or [ ]
    separator = spaces, or one of  ,  ;  |  &  and  vs  vs.  versus  with spaces around or not
    labelled  = label number [:  =  -  is] score, the numbers (1 and 2, or A and B) in either order; a separator may follow
    label     = assistant, AI assistant, answer, response, model, score or rating, or two of them, or a bare 1, 2, A, B before a : or =
    title     = score, scores, rating, ratings or verdict and a colon, on the same line or on the line before
    score     = a decimal number, as it is or with /10 or "out of 10"; at least 0, at most 10
    json      = an array of two scores, or an object with both scores by label (score_1, assistant_2, a, …) or an array `scores`;
                numbers may be texts; other keys are free
Nothing else may stand on these lines but a final point. So these are unreadable: a verdict in words; "10/10" for two scores (one
fraction or two scores?); "8 9 7"; "8-9"; half a JSON; a label twice; a score off the scale.
For one score: [title | label] score, inside [ ] or not, or a JSON object with score or rating; "10/10" is 10 there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LOWEST, HIGHEST = 0.0, 10.0
"""Judges are asked for 1 to 10, and give a 0 now and then; it counts as given, as in the published verdicts."""
LONGEST_LINE = 200
N_SHOWN = 60

TAG = r"(?:think|thinking|thought|reasoning)"
THINKS = re.compile(rf"\s*(?:<{TAG}>|\[THINK\])", re.IGNORECASE)
THOUGHT = re.compile(rf"</{TAG}>|\[/THINK\]", re.IGNORECASE)
FENCE_LINE = re.compile(r"^(```|~~~)[A-Za-z]*$")
DECORATION = re.compile(r"^\s*(?:[#>]+|[-+•](?=\s))\s*|[*`]")
NUMBER = r"(?P<{0}>[-+]?\d+(?:\.\d+)?)(?:\s*/\s*10(?![\d.]*\d)|\s+out\s+of\s+10\b)?"
FRACTION = re.compile(r"[-+]?\d+(?:\.\d+)?\s*/\s*\d+(?:\.\d+)?")
SEPARATOR = r"(?:\s*[,;|&]\s*(?:and\s+)?|\s+(?:and|versus|vs\.?)\s+|\s+)"
WORD = r"(?:ai\s+)?(?:assistant|answer|response|model|score|rating)"
NUMBERED = rf"{WORD}(?:'s)?(?:\s+(?:for\s+)?{WORD})?[\s_]*[#(]?\s*(?P<{{0}}>[12ab])\)?(?:'s\s+{WORD})?\s*(?:[:=]|\s-\s|\bis\b|\s)"
NAME = rf"(?:{NUMBERED}|(?P<{{0}}_bare>[12ab])\s*[:=])"
LABELLED = NAME + r"\s*" + NUMBER.format("{1}")
TITLE = r"(?:(?:scores?|ratings?|verdict)\s*:\s*)?"
TITLE_LINE = re.compile(r"(?:scores?|ratings?|verdict)\s*:?", re.IGNORECASE)
END = r"\s*\.?"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


PAIR = _pattern(
    rf"{TITLE}(?P<open>[(\[]?)\s*{NUMBER.format('first')}{SEPARATOR}{NUMBER.format('second')}\s*(?P<close>[)\]]?){END}"
)
BOTH = _pattern(rf"{TITLE}{LABELLED.format('n1', 'first')}{SEPARATOR}{LABELLED.format('n2', 'second')}{END}")
ONE_LABELLED = _pattern(LABELLED.format("n1", "first") + r"\s*[,;]?" + END)
ONE = _pattern(rf"{TITLE}(?P<open>\[*)\s*{NUMBER.format('first')}\s*(?P<close>\]*){END}")
LONE = _pattern(
    rf"(?:{TITLE}|(?:the\s+)?{WORD}\s*(?:[:=]|\bis\b)\s*)(?P<open>\[*)\s*{NUMBER.format('first')}\s*(?P<close>\]*){END}"
)
JSON_LABEL = re.compile(
    r"(?:ai|assistant|answer|response|model|score|rating|for|of)*(?P<n>[12ab])(?:score|rating)?"
)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a reply is no verdict."""

    reason: str


def read_scores(reply: str, n_scores: int) -> tuple[float, ...] | Unreadable:
    """The scores of the answers in the order in which they were shown, or why there are none.

    Args:
        reply: The judge's text.
        n_scores: 2 for a comparison, 1 for a single answer.
    """
    before, *behind = THOUGHT.split(reply)
    if THINKS.match(reply) and not behind:
        return Unreadable("the reply is thinking alone, or breaks off inside it")
    if len(behind) > 1:
        return Unreadable("the reply ends its thinking more than once")
    found = _first_scores(behind[0] if behind else reply, n_scores)
    if behind and not THINKS.match(reply):
        other = _first_scores(before, n_scores)
        if not isinstance(other, Unreadable) and found != other:
            return (
                other
                if isinstance(found, Unreadable)
                else Unreadable("the reply has scores before and behind </think>")
            )
    return found


def _first_scores(text: str, n_scores: int) -> tuple[float, ...] | Unreadable:
    lines = [
        line for line in (_bare(line) for line in text.splitlines()) if line and not FENCE_LINE.match(line)
    ]
    lines = lines[1:] if lines and TITLE_LINE.fullmatch(lines[0]) else lines
    if not lines:
        return Unreadable("the reply is empty")
    if lines[0].startswith("{") or (lines[0].startswith("[") and n_scores == 2):
        return _from_json("\n".join(lines), n_scores)
    if len(lines[0]) > LONGEST_LINE:
        return Unreadable(f"the first line is prose: {_short(lines[0])}")
    found = _pair(lines) if n_scores == 2 else _lone(lines[0])
    return found if isinstance(found, Unreadable) else _on_scale(found)


def _bare(line: str) -> str:
    """A line without what Markdown puts around words; a line that fences code stays."""
    line = line.strip().lstrip("\ufeff")
    return line if FENCE_LINE.match(line) else DECORATION.sub("", line).strip()


def _pair(lines: list[str]) -> tuple[str, ...] | Unreadable:
    first = lines[0]
    second = lines[1] if len(lines) > 1 else ""
    if found := PAIR.fullmatch(first):
        if (found["open"], found["close"]) in {("", ""), ("(", ")"), ("[", "]")}:
            return found["first"], found["second"]
    elif found := BOTH.fullmatch(first):
        return _by_label([(_label(found, "n1"), found["first"]), (_label(found, "n2"), found["second"])])
    elif (one := ONE_LABELLED.fullmatch(first)) and (two := ONE_LABELLED.fullmatch(second)):
        return _by_label([(_label(one, "n1"), one["first"]), (_label(two, "n1"), two["first"])])
    elif FRACTION.fullmatch(first):
        return Unreadable(f"{first!r} may be one fraction or two scores")
    elif (one := ONE.fullmatch(first)) and (two := ONE.fullmatch(second)) and not FRACTION.fullmatch(second):
        return one["first"], two["first"]
    return Unreadable(f"the first line is not two scores: {_short(first)}")


def _lone(line: str) -> tuple[str, ...] | Unreadable:
    found = LONE.fullmatch(line)
    if found and len(found["open"]) == len(found["close"]):
        return (found["first"],)
    return Unreadable(f"the first line is not one score: {_short(line)}")


def _label(found: re.Match[str], name: str) -> str:
    return found[name] or found[f"{name}_bare"]


def _by_label(labelled: Iterable[tuple[str, Any]]) -> tuple[Any, ...] | Unreadable:
    values: dict[int, Any] = {}
    for label, value in labelled:
        number = 1 if label.lower() in {"1", "a"} else 2
        if number in values:
            return Unreadable(f"answer {number} is scored twice")
        values[number] = value
    if set(values) != {1, 2}:
        return Unreadable("not both answers are scored")
    return values[1], values[2]


def _from_json(text: str, n_scores: int) -> tuple[float, ...] | Unreadable:
    try:
        value, _ = json.JSONDecoder(object_pairs_hook=_Pairs).raw_decode(text)
    except (ValueError, RecursionError):
        return Unreadable(f"the JSON is broken or breaks off: {_short(text)}")
    found = _scores_in(value, n_scores)
    if isinstance(found, Unreadable):
        return found
    texts = tuple(_number_text(item) for item in found)
    return (
        Unreadable(f"the JSON's scores are no numbers: {_short(text)}") if None in texts else _on_scale(texts)
    )


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, so that a key that stands twice is seen."""


def _scores_in(value: Any, n_scores: int) -> tuple[Any, ...] | Unreadable:  # noqa: ANN401 - any JSON value
    nothing = Unreadable("the JSON does not hold the scores under known names")
    if not isinstance(value, _Pairs):
        is_list = isinstance(value, list) and len(value) == n_scores
        return tuple(value) if is_list else nothing
    pairs = [(re.sub(r"[^a-z0-9]", "", key.lower()), item) for key, item in value]
    whole = [item for key, item in pairs if key in {"scores", "ratings"}]
    if n_scores == 1:
        single = [item for key, item in pairs if key in {"score", "rating"}]
        return (single[0],) if len(single) == 1 else nothing
    labelled = [(match["n"], item) for key, item in pairs if (match := JSON_LABEL.fullmatch(key))]
    if len(whole) == 1 and not labelled:
        return nothing if whole[0] is value else _scores_in(whole[0], n_scores)
    return _by_label(labelled) if labelled and not whole else nothing


def _number_text(item: Any) -> str | None:  # noqa: ANN401 - any JSON value
    if isinstance(item, str):
        found = ONE.fullmatch(item.strip())
        return found["first"] if found and not found["open"] else None
    return repr(item) if isinstance(item, int | float) and not isinstance(item, bool) else None


def _on_scale(texts: Iterable[str | None]) -> tuple[float, ...] | Unreadable:
    scores = tuple(float(text) for text in texts if text is not None)
    for score in scores:
        if not LOWEST <= score <= HIGHEST:
            return Unreadable(f"{score:g} is off the scale of 1 to {HIGHEST:g}")
    return scores


def _short(text: str) -> str:
    return repr(text if len(text) <= N_SHOWN else text[:N_SHOWN] + "…")
