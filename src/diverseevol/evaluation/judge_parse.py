"""From a judge's reply to its two scores, strictly: a reply is readable in one way, or unreadable.

Only the beginning of a reply counts; numbers further down (reasons, a quoted answer) are never scores.
Thinking before it, whether it was opened or not, blank lines, code fences, and marks of emphasis, headings,
quotes and bullets are passed over. Where thinking ends more than once, or there are scores before and others
behind the end of one that was not opened, an answer that the judge quotes may have written one of them. Then:

    verdict   = [title] pair | [title] labelled labelled | labelled NEWLINE labelled |
                score NEWLINE score (no fractions)
    pair      = score separator score, or the same inside ( ) or [ ]
    separator = spaces, or one of  ,  ;  |  &  and  vs  vs.  versus  with spaces around or not
    labelled  = label number [:  =  -  is] score, the numbers (1 and 2, or A and B) in either order; a
    separator may follow
    label     = assistant, AI assistant, answer, response, model, score or rating, or two of them,
                or a bare 1, 2, A, B before a : or =
    title     = score, scores, rating, ratings or verdict and a colon, on the same line or on the line before
    score     = a decimal number, as it is or with /10 or "out of 10"; at least 0, at most 10
Nothing else may stand on these lines but a final point: "10/10" (one fraction or two scores?), "8 9 7", JSON,
a label twice and a score off the scale are unreadable.
"""

from __future__ import annotations

import re

from .api import FILTERED

LOWEST, HIGHEST = 0.0, 10.0
"""Judges are asked for 1 to 10, and give a 0 now and then; it counts as given, as in the published
verdicts.
"""
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
NUMBERED = (
    rf"{WORD}(?:'s)?(?:\s+(?:for\s+)?{WORD})?[\s_]*[#(]?\s*(?P<{{0}}>[12ab])\)?"
    rf"(?:'s\s+{WORD})?\s*(?:[:=]|\s-\s|\bis\b|\s)"
)
NAME = rf"(?:{NUMBERED}|(?P<{{0}}_bare>[12ab])\s*[:=])"
LABELLED = NAME + r"\s*" + NUMBER.format("{1}")
TITLE = r"(?:(?:scores?|ratings?|verdict)\s*:\s*)?"
TITLE_LINE = re.compile(r"(?:scores?|ratings?|verdict)\s*:?", re.IGNORECASE)
END = r"\s*\.?"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


PAIR = _pattern(
    rf"{TITLE}(?P<open>[(\[]?)\s*{NUMBER.format('first')}{SEPARATOR}{NUMBER.format('second')}"
    rf"\s*(?P<close>[)\]]?){END}"
)
BOTH = _pattern(rf"{TITLE}{LABELLED.format('n1', 'first')}{SEPARATOR}{LABELLED.format('n2', 'second')}{END}")
ONE_LABELLED = _pattern(LABELLED.format("n1", "first") + r"\s*[,;]?" + END)
ONE = _pattern(rf"{TITLE}(?P<open>\[*)\s*{NUMBER.format('first')}\s*(?P<close>\]*){END}")


class Unreadable(str):
    """Why a reply is no verdict."""

    __slots__ = ()


def read_scores(reply: str, finish: str | None = None) -> tuple[float, float] | Unreadable:
    """The scores of the answers in the order in which they were shown, or why there are none.

    Args:
        finish: How the reply ended, where it is known: it may be the reason.
    """
    before, *behind = THOUGHT.split(reply)
    is_opened = bool(THINKS.match(reply))
    found = _first_scores(behind[0] if behind else reply)
    if is_opened and not behind:
        found = Unreadable("the reply is thinking alone, or breaks off inside it")
    elif len(behind) > 1:
        found = Unreadable("the reply ends its thinking more than once")
    elif behind and not is_opened and not isinstance(other := _first_scores(before), Unreadable):
        is_other = not isinstance(found, Unreadable) and found != other
        found = Unreadable("the reply has scores before and behind </think>") if is_other else other
    if isinstance(found, Unreadable) and finish == FILTERED:
        return Unreadable("the server's content filter refused it")
    if isinstance(found, Unreadable) and finish == "length":
        # Above all models that think until no token is left for the verdict.
        return Unreadable(f"{found}; it was cut at the longest reply")
    return found


def _first_scores(text: str) -> tuple[float, float] | Unreadable:
    lines = [line.strip().lstrip("\ufeff") for line in text.splitlines()]
    lines = [line if FENCE_LINE.match(line) else DECORATION.sub("", line).strip() for line in lines]
    lines = [line for line in lines if line and not FENCE_LINE.match(line)]
    lines = lines[1:] if lines and TITLE_LINE.fullmatch(lines[0]) else lines
    if not lines:
        return Unreadable("the reply is empty")
    shown = repr(lines[0] if len(lines[0]) <= N_SHOWN else lines[0][:N_SHOWN] + "…")
    if len(lines[0]) > LONGEST_LINE:
        return Unreadable(f"the first line is prose: {shown}")
    found = _pair(lines[0], lines[1] if len(lines) > 1 else "")
    if found is None:
        return Unreadable(f"the first line is not two scores: {shown}")
    if isinstance(found, Unreadable):
        return found
    off = [score for score in found if not LOWEST <= score <= HIGHEST]
    return Unreadable(f"{off[0]:g} is off the scale of 1 to {HIGHEST:g}") if off else found


def _pair(first: str, second: str) -> tuple[float, float] | Unreadable | None:
    labelled = []
    if found := PAIR.fullmatch(first):
        is_closed = (found["open"], found["close"]) in {("", ""), ("(", ")"), ("[", "]")}
        return (float(found["first"]), float(found["second"])) if is_closed else None
    if found := BOTH.fullmatch(first):
        labelled = [
            (found["n1"] or found["n1_bare"], found["first"]),
            (found["n2"] or found["n2_bare"], found["second"]),
        ]
    elif (one := ONE_LABELLED.fullmatch(first)) and (two := ONE_LABELLED.fullmatch(second)):
        labelled = [(line["n1"] or line["n1_bare"], line["first"]) for line in (one, two)]
    elif FRACTION.fullmatch(first):
        return Unreadable(f"{first!r} may be one fraction or two scores")
    elif (one := ONE.fullmatch(first)) and (two := ONE.fullmatch(second)) and not FRACTION.fullmatch(second):
        return float(one["first"]), float(two["first"])
    scores = {1 if label in "1aA" else 2: float(score) for label, score in labelled}
    if len(scores) == 1:
        return Unreadable(f"answer {next(iter(scores))} is scored twice")
    return (scores[1], scores[2]) if scores else None
