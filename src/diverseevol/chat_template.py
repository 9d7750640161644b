"""The model's own chat template, with a mask that is right on every assistant turn, generation markers or not.

Trained on in an assistant turn is what the model has to write itself: from the end of the generation prompt to the end of
the turn's last control token (`<|im_end|>`, `</s>`, …), so an empty thinking block that the template puts in is included
and the newline behind `<|im_end|>` is not. How the turn is found in the rendered text:

* Its start is the length of the rendering of everything before it with the generation prompt, where that is a prefix of the
  whole. Where it is not (templates that rewrite earlier turns, or whose generation prompt begins an answer that training does
  not have), or where the template ignores `add_generation_prompt` and a role header follows, it is the first character of
  the content, found by a second rendering in which noncharacters (U+FDD0 …) mark where contents begin and end. That rendering
  counts only if it is the first one but for the marks.
* Its end is the marked end of the content and the template's turn ending, which is learnt from a rendering with and one
  without a turn behind. A turn that calls tools ends where the rendering up to and including it does.
* If neither finds a turn, the template's `{% generation %}` blocks are used. They come last because many of them include the
  header or leave the end of the turn out.
* A template that ends the last answer with no control token gets EOS appended, or the model would never learn to stop.

A sample is refused, never bent: no role is merged or renamed, and a turn, a tool or a call that the template silently
leaves out is an error (thinking that it drops from earlier turns is its design and is not). Thinking that a record keeps under a key of
its own (`reasoning_content`, …) is handed on: what the template writes of it in a trained turn is trained on. A user turn's separate
input follows its text on a new line, as in LLaMA-Factory. BOS is what the template writes, as `apply_chat_template` has it.

Control tokens in a record stay text: special tokens everywhere, and in everything but the assistant's own turns also
other added tokens that the template writes. They are cut behind their first character and tokenised in two parts.

Cost: two renderings a sample and one an assistant turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .chat_messages import CUT, EDGE, Message, Names, messages_of, names_of, tools_of, with_text_arguments
from .errors import PromptError
from .pool.sample import Sample, Turn
from .prompt import NOTHING_TRAINED, Segment, before_answer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FIRST, LAST = "\ufdd0", "\ufdd1"
MARKS = re.compile(f"([{FIRST}{LAST}])([0-9]+){EDGE}")
GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
Span = tuple[int, int]


@dataclass(frozen=True)
class Rendering:
    """A rendered sample; positions are characters of `text`, which still holds the cuts.

    Attributes:
        text: The rendered text.
        first: Turn number to where its content begins, for the turns whose content was found.
        last: Turn number to where its content ends.
    """

    text: str
    first: dict[int, int]
    last: dict[int, int]


@dataclass(frozen=True)
class ChatPrompter:
    """A tokenizer's chat template; `of` makes one.

    Attributes:
        tokenizer: Its template and its added tokens are used.
        control: Matches any control token.
        special: Matches any special token; these are the control tokens that an assistant may not write either.
        ending: What the template writes behind an answer; empty where it differs or there is nothing.
        marks_generation: Whether it has `{% generation %}` blocks.
        writes_control_tokens: True.
    """

    tokenizer: PreTrainedTokenizerBase
    control: re.Pattern[str]
    special: re.Pattern[str]
    ending: str
    marks_generation: bool
    writes_control_tokens: bool = True

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> ChatPrompter:
        """Read a tokenizer's control tokens and learn how its template ends a turn."""
        source = str(tokenizer.chat_template)
        added = list(tokenizer.added_tokens_decoder.values())
        special = [token.content for token in added if token.special]
        written = [token.content for token in added if token.content in source and not token.content.isspace()]
        prompter = cls(
            tokenizer=tokenizer,
            control=_any_of([*special, *written]),
            special=_any_of(special),
            ending="",
            marks_generation=bool(GENERATION.search(source)),
        )
        return replace(prompter, ending=prompter._learn_ending())

    def segments(self, sample: Sample) -> tuple[Segment, ...]:
        """Render a whole sample through the template.

        Raises:
            PromptError: the template refuses the sample, leaves a part of it out, or the trained text cannot be told apart.
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
        messages, tools = messages_of(sample, self.special, self.control), tools_of(sample.tools, self.control)
        render, messages = self._renderer(messages, tools)
        rendering = _marked(render, messages)
        _check_complete(rendering, messages, names_of(messages, tools), self.marks_generation)
        try:
            spans = [self._span(rendering, render, messages, number) for number in trained]
        except PromptError:
            if not self.marks_generation:
                raise
            spans = self._generation_spans(rendering.text, messages, tools, trained)
        for number, (start, end) in zip(trained, spans, strict=True):
            for call in messages[number].get("tool_calls", []):
                if call["function"]["name"] not in rendering.text[start:end]:
                    raise PromptError(f"the chat template leaves out the call of {call['function']['name']!r} in turn {number}")
            thinking = messages[number].get("reasoning_content", "")
            if number == len(messages) - 1 and thinking.strip() not in rendering.text[start:end]:
                raise PromptError(NO_THINKING)
        is_last = trained[-1] == len(messages) - 1
        if is_last and not self.control.search(rendering.text, max(spans[-1][0], rendering.last.get(trained[-1], 0))):
            return rendering.text, [*spans[:-1], (spans[-1][0], len(rendering.text))], True
        return rendering.text, spans, False

    def _renderer(self, messages: list[Message], tools: list[Message] | None) -> tuple[Render, list[Message]]:
        """A function that renders lists of messages, and the messages in the form this template takes."""

        def render(dialogues: Sequence[list[Message]], is_asked: bool = False) -> list[str]:
            try:
                texts = self.tokenizer.apply_chat_template(
                    list(dialogues), tools=tools, tokenize=False, add_generation_prompt=is_asked
                )
            except _template_errors() as error:
                raise PromptError(f"the chat template refuses the sample: {error or type(error).__name__}") from error
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
        before = _prefix(render, messages[:number])
        prompt = _prefix(render, messages[:number], is_asked=True)
        # A prompt that is no longer than what stands before it asks for nothing: behind it comes the role's header.
        is_found = number in rendering.first
        asks = prompt != before or ("tool_calls" in messages[number] if not is_found else not text[len(prompt) : first].strip())
        if prompt and asks and text.startswith(prompt) and len(prompt) <= first:
            return len(prompt)
        if is_found:
            # A space before the content belongs to its first token; behind a prompt it would be a token of its own.
            return len(text[:first].rstrip(" "))
        return self._start_of_header(text, before, prompt, number)

    def _start_of_header(self, text: str, before: str, prompt: str, number: int) -> int:
        """What the generation prompt and the text have in common, up to the last newline or control token in it."""
        common = _common(text, prompt)
        borders = [common.rfind("\n") + 1, *(token.end() for token in self.control.finditer(common))]
        if not before or not text.startswith(before) or max(borders) <= len(before):
            raise PromptError(_UNCLEAR.format(number=number, what="begins"))
        return max(borders)

    def _end(self, rendering: Rendering, render: Render, messages: list[Message], number: int, start: int) -> int:
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

    def _end_of_turn(self, text: str, render: Render, messages: list[Message], number: int, start: int) -> int:
        """The end of a turn whose last character is not its content's: behind the ending, or the last control token."""
        is_final = number == len(messages) - 1
        whole = text if is_final else _prefix(render, messages[: number + 1])
        is_known = bool(whole) and text.startswith(whole)
        found = text.find(self.ending, start, len(whole) if is_known else None) if self.ending else -1
        # Where the turn is rendered otherwise at the end of a dialogue, the next turn must still be behind the ending.
        if found >= 0 and (is_known or text.find(messages[number + 1]["content"].strip() or self.ending, found) >= 0):
            return found + len(self.ending)
        if not is_known:
            raise PromptError(_UNCLEAR.format(number=number, what="ends"))
        stops = [stop.end() for stop in self.control.finditer(text, start, len(whole))]
        return stops[-1] if stops else len(whole)

    def _learn_ending(self) -> str:
        """What stands between an answer and whatever follows: common to an answer at the end and one before a question."""
        dialogue: list[Message] = [
            {"role": "user", "content": "Question"},
            {"role": "assistant", "content": f"Answer{LAST}"},
            {"role": "user", "content": "Another"},
        ]
        try:
            render, _ = self._renderer(dialogue, None)
            inside, final = (text.partition(LAST)[2] for text in render([dialogue, dialogue[:2]]))
        except PromptError:
            return ""
        common = _common(inside, final)
        stops = [stop.end() for stop in self.control.finditer(common)]
        if stops:
            return common[: stops[-1]]
        # Two different control tokens may begin alike.
        return "" if self.control.search(inside) or self.control.search(final) else common.rstrip()

    def _generation_spans(
        self, text: str, messages: list[Message], tools: list[Message] | None, trained: list[int]
    ) -> list[Span]:
        """The template's own markers, the k-th for the k-th assistant turn."""
        from transformers.utils.chat_template_utils import render_jinja_template

        source = self.tokenizer.get_chat_template(None, tools)
        texts, spans = render_jinja_template(
            [messages], tools, chat_template=source, return_assistant_tokens_mask=True, **self.tokenizer.special_tokens_map
        )
        answers = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
        if texts[0] != text or len(spans[0]) != len(answers):
            raise PromptError(
                f"the chat template marks {len(spans[0])} generated parts in a sample with {len(answers)} assistant turns, "
                "so the trained text cannot be told apart"
            )
        return [spans[0][answers.index(number)] for number in trained]


NO_THINKING = "the chat template leaves out the thinking of the last answer, so it could not be learnt"
Render = Callable[..., list[str]]
_UNCLEAR = "cannot tell where the assistant's turn {number} {what}: the chat template rewrites the turns before or inside it"


def _marked(render: Render, messages: list[Message]) -> Rendering:
    """Render plainly and with marked contents; marks that change the text elsewhere are not trusted."""
    text, marked = render([messages, _with_marks(messages, has_first=True, is_inside=False)])
    if MARKS.sub("", marked) != text:
        # Blanks at the ends may be stripped.
        marked = render([_with_marks(messages, has_first=True, is_inside=True)])[0]
    if MARKS.sub("", marked) != text:
        # How an answer begins may be looked at.
        marked = render([_with_marks(messages, has_first=False, is_inside=True)])[0]
    if MARKS.sub("", marked) != text:
        return Rendering(text, {}, {})
    found: dict[str, dict[int, int]] = {FIRST: {}, LAST: {}}
    n_before = 0
    for mark in MARKS.finditer(marked):
        found[mark[1]][int(mark[2])] = mark.start() - n_before
        n_before += len(mark[0])
    return Rendering(text, found[FIRST], found[LAST])


def _with_marks(messages: list[Message], has_first: bool, is_inside: bool) -> list[Message]:
    """The assistants' contents with a numbered mark at both ends, `is_inside` the blanks there."""
    marked = []
    for number, message in enumerate(messages):
        content = message["content"]
        if message["role"] == "assistant" and (content.strip() or "tool_calls" not in message):
            core = content.strip() if is_inside else content
            before, _, after = content.partition(core) if core else (content, "", "")
            first = f"{FIRST}{number}{EDGE}" if has_first else ""
            message = {**message, "content": f"{before}{first}{core}{LAST}{number}{EDGE}{after}"}
        marked.append(message)
    return marked


def _prefix(render: Render, messages: list[Message], is_asked: bool = False) -> str:
    """The rendering of a dialogue's first messages; empty where there are none or the template refuses them."""
    try:
        return render([messages], is_asked)[0] if messages else ""
    except PromptError:
        return ""


def _common(one: str, other: str) -> str:
    n_same = next((number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[:n_same]


def _check_complete(rendering: Rendering, messages: list[Message], names: Names, may_rewrite: bool) -> None:
    """Refuse a rendering that leaves something out without a word; with markers of its own it may rewrite answers."""
    text = rendering.text
    for number, message in enumerate(messages):
        core = message["content"].strip()
        if may_rewrite and message["role"] == "assistant":
            continue
        # Some templates write a tool's answer as a JSON string.
        if not (number in rendering.last or core in text or json.dumps(core, ensure_ascii=False)[1:-1] in text):
            raise PromptError(f"the chat template leaves out or rewrites turn {number}, of role {message['role']}")
    for kind, name in names:
        if name not in text:
            raise PromptError(f"the chat template leaves out the {kind} {name!r}")
    last = messages[-1]["content"]
    if "</think>" in last and last.partition("</think>")[0].rpartition("<think>")[2].strip() not in text:
        raise PromptError(NO_THINKING)


def _cut_up(text: str, spans: list[Span], needs_eos: bool) -> list[Segment]:
    """Split at the borders of the trained spans and at the cuts."""
    segments: list[Segment] = []
    position = 0
    for start, end in [*spans, (len(text), len(text))]:
        for piece, is_trained in ((text[position:start], False), (text[start:end], True)):
            parts = piece.split(CUT)
            segments += [Segment(part, is_trained, is_apart=n > 0) for n, part in enumerate(parts) if part or n > 0]
        position = end
    return [*segments, Segment("", is_trained=True, ends_turn=True)] if needs_eos else segments


def _any_of(tokens: list[str]) -> re.Pattern[str]:
    # One-character tokens cannot be cut in two; the longest match first, for a token may contain another.
    names = sorted({token for token in tokens if len(token) > 1}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")


def _template_errors() -> tuple[type[Exception], ...]:
    from jinja2.exceptions import TemplateError

    return TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError
