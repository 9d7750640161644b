"""From a judge's reply to its two scores, strictly: a reply is readable in one way, or unreadable.

Only the beginning of a reply counts; numbers further down (reasons, a quoted answer) are never scores.
Thinking before it, up to </think> (</thinking>, </reasoning>, [/THINK]), whether it was opened or not, blank
lines, code-fence lines, and marks of emphasis, headings, quotes and bullets are passed over. Where thinking
ends more than once, or a reply has scores before and others behind the end of a thinking that was not opened,
it is unreadable: an answer that the judge quotes may have written one of them. Then:

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
Nothing else may stand on these lines but a final point. So these are unreadable: a verdict in words; "10/10"
(one fraction or two scores?); "8 9 7"; "8-9"; JSON; a label twice; a score off the scale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why a reply is no verdict."""

    reason: str

    def because(self, finish: str | None) -> Unreadable:
        """The same with how the reply ended, where that explains it."""
        if finish == FILTERED:
            return Unreadable("the server's content filter refused it")
        # Above all models that think until no token is left for the verdict.
        return Unreadable(f"{self.reason}; it was cut at the longest reply") if finish == "length" else self


def read_scores(reply: str) -> tuple[float, float] | Unreadable:
    """The scores of the answers in the order in which they were shown, or why there are none."""
    before, *behind = THOUGHT.split(reply)
    if THINKS.match(reply) and not behind:
        return Unreadable("the reply is thinking alone, or breaks off inside it")
    if len(behind) > 1:
        return Unreadable("the reply ends its thinking more than once")
    found = _first_scores(behind[0] if behind else reply)
    if behind and not THINKS.match(reply):
        other = _first_scores(before)
        if not isinstance(other, Unreadable) and found != other:
            return (
                other
                if isinstance(found, Unreadable)
                else Unreadable("the reply has scores before and behind </think>")
            )
    return found


def _first_scores(text: str) -> tuple[float, float] | Unreadable:
    lines = [
        line for line in (_bare(line) for line in text.splitlines()) if line and not FENCE_LINE.match(line)
    ]
    lines = lines[1:] if lines and TITLE_LINE.fullmatch(lines[0]) else lines
    if not lines:
        return Unreadable("the reply is empty")
    if len(lines[0]) > LONGEST_LINE:
        return Unreadable(f"the first line is prose: {_short(lines[0])}")
    found = _pair(lines[0], lines[1] if len(lines) > 1 else "")
    if isinstance(found, Unreadable):
        return found
    scores = float(found[0]), float(found[1])
    off = [score for score in scores if not LOWEST <= score <= HIGHEST]
    return Unreadable(f"{off[0]:g} is off the scale of 1 to {HIGHEST:g}") if off else scores


def _bare(line: str) -> str:
    """A line without what Markdown puts around words; a line that fences code stays."""
    line = line.strip().lstrip("\ufeff")
    return line if FENCE_LINE.match(line) else DECORATION.sub("", line).strip()


def _pair(first: str, second: str) -> tuple[str, str] | Unreadable:
    if found := PAIR.fullmatch(first):
        if (found["open"], found["close"]) in {("", ""), ("(", ")"), ("[", "]")}:
            return found["first"], found["second"]
    elif found := BOTH.fullmatch(first):
        return _by_label((_label(found, "n1"), found["first"]), (_label(found, "n2"), found["second"]))
    elif (one := ONE_LABELLED.fullmatch(first)) and (two := ONE_LABELLED.fullmatch(second)):
        return _by_label((_label(one, "n1"), one["first"]), (_label(two, "n1"), two["first"]))
    elif FRACTION.fullmatch(first):
        return Unreadable(f"{first!r} may be one fraction or two scores")
    elif (one := ONE.fullmatch(first)) and (two := ONE.fullmatch(second)) and not FRACTION.fullmatch(second):
        return one["first"], two["first"]
    return Unreadable(f"the first line is not two scores: {_short(first)}")


def _label(found: re.Match[str], name: str) -> int:
    return 1 if (found[name] or found[f"{name}_bare"]).lower() in {"1", "a"} else 2


def _by_label(one: tuple[int, str], two: tuple[int, str]) -> tuple[str, str] | Unreadable:
    if one[0] == two[0]:
        return Unreadable(f"answer {one[0]} is scored twice")
    return (one[1], two[1]) if one[0] == 1 else (two[1], one[1])


def _short(text: str) -> str:
    return repr(text if len(text) <= N_SHOWN else text[:N_SHOWN] + "…")
