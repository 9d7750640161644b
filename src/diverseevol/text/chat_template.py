"""The model's own chat template, with a mask that is right on every assistant turn.

Trained on in an assistant turn is what the model has to write itself: from the end of the generation prompt
to the end of the turn's last control token (`<|im_end|>`, `</s>`, …), so an empty thinking block that the
template puts in is included and the newline behind `<|im_end|>` is not. How the turn is found in the rendered
text:

* Its start is the length of the rendering of everything before it with the generation prompt, where that is a
  prefix of the whole. Where it is not (templates that rewrite earlier turns, or whose generation prompt
  begins an answer that training does not have), or where the template ignores `add_generation_prompt` and a
  role header follows, it is the first character of the content (see rendering.py).
* Its end is the marked end of the content and the template's turn ending, which is learnt from a rendering
  with and one without a turn behind. A turn that calls tools ends where the rendering up to and including it
  does, with the next turn's first control token where that is what ends answers or where nothing else ends
  the call (GLM's `<|observation|>`).
* If neither finds a turn, the template's `{% generation %}` blocks are used. They come last because many of
  them include the header or leave the end of the turn out.
* A template that ends the last turn with no token that ends one gets EOS appended, or the model would never
  learn to stop; behind a call, what begins a tool's answer.

A sample is refused, never bent: no role is merged or renamed, and a turn, a tool or a call that the template
silently leaves out is an error. Thinking that a record keeps under a key of its own is handed on under every
name that templates read: what the template writes of it in a trained turn is trained on, what it drops from
earlier turns is not, and a last answer without its thinking is an error, as is a template that reads none.
BOS is what the template writes, as `apply_chat_template` has it.

An assistant's text may name the tokenizer's added tokens (`<think>`, tool markers, a user's own), but for
those that frame turns: BOS, EOS and their like, and what stands outside the assistant's own text in probes of
the template. Those, and in everything but the assistant's turns all special tokens and all added ones that
the template writes, stay text: they are cut behind their first character and tokenised in two parts.

Cost: two renderings a sample and two an assistant turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from ..data.sample import Sample, Turn
from ..errors import PromptError
from .messages import CUT, LAST, Message, messages_of, tools_of
from .prompt import NO_TOKEN, NOTHING_TRAINED, Segment, before_answer
from .rendering import NO_THINKING, WITH_THINKING, Rendering, render

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
THINKING = re.compile(r"reasoning|\bthinking\b")
Span = tuple[int, int]

_TOOL = (
    '{"name": "act", "description": "Acts.", '
    '"parameters": {"type": "object", "properties": {"with": {"type": "string"}}}}'
)
_CALL = Turn("assistant", "", is_trained=True, tool_calls='{"name": "act", "arguments": {"with": "word"}}')
_ASKED, _SAID = Turn("user", "Question"), Turn("assistant", "Answer", is_trained=True)
PROBES = (
    Sample((_ASKED, _SAID, Turn("user", "Another"), _SAID)),
    Sample((Turn("system", "System"), _ASKED, _SAID)),
    Sample((_ASKED, replace(_SAID, thinking="Thought"))),
    Sample((_ASKED, _CALL, Turn("tool", "Result"), _SAID), _TOOL),
)


@dataclass(frozen=True)
class ChatPrompter:
    """A tokenizer's chat template; `of` makes one.

    Attributes:
        tokenizer: Its template and its added tokens are used.
        added: The added tokens.
        control: Matches any control token: the special ones, and added ones that the template writes.
        border: Matches those that frame turns, which an assistant's text may not name either.
        ending: What the template writes behind an answer; empty where it differs or there is nothing.
        is_closed_by_next: Whether nothing ends an answer but the control token that begins the next turn.
        stops: The tokens that the template ends an assistant's turn with.
        writes_bos: True.
    """

    tokenizer: PreTrainedTokenizerBase
    added: frozenset[str]
    control: re.Pattern[str]
    border: re.Pattern[str]
    ending: str = ""
    is_closed_by_next: bool = False
    stops: tuple[str, ...] = ()
    writes_bos: bool = True

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> ChatPrompter:
        """Read a tokenizer's control tokens and learn how its template frames and ends turns."""
        source, added = str(tokenizer.chat_template or ""), tokenizer.added_tokens_decoder.values()
        control = _any_of(
            token.content
            for token in added
            if token.special or (token.content in source and not token.content.isspace())
        )
        prompter = cls(tokenizer, frozenset(token.content for token in added), control, border=control)
        return prompter._with_ending()._with_frame(source)

    def segments(self, sample: Sample) -> tuple[Segment, ...]:
        """Render a whole sample through the template.

        Raises:
            PromptError: the template refuses the sample, leaves a part of it out, or the trained text cannot
                be told apart.
        """
        trained = [number for number, turn in enumerate(sample.turns) if turn.is_trained]
        if not trained:
            raise PromptError(NOTHING_TRAINED)
        text, spans, needs_eos = self._masked(sample, trained)
        eos = [Segment("", is_trained=True, ends_turn=True)] if needs_eos else []
        return (*_cut_up(text, spans), *eos)

    def generation_segments(self, sample: Sample) -> tuple[Segment, ...]:
        """Render everything before the text of the last assistant turn, generation prompt included.

        Raises:
            PromptError: as in `segments`.
        """
        turns = before_answer(sample)
        answer = sample.turns[-1] if len(turns) < len(sample.turns) else Turn("assistant", "Answer")
        asked = Sample((*turns, replace(answer, is_trained=True)), sample.tools)
        text, spans, _ = self._masked(asked, [len(turns)])
        return tuple(_cut_up(text[: spans[0][0]], []))

    def _masked(self, sample: Sample, trained: list[int]) -> tuple[str, list[Span], bool]:
        """The text with its cuts, the trained spans in it, and whether EOS must follow."""
        messages, tools = messages_of(sample, self.border, self.control), tools_of(sample.tools, self.control)
        source = str(self.tokenizer.chat_template)
        if any(turn.thinking for turn in sample.turns) and not THINKING.search(source):
            raise PromptError(f"the chat template reads no thinking under a key of its own. {WITH_THINKING}")
        said = Rendering(self.tokenizer, messages, tools)
        text, messages = said.text, said.messages
        if CUT in text:  # what the template refuses is refused, though a cut hides it
            Rendering(self.tokenizer, messages_of(sample, NO_TOKEN, NO_TOKEN), tools)
        marks_generation = bool(GENERATION.search(source))
        said.check_complete(may_rewrite=marks_generation)
        try:
            starts = [self._start(said, number) for number in trained]
            spans = [
                (start, max(start, self._end(said, number, start)))
                for number, start in zip(trained, starts, strict=True)
            ]
        except PromptError:
            if not marks_generation:
                raise
            spans = self._generation_spans(said, trained)
        for number, (start, end) in zip(trained, spans, strict=True):
            called = [call["function"]["name"] for call in messages[number].get("tool_calls", [])]
            for name in called:
                if text.count(name, start, end) < called.count(name):
                    raise PromptError(f"the chat template leaves out a call of {name!r} in turn {number}")
            thinking = messages[number].get("reasoning_content", "")
            if number == len(messages) - 1 and thinking.strip() not in text[start:end]:
                raise PromptError(NO_THINKING)
        number, (start, end) = trained[-1], spans[-1]
        if number < len(messages) - 1 or self.border.search(text, max(start, said.last.get(number, 0))):
            return text, spans, False
        stop = self._stop_behind_call(said) if "tool_calls" in messages[-1] else ""
        return text + stop, [*spans[:-1], (start, len(text + stop))], not stop

    def _stop_behind_call(self, said: Rendering) -> str:
        """What begins a tool's answer to a last turn that calls it, up to its first token; empty: nothing."""
        call = said.messages[-1]["tool_calls"][0]
        answer = {"role": "tool", "content": "Result", "tool_call_id": call["id"]}
        answer["name"] = call["function"]["name"]
        try:
            behind = said.of([*said.messages, answer])
        except PromptError:
            return ""
        behind = behind[len(said.text) :] if behind.startswith(said.text) else ""
        stop = self.border.match(behind, len(behind) - len(behind.lstrip()))
        return behind[: stop.end()] if stop else ""

    def _start(self, said: Rendering, number: int) -> int:
        """Where the text that the model writes in a turn begins."""
        text, first = said.text, said.first.get(number)
        before, prompt = said.beginning(number), said.beginning(number, is_asked=True)
        # A prompt that is no longer than what stands before it asks for nothing: behind it comes the role's
        # header, unless it is the turn's own, such as thinking where it goes on behind a tool's answer.
        between = text[len(prompt) : first].strip()
        is_own = bool(self.control.match(between)) and not self.border.match(between)
        asks = "tool_calls" in said.messages[number] if first is None else not between or is_own
        is_prefix = text.startswith(prompt) and len(prompt) <= (len(text) if first is None else first)
        if prompt and (prompt != before or asks) and is_prefix:
            return len(prompt)
        if first is not None:
            # A space before the content belongs to its first token; behind a prompt it would be its own.
            return len(text[:first].rstrip(" "))
        # What prompt and text have in common, up to the last newline or control token in it.
        common = _common_start(text, prompt)
        border = max(common.rfind("\n") + 1, *(token.end() for token in self.control.finditer(common)), 0)
        if not before or not text.startswith(before) or border <= len(before):
            raise PromptError(_UNCLEAR.format(number=number, what="begins"))
        return border

    def _end(self, said: Rendering, number: int, start: int) -> int:
        """Where it ends: behind its content and the ending, or the control token that follows."""
        text, last = said.text, said.last.get(number)
        if last is None or "tool_calls" in said.messages[number]:
            return self._end_of_turn(said, number, last or start)
        content = said.messages[number]["content"]
        for ending in (content[len(content.rstrip()) :] + self.ending, self.ending):
            if self.ending and text.startswith(ending, last):
                return last + len(ending)
        stop = self.control.search(text, last)
        return stop.end() if stop and not text[last : stop.start()].strip() else last

    def _end_of_turn(self, said: Rendering, number: int, start: int) -> int:
        """Where a turn ends that does not end in its content: behind the ending, or the last token."""
        text, is_final = said.text, number == len(said.messages) - 1
        whole = text if is_final else said.beginning(number + 1)
        is_known = bool(whole) and text.startswith(whole)
        following = "" if is_final else said.messages[number + 1]["content"].strip()
        found = text.find(self.ending, start, len(whole) if is_known else None) if self.ending else -1
        # Where the turn is rendered otherwise at the end of a dialogue, the next turn must still follow.
        if found >= 0 and (is_known or text.find(following or self.ending, found) >= 0):
            return found + len(self.ending)
        if not is_known:
            # Thinking in front of a call may be dropped once an answer follows, what ends a turn is not.
            stop = next((stop for stop in self.control.finditer(text, start) if stop[0] in self.stops), None)
            if stop is None or text.find(following, stop.end()) < 0:
                raise PromptError(_UNCLEAR.format(number=number, what="ends"))
            return stop.end()
        stops = list(self.control.finditer(text, start, len(whole)))
        if self.is_closed_by_next or not stops or _partner(stops[-1][0]) in self.added:
            # Nothing but the call's own syntax: the turn ends with what begins the tool's.
            behind = text[len(whole) :]
            if stop := self.control.match(text, len(text) - len(behind.lstrip())):
                return stop.end()
        return stops[-1].end() if stops else len(whole)

    def _generation_spans(self, said: Rendering, trained: list[int]) -> list[Span]:
        """The template's own markers, the k-th for the k-th assistant turn."""
        from transformers.utils.chat_template_utils import render_jinja_template

        texts, spans = render_jinja_template(
            [said.messages],
            said.tools,
            chat_template=self.tokenizer.get_chat_template(None, said.tools),
            return_assistant_tokens_mask=True,
            **self.tokenizer.special_tokens_map,
        )
        answers = [number for number, one in enumerate(said.messages) if one["role"] == "assistant"]
        if texts[0] != said.text or len(spans[0]) != len(answers):
            raise PromptError(
                f"the chat template marks {len(spans[0])} generated parts in a sample with {len(answers)} "
                "assistant turns, so the trained text cannot be told apart"
            )
        return [spans[0][answers.index(number)] for number in trained]

    def _with_ending(self) -> ChatPrompter:
        """Learn what stands between an answer and whatever follows, and whether only its first token does.

        The former is common to an answer at the end and one before a question.
        """
        dialogue: list[Message] = [
            {"role": "user", "content": "Question"},
            {"role": "assistant", "content": f"Answer{LAST}"},
            {"role": "user", "content": "Another"},
        ]
        try:
            inside, final = (
                render(self.tokenizer, turns).partition(LAST)[2] for turns in (dialogue, dialogue[:2])
            )
        except PromptError:
            return self
        common = _common_start(inside, final)
        if stops := [stop.end() for stop in self.control.finditer(common)]:
            return replace(self, ending=common[: stops[-1]])
        is_stopped = bool(self.control.search(final))
        # Two different control tokens may begin alike.
        ending = "" if is_stopped or self.control.search(inside) else common.rstrip()
        is_closed = not is_stopped and bool(self.control.match(inside.lstrip()))
        return replace(self, ending=ending, is_closed_by_next=is_closed)

    def _with_frame(self, source: str) -> ChatPrompter:
        """Learn from probes which tokens frame turns, and which end an assistant's."""
        try:
            alone = render(self.tokenizer, [{"role": "user", "content": "Question"}])
        except PromptError:
            alone = ""
        texts, ends, inside = [alone], set[str](), set[str]()
        for probe in PROBES:
            try:
                text, spans, _ = self._masked(
                    probe, [n for n, turn in enumerate(probe.turns) if turn.is_trained]
                )
            except PromptError:
                continue
            position = 0
            for start, end in spans:
                header = text[position:start]
                tokens = list(self.control.finditer(header))
                # An empty block of thinking, or its beginning, is no part of the header.
                while (
                    tokens
                    and _partner(tokens[-1][0]) in self.added
                    and tokens[-1][0] not in alone
                    and not header[tokens[-1].end() :].strip()
                ):
                    header = header[: tokens.pop().start()]
                texts.append(header)
                tokens = list(self.control.finditer(text, start, end))
                if tokens and tokens[-1].end() == end:
                    ends.add(tokens.pop()[0])
                inside |= {token[0] for token in tokens}
                position = end
            texts.append(text[position:])
        if len(texts) == 1:  # no probe is to this template's taste
            texts += [token for token in self.added if token in source and _partner(token) not in self.added]
        # Tokens of calls a system turn may explain.
        own = {token for token in inside if _partner(token) in self.added}
        frame = {token[0] for text in texts for token in self.control.finditer(text)} - own | ends
        frame |= {token for token in self.tokenizer.special_tokens_map.values() if isinstance(token, str)}
        return replace(self, border=_any_of(frame & self.added), stops=tuple(sorted(ends - inside)))


_UNCLEAR = (
    "cannot tell where the assistant's turn {number} {what}: the chat template rewrites the turns before or "
    "inside it"
)


def _cut_up(text: str, spans: list[Span]) -> list[Segment]:
    """Split at the borders of the trained spans and at the cuts."""
    segments: list[Segment] = []
    position = 0
    for start, end in [*spans, (len(text), len(text))]:
        for piece, is_trained in ((text[position:start], False), (text[start:end], True)):
            for number, part in enumerate(piece.split(CUT)):
                if part or number:
                    segments.append(Segment(part, is_trained, is_apart=number > 0))
        position = end
    return segments


def _common_start(one: str, other: str) -> str:
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return "".join(character for character, _ in pairs)


def _partner(token: str) -> str:
    """The token that would close what another opens, or open what it closes: <think> and </think>."""
    opened = re.match(r"[<\[]\|?", token)
    head = opened[0] if opened else ""
    name = token[len(head) :]
    return head + (name[1:] if name.startswith("/") else f"/{name}")


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    # One-character tokens cannot be cut in two; the longest match first, for a token may contain another.
    names = sorted({token for token in tokens if len(token) > 1}, key=lambda token: (-len(token), token))
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")
