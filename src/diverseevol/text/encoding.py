"""From segments of text to token ids and the loss mask.

A chunk of text is tokenised whole, never prompt and response apart, and the mask follows from the tokens'
character offsets: a token is trained on if it holds at least one character of a trained segment, so one that
straddles the border is; an added token that takes in the blanks beside it (`lstrip`, `rstrip`) belongs where
its own text stands. EOS is an id, not text; a new chunk begins behind it and at the segments that are to be
kept apart. Ids are cut at the right to `max_length`, BOS and EOS included; a response that is cut has no EOS.

The tokenizer's backend is copied, and truncation, padding and post-processor are taken off the copy (a
post-processor adds BOS, some add EOS, and byte-level ones shift offsets over blanks). BOS, and whatever else
the tokenizer puts in front, is added as ids under the Alpaca template; a chat template writes its own.

Cost: the tokenizer's own batch call (all cores), plus two look-ups a trained segment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from ..config import PromptConfig
from ..data.sample import Sample
from ..errors import PromptError
from .chat_template import ChatPrompter
from .prompt import AlpacaPrompter, Prompter, Segment, resolve_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PRIVATE_USE = "\ue123"
USUAL_TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
TAG = re.compile(r"<[|/]{0,2}\w+\|?>|\[/?[A-Z_]+\]")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A row's tokens.

    Attributes:
        ids: Token ids, at most `max_length`; none if the row is refused.
        spans: Half-open ranges of `ids` that the loss counts, in order.
        n_full: How many ids there would be without a limit.
        refused: Why the template or the tokenizer refuses the row, else None.
    """

    ids: list[int]
    spans: tuple[tuple[int, int], ...]
    n_full: int
    refused: str | None = None

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Which of `ids` the loss counts."""
        mask = np.zeros(len(self.ids), dtype=np.bool_)
        for start, end in self.spans:
            mask[start:end] = True
        return mask


@dataclass(slots=True)
class _Chunk:
    """Text that is tokenised at once, and what of it is trained on."""

    text: str
    spans: list[tuple[int, int]] = field(default_factory=list)
    goes_on: bool = False
    has_eos: bool = False
    is_eos_trained: bool = False


class Encoder:
    """A tokenizer and a template, ready to encode samples in batches.

    Attributes:
        prompter: The template that `prompt.template` stands for.
        stops: The ids that end an answer: EOS, and what the template ends an assistant's turn with.
        frame: The ids that are no part of an answer: EOS, padding and what frames turns.
        fingerprint: A text that differs wherever the same sample may give other ids or another mask.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: PromptConfig) -> None:
        """Copy the tokenizer's backend and learn what it puts in front of a text.

        Raises:
            PromptError: the tokenizer has no EOS token, or no chat template where one is asked for.
        """
        if tokenizer.eos_token_id is None:
            raise PromptError(
                f"the tokenizer of {tokenizer.name_or_path!r} has no EOS token, so a model could not learn "
                "to stop. Set its eos_token."
            )
        self.prompter: Prompter = make_prompter(prompt, tokenizer)
        self._eos = int(tokenizer.eos_token_id)
        self._max_length = prompt.max_length
        written = tokenizer.backend_tokenizer.to_str()
        self._backend = Tokenizer.from_str(written)
        self._backend.no_truncation()
        self._backend.no_padding()
        self._front = [] if self.prompter.writes_bos else _front(self._backend)
        self._backend.post_processor = None
        self._backend.encode_special_tokens = False
        added = self._backend.get_added_tokens_decoder()
        self._added = frozenset(added)
        border, stops = self.prompter.border, self.prompter.stops
        padding = [] if tokenizer.pad_token_id is None else [int(tokenizer.pad_token_id)]
        framing = [number for number, token in added.items() if border.fullmatch(token.content)]
        self.frame = {self._eos, *padding, *framing}
        self.stops = {self._eos, *(number for number, token in added.items() if token.content in stops)}
        # SentencePiece puts a blank in front of a text. A chunk that goes on in the middle of one gets none:
        # it is tokenised behind a newline, whose ids are dropped again.
        self._newline = self._ids("\n")
        self._is_led = self._ids("\na")[len(self._newline) :] != self._ids("a")
        # BPE models without an unknown token drop characters *and shift every later offset*. Such characters
        # are taken out before, which gives the same ids and true offsets (where a pre-tokenizer makes words
        # first, the shift ends with the word; they stay).
        splitter = self._backend.pre_tokenizer
        is_unsplit = splitter is None or len(splitter.pre_tokenize_str("One (1), two\n_2.")) == 1
        self._is_lossy = is_unsplit and self._is_dropped(PRIVATE_USE)
        self._dropped: dict[str, bool] = {}
        if self.prompter.writes_bos:
            self._check_tags(tokenizer)
        template = str(tokenizer.chat_template) if self.prompter.writes_bos else "alpaca"
        told = [written, template, tokenizer.special_tokens_map, prompt.max_length]
        self.fingerprint = json.dumps(told, default=str)

    def _check_tags(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Refuse a chat template whose control tokens this tokenizer cannot tell apart."""
        for tag in sorted(set(TAG.findall(str(tokenizer.chat_template)))):
            ids = self._ids(tag)
            if tokenizer.unk_token_id in ids or (self._is_lossy and self._less_dropped(tag) != tag):
                raise PromptError(
                    f"the tokenizer of {tokenizer.name_or_path!r} cannot represent {tag!r}, which its chat "
                    f"template writes: it reads {self._backend.decode(ids, skip_special_tokens=False)!r}. "
                    "Add the token to the tokenizer and a row to the model's embedding, or set "
                    "prompt.template=alpaca."
                )

    def encode(self, samples: Sequence[Sample]) -> list[Encoded]:
        """Encode samples, in order; a row that is refused has no ids and a reason."""
        rows: list[list[_Chunk] | str] = []
        for sample in samples:
            try:
                rows.append(self._chunks(self.prompter.segments(sample)))
            except PromptError as error:
                rows.append(str(error))
        encodings = self._encodings([chunk for row in rows if not isinstance(row, str) for chunk in row])
        encoded, limit = [], self._max_length
        for row in rows:
            if isinstance(row, str):
                encoded.append(Encoded([], (), 0, row))
                continue
            ids, spans = self._join(row, encodings)
            kept = tuple((start, min(end, limit)) for start, end in spans if start < limit)
            encoded.append(Encoded(ids[:limit], kept, len(ids)))
        return encoded

    def encode_prompt(self, sample: Sample) -> list[int]:
        """Encode what a model is asked to go on from, uncut: the ids before the sample's last trained answer.

        They are the training ids up to the answer, except where one token holds the last character of the
        prompt and the first of the answer.

        Raises:
            PromptError: the template or the tokenizer refuses the sample.
        """
        chunks = self._chunks(self.prompter.generation_segments(sample))
        return self._join(chunks, self._encodings(chunks))[0]

    def _encodings(self, chunks: list[_Chunk]) -> Iterator[Encoding]:
        texts = ["\n" + chunk.text if chunk.goes_on and self._is_led else chunk.text for chunk in chunks]
        return iter(self._backend.encode_batch(texts, add_special_tokens=False))

    def _chunks(self, segments: Sequence[Segment]) -> list[_Chunk]:
        """Join segments up to the next EOS or border."""
        chunks: list[_Chunk] = []
        chunk: _Chunk | None = None
        for segment in segments:
            if chunk is None or segment.is_apart:
                chunk = _Chunk("", goes_on=bool(chunks))
                chunks.append(chunk)
            text = self._checked(segment.text)
            if segment.is_trained and text:
                chunk.spans.append((len(chunk.text), len(chunk.text) + len(text)))
            chunk.text += text
            if segment.ends_turn:
                chunk.has_eos, chunk.is_eos_trained = True, segment.is_trained
                chunk = None
        if self._is_lossy and any(segment.is_trained and segment.text.strip() for segment in segments):
            said = "".join(chunk.text[start:end] for chunk in chunks for start, end in chunk.spans)
            if not said.strip():
                raise PromptError("the tokenizer has no token for any character of the response")
        return chunks

    def _checked(self, text: str) -> str:
        """The text less the characters that the tokenizer would drop."""
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise PromptError(
                    "the text holds half a surrogate pair, which no tokenizer takes. Repair its encoding"
                ) from None
        less = self._less_dropped(text) if self._is_lossy else text
        if len(less) < len(text) and any(less.count(tag) != text.count(tag) for tag in USUAL_TAGS):
            tag = next(tag for tag in USUAL_TAGS if tag in text and self._less_dropped(tag) != tag)
            raise PromptError(
                f"the tokenizer cannot represent {tag!r}: it would read {self._less_dropped(tag)!r}"
            )
        return less

    def _less_dropped(self, text: str) -> str:
        for character in set(text):
            if character not in self._dropped:
                self._dropped[character] = self._is_dropped(character)
            if self._dropped[character]:
                text = text.replace(character, "")
        return text

    def _is_dropped(self, character: str) -> bool:
        return self._ids(f"a{character}a") == self._ids("aa")

    def _ids(self, text: str) -> list[int]:
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def _join(
        self, chunks: list[_Chunk], encodings: Iterator[Encoding]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """All ids of a row, and the ranges of them that are trained on."""
        ids, spans = list(self._front), list[tuple[int, int]]()
        for chunk in chunks:
            encoding = next(encodings)
            n_lead = len(self._newline) if chunk.goes_on and self._is_led else 0
            if n_lead and encoding.ids[:n_lead] != self._newline:
                encoding, n_lead = self._gone_on(chunk.text)
            # The ids and the one character in front of a chunk that goes on shift its own.
            shift, n_before = len(ids) - n_lead, min(n_lead, 1)
            for start, end in chunk.spans:
                to = n_before + end if end < len(chunk.text) else None
                first, last = token_range(encoding, n_before + start, to)
                while first < last and self._is_beside(encoding, first, chunk.text, n_before, start, end):
                    first += 1
                while first < last and self._is_beside(encoding, last - 1, chunk.text, n_before, start, end):
                    last -= 1
                if first < last and spans and spans[-1][1] == first + shift:
                    spans[-1] = (spans[-1][0], last + shift)
                elif first < last:
                    spans.append((first + shift, last + shift))
            ids += encoding.ids[n_lead:]
            if chunk.has_eos:
                ids.append(self._eos)
                if chunk.is_eos_trained:
                    spans.append((len(ids) - 1, len(ids)))
        return ids, spans

    def _is_beside(
        self, encoding: Encoding, token: int, text: str, n_before: int, start: int, end: int
    ) -> bool:
        """Whether a token is an added one whose own text, less blanks, begins outside `start` to `end`."""
        if encoding.ids[token] not in self._added:
            return False
        first, last = (place - n_before for place in encoding.offsets[token])
        held = text[max(first, 0) : last]
        return not start <= max(first, 0) + len(held) - len(held.lstrip()) < end

    def _gone_on(self, text: str) -> tuple[Encoding, int]:
        """Tokenise behind a character that does not melt into the text; how many ids it has, 0: none does."""
        for lead in ":~x":
            encoding, lead_ids = self._backend.encode(lead + text, add_special_tokens=False), self._ids(lead)
            if lead_ids and encoding.ids[: len(lead_ids)] == lead_ids:
                return encoding, len(lead_ids)
        return self._backend.encode(text, add_special_tokens=False), 0


def make_prompter(prompt: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> Prompter:
    """Make the template that `prompt.template` stands for with this tokenizer.

    Raises:
        PromptError: `chat` is asked for and the tokenizer has no chat template.
    """
    template, chat = resolve_template(prompt, tokenizer), ChatPrompter.of(tokenizer)
    return chat if template == "chat" else AlpacaPrompter(chat.control, chat.border)


def token_range(encoding: Encoding, start: int, end: int | None) -> tuple[int, int]:
    """Find the tokens that hold one of the characters `start` to `end` (exclusive): a half-open range.

    `end` is None where the range goes to the end of the text, which spares a slow look-up.
    """
    n_tokens = len(encoding)
    first = _first_token(encoding, start, n_tokens)
    if end is None:
        return first, n_tokens
    last = _first_token(encoding, end, n_tokens)
    # The token found at `end` may itself begin before it, and several may share that character.
    while last < n_tokens and (encoding.token_to_chars(last) or (end, end))[0] < end:
        last += 1
    return first, last


def _first_token(encoding: Encoding, character: int, n_tokens: int) -> int:
    """The first token that ends behind a character."""
    token = encoding.char_to_token(character)
    if token is not None:
        return int(token)
    # No token holds this very character: a normalizer took it out, or it is the end of the text.
    return next((number for number, (_, end) in enumerate(encoding.offsets) if end > character), n_tokens)


def _front(backend: Tokenizer) -> list[int]:
    """The ids that the tokenizer puts before any text: BOS, or nothing."""
    text, whole = backend.encode(" the a", add_special_tokens=False).ids, backend.encode(" the a").ids
    places = range(len(whole) - len(text) + 1)
    return list(whole[: next((place for place in places if whole[place : place + len(text)] == text), 0)])
