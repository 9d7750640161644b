"""The model's own chat template, with a mask that is right on every assistant turn.

Trained on in an assistant turn is what the model has to write itself: from the end of the generation prompt
to the end of the turn's last control token (`<|im_end|>`, `</s>`, …), so an empty thinking block that the
template puts in is included and the newline behind `<|im_end|>` is not. How the turn is found in the rendered
text:

* Its start is the length of the rendering of everything before it with the generation prompt, where that is a
  prefix of the whole. Where it is not (templates that rewrite earlier turns, or whose generation prompt
  begins an answer that training does not have), or where the template ignores `add_generation_prompt` and a
  role header follows, it is the first character of the content, found by a second rendering in which
  noncharacters (U+FDD0 …) mark where contents begin and end. That rendering counts only if it is the first
  one but for the marks.
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
name that templates read (`reasoning_content`, `reasoning`, `thinking`): what the template writes of it in a
trained turn is trained on, what it drops from earlier turns is not, and a last answer without its thinking is
an error, as is a template that reads none. A user turn's separate input follows its text on a new line, as in
LLaMA-Factory. BOS is what the template writes, as `apply_chat_template` has it.

An assistant's text may name the tokenizer's added tokens (`<think>`, tool markers, a user's own), as
`apply_chat_template` has it, but for those that frame turns: BOS, EOS and their like, and what stands outside
the assistant's own text in probes of the template. Those, and in everything but the assistant's turns all
special tokens and all added ones that the template writes, stay text: they are cut behind their first
character and tokenised in two parts.

Cost: two renderings a sample and one an assistant turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..data.sample import Sample, Turn
from ..errors import PromptError
from .chat_messages import CUT, Message, messages_of, names_of, tools_of, with_text_arguments
from .chat_rendering import (
    LAST,
    NO_THINKING,
    WITH_THINKING,
    Render,
    Rendering,
    check_complete,
    common_start,
    marked,
    prefix,
)
from .prompt import NO_TOKEN, NOTHING_TRAINED, Segment, before_answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
Span = tuple[int, int]


@dataclass(frozen=True)
class ChatPrompter:
    """A tokenizer's chat template; `of` makes one.

    Attributes:
        tokenizer: Its template and its added tokens are used.
        control: Matches any control token: the special ones, and added ones that the template writes.
        border: Matches those that frame turns, which an assistant's text may not name either.
        ending: What the template writes behind an answer; empty where it differs or there is nothing.
        is_closed_by_next: Whether nothing ends an answer but the control token that begins the next turn.
        stops: The tokens that the template ends an assistant's turn with.
        marks_generation: Whether it has `{% generation %}` blocks.
        writes_bos: True.
    """

    tokenizer: PreTrainedTokenizerBase
    control: re.Pattern[str]
    border: re.Pattern[str]
    marks_generation: bool
    ending: str = ""
    is_closed_by_next: bool = False
    stops: tuple[str, ...] = ()
    writes_bos: bool = True

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> ChatPrompter:
        """Read a tokenizer's control tokens and learn how its template frames and ends turns."""
        source = str(tokenizer.chat_template)
        control = _any_of(control_tokens(tokenizer))
        prompter = cls(tokenizer, control, border=control, marks_generation=bool(GENERATION.search(source)))
        ending, is_closed_by_next = prompter._learn_ending()
        return replace(prompter, ending=ending, is_closed_by_next=is_closed_by_next)._with_frame()

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
        return tuple(_cut_up(text, spans, needs_eos))

    def generation_segments(self, sample: Sample) -> tuple[Segment, ...]:
        """Render everything before the text of the last assistant turn, generation prompt included.

        Raises:
            PromptError: as in `segments`.
        """
        turns = before_answer(sample)
        answer = sample.turns[-1] if len(turns) < len(sample.turns) else Turn("assistant", "Answer")
        asked = Sample((*turns, replace(answer, is_trained=True)), sample.tools)
        text, spans, _ = self._masked(asked, [len(turns)])
        return tuple(_cut_up(text[: spans[0][0]], [], needs_eos=False))

    def _masked(self, sample: Sample, trained: list[int]) -> tuple[str, list[Span], bool]:
        """The text with its cuts, the trained spans in it, and whether EOS must follow."""
        messages, tools = messages_of(sample, self.border, self.control), tools_of(sample.tools, self.control)
        if any(turn.thinking for turn in sample.turns) and not THINKING.search(
            str(self.tokenizer.chat_template)
        ):
            raise PromptError(f"the chat template reads no thinking under a key of its own. {WITH_THINKING}")
        render, messages = self._renderer(messages, tools)
        rendering = marked(render, messages)
        if CUT in rendering.text:
            render(
                [messages_of(sample, NO_TOKEN, NO_TOKEN)]
            )  # what the template refuses is refused, though a cut hides it
        check_complete(rendering, messages, names_of(messages, tools), self.marks_generation)
        try:
            spans = [self._span(rendering, render, messages, number) for number in trained]
        except PromptError:
            if not self.marks_generation:
                raise
            spans = self._generation_spans(rendering.text, messages, tools, trained)
        for number, (start, end) in zip(trained, spans, strict=True):
            called = [call["function"]["name"] for call in messages[number].get("tool_calls", [])]
            for name in called:
                if rendering.text.count(name, start, end) < called.count(name):
                    raise PromptError(f"the chat template leaves out a call of {name!r} in turn {number}")
            thinking = messages[number].get("reasoning_content", "")
            if number == len(messages) - 1 and thinking.strip() not in rendering.text[start:end]:
                raise PromptError(NO_THINKING)
        is_last = trained[-1] == len(messages) - 1
        if is_last and not self.border.search(
            rendering.text, max(spans[-1][0], rendering.last.get(trained[-1], 0))
        ):
            stop = (
                self._stop_behind_call(rendering.text, render, messages)
                if "tool_calls" in messages[-1]
                else ""
            )
            text = rendering.text + stop
            return text, [*spans[:-1], (spans[-1][0], len(text))], not stop
        return rendering.text, spans, False

    def _stop_behind_call(self, text: str, render: Render, messages: list[Message]) -> str:
        """What begins the answer of a tool behind a last turn that calls it, up to its first token.

        Empty where none does.
        """
        call = messages[-1]["tool_calls"][0]
        answer = {
            "role": "tool",
            "content": "Result",
            "tool_call_id": call["id"],
            "name": call["function"]["name"],
        }
        answered = prefix(render, [*messages, answer])
        behind = answered[len(text) :] if answered.startswith(text) else ""
        stop = self.border.match(behind, len(behind) - len(behind.lstrip()))
        return behind[: stop.end()] if stop else ""

    def _renderer(self, messages: list[Message], tools: list[Message] | None) -> tuple[Render, list[Message]]:
        """A function that renders lists of messages, and the messages in the form this template takes."""

        def render(dialogues: Sequence[list[Message]], is_asked: bool = False) -> list[str]:
            try:
                texts = self.tokenizer.apply_chat_template(
                    list(dialogues), tools=tools, tokenize=False, add_generation_prompt=is_asked
                )
            except _template_errors() as error:
                raise PromptError(
                    f"the chat template refuses the sample: {error or type(error).__name__}"
                ) from error
            return list(texts)

        if not any("tool_calls" in message for message in messages):
            return render, messages
        try:
            render([messages])
        except PromptError:
            # Some templates add a call's arguments to text; the others want them as an object.
            return render, with_text_arguments(messages)
        return render, messages

    def _span(self, rendering: Rendering, render: Render, messages: list[Message], number: int) -> Span:
        """Where the text that the model writes in a turn begins and ends."""
        start = self._start(rendering, render, messages, number)
        return start, max(start, self._end(rendering, render, messages, number, start))

    def _start(self, rendering: Rendering, render: Render, messages: list[Message], number: int) -> int:
        text, first = rendering.text, rendering.first.get(number, len(rendering.text))
        before = prefix(render, messages[:number])
        prompt = prefix(render, messages[:number], is_asked=True)
        # A prompt that is no longer than what stands before it asks for nothing: behind it comes the role's
        # header.
        is_found = number in rendering.first
        between = text[len(prompt) : first].strip() if is_found else ""
        own = self.control.match(between)  # such as thinking, where the turn goes on behind a tool's answer
        is_own = bool(own) and not self.border.match(between)
        asks = prompt != before or (not between or is_own if is_found else "tool_calls" in messages[number])
        if prompt and asks and text.startswith(prompt) and len(prompt) <= first:
            return len(prompt)
        if is_found:
            # A space before the content belongs to its first token; behind a prompt it would be a token of
            # its own.
            return len(text[:first].rstrip(" "))
        return self._start_of_header(text, before, prompt, number)

    def _start_of_header(self, text: str, before: str, prompt: str, number: int) -> int:
        """What prompt and text have in common, up to the last newline or control token in it."""
        common = common_start(text, prompt)
        borders = [common.rfind("\n") + 1, *(token.end() for token in self.control.finditer(common))]
        if not before or not text.startswith(before) or max(borders) <= len(before):
            raise PromptError(_UNCLEAR.format(number=number, what="begins"))
        return max(borders)

    def _end(
        self, rendering: Rendering, render: Render, messages: list[Message], number: int, start: int
    ) -> int:
        text, last = rendering.text, rendering.last.get(number)
        if last is None or "tool_calls" in messages[number]:
            return self._end_of_turn(text, render, messages, number, last or start)
        content = messages[number]["content"]
        blank = content[len(content.rstrip()) :]
        for ending in (blank + self.ending, self.ending):
            if self.ending and text.startswith(ending, last):
                return last + len(ending)
        stop = self.control.search(text, last)
        if stop and not text[last : stop.start()].strip():
            return stop.end()
        return last

    def _end_of_turn(
        self, text: str, render: Render, messages: list[Message], number: int, start: int
    ) -> int:
        """The end of a turn whose last character is not its content's.

        Behind the ending, or the last control token.
        """
        is_final = number == len(messages) - 1
        whole = text if is_final else prefix(render, messages[: number + 1])
        is_known = bool(whole) and text.startswith(whole)
        found = text.find(self.ending, start, len(whole) if is_known else None) if self.ending else -1
        # Where the turn is rendered otherwise at the end of a dialogue, the next turn must still be behind
        # the ending.
        if found >= 0 and (
            is_known or text.find(messages[number + 1]["content"].strip() or self.ending, found) >= 0
        ):
            return found + len(self.ending)
        if not is_known:
            # Thinking in front of a call may be dropped once an answer follows, what ends a turn is not.
            stop = next((stop for stop in self.control.finditer(text, start) if stop[0] in self.stops), None)
            if stop is None or text.find(messages[number + 1]["content"].strip(), stop.end()) < 0:
                raise PromptError(_UNCLEAR.format(number=number, what="ends"))
            return stop.end()
        stops = list(self.control.finditer(text, start, len(whole)))
        if self.is_closed_by_next or not stops or _partner(stops[-1][0]) in self._added():
            # Nothing but the call's own syntax: the turn ends with what begins the tool's.
            behind = self.control.match(
                text, len(whole) + len(text[len(whole) :]) - len(text[len(whole) :].lstrip())
            )
            if behind:
                return behind.end()
        return stops[-1].end() if stops else len(whole)

    def _added(self) -> set[str]:
        return {token.content for token in self.tokenizer.added_tokens_decoder.values()}

    def _with_frame(self) -> ChatPrompter:
        """Learn from probes which tokens frame turns, and which end an assistant's."""
        added, source = self._added(), str(self.tokenizer.chat_template or "")
        frame = {str(token) for token in self.tokenizer.special_tokens_map.values() if isinstance(token, str)}
        alone = prefix(self._renderer([], None)[0], [{"role": "user", "content": "Question"}])
        texts, ends, inside = [alone], set[str](), set[str]()
        for probe in PROBES:
            trained = [number for number, turn in enumerate(probe.turns) if turn.is_trained]
            try:
                text, spans, _ = self._masked(probe, trained)
            except PromptError:
                continue
            position = 0
            for start, end in spans:
                header = text[position:start]
                tokens = list(self.control.finditer(header))
                # An empty block of thinking, or its beginning, is no part of the header.
                while (
                    tokens
                    and _partner(tokens[-1][0]) in added
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
            texts.append(
                "".join(token for token in added if token in source and _partner(token) not in added)
            )
        own = {
            token for token in inside if _partner(token) in added
        }  # of calls, which a system turn may explain
        frame |= ends | {token[0] for text in texts for token in self.control.finditer(text)} - own
        return replace(self, border=_any_of(frame & added), stops=tuple(sorted(ends - inside)))

    def _learn_ending(self) -> tuple[str, bool]:
        """What stands between an answer and whatever follows, and whether only its first token does.

        The former is common to an answer at the end and one before a question.
        """
        dialogue: list[Message] = [
            {"role": "user", "content": "Question"},
            {"role": "assistant", "content": f"Answer{LAST}"},
            {"role": "user", "content": "Another"},
        ]
        try:
            render, _ = self._renderer(dialogue, None)
            inside, final = (text.partition(LAST)[2] for text in render([dialogue, dialogue[:2]]))
        except PromptError:
            return "", False
        common = common_start(inside, final)
        stops = [stop.end() for stop in self.control.finditer(common)]
        if stops:
            return common[: stops[-1]], False
        is_stopped = bool(self.control.search(final))
        # Two different control tokens may begin alike.
        ending = "" if is_stopped or self.control.search(inside) else common.rstrip()
        return ending, not is_stopped and bool(self.control.match(inside.lstrip()))

    def _generation_spans(
        self, text: str, messages: list[Message], tools: list[Message] | None, trained: list[int]
    ) -> list[Span]:
        """The template's own markers, the k-th for the k-th assistant turn."""
        from transformers.utils.chat_template_utils import render_jinja_template

        source = self.tokenizer.get_chat_template(None, tools)
        texts, spans = render_jinja_template(
            [messages],
            tools,
            chat_template=source,
            return_assistant_tokens_mask=True,
            **self.tokenizer.special_tokens_map,
        )
        answers = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
        if texts[0] != text or len(spans[0]) != len(answers):
            raise PromptError(
                f"the chat template marks {len(spans[0])} generated parts in a sample with {len(answers)} "
                "assistant turns, "
                "so the trained text cannot be told apart"
            )
        return [spans[0][answers.index(number)] for number in trained]


THINKING = re.compile(r"reasoning|\bthinking\b")
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
_UNCLEAR = (
    "cannot tell where the assistant's turn {number} {what}: the chat template rewrites the turns before or "
    "inside it"
)


def _cut_up(text: str, spans: list[Span], needs_eos: bool) -> list[Segment]:
    """Split at the borders of the trained spans and at the cuts."""
    segments: list[Segment] = []
    position = 0
    for start, end in [*spans, (len(text), len(text))]:
        for piece, is_trained in ((text[position:start], False), (text[start:end], True)):
            parts = piece.split(CUT)
            segments += [
                Segment(part, is_trained, is_apart=n > 0) for n, part in enumerate(parts) if part or n > 0
            ]
        position = end
    return [*segments, Segment("", is_trained=True, ends_turn=True)] if needs_eos else segments


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """The special tokens, and the added ones that the chat template writes."""
    source = str(tokenizer.chat_template or "")
    added = tokenizer.added_tokens_decoder.values()
    return {
        token.content
        for token in added
        if token.special or (token.content in source and not token.content.isspace())
    }


def _partner(token: str) -> str:
    """The token that would close what another opens, or open what it closes.

    <think> and </think>, [A] and [/A].
    """
    opened = re.match(r"[<\[]\|?", token)
    head = opened[0] if opened else ""
    name = token[len(head) :]
    return head + (name[1:] if name.startswith("/") else f"/{name}")


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    # One-character tokens cannot be cut in two; the longest match first, for a token may contain another.
    names = sorted({token for token in tokens if len(token) > 1}, key=lambda token: (-len(token), token))
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")


def _template_errors() -> tuple[type[Exception], ...]:
    from jinja2.exceptions import TemplateError

    return TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError
