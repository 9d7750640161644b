"""Where a pool holds benchmarks' questions: word for word in any of its texts, or nearly in what a user asks.

Word for word: Lambert et al., "Tülu 3" (2024, https://arxiv.org/abs/2411.15124), section on decontamination:
phrases of 8 words, and half of a question's words in such phrases. Brown et al. ("Language Models are
Few-Shot Learners", 2020, appendix C) take any 13 words in a row, which on questions with code or quotations
finds `for int i 0 i n i …` and proverbs, and not a question with one word changed. A question of fewer than 8
words is common speech, so a user's turn must consist of it.

Nearly: the same up to a word or two, by the Jaccard similarity of their shingles, counted exactly. The raw
embeddings of a base model lie so close together that no threshold tells a rewording from another question.
Cost: one look-up a word and a shingle, whatever the number of questions. Shape letters: R records.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..base.files import hash_sampled
from ..base.progress import Watch
from ..errors import PoolError
from .benchmarks import find_file, parse_benchmark, questions_in
from .duplicates import folded, plain, shingles
from .pool import Records
from .sample import Sample

N_WORDS = 8
MIN_SHARE = 0.5
"""Of a question's words that must be found."""
N_START = 4
"""Words by which phrases are looked up: rare enough to have few phrases each."""
THRESHOLD = 0.7
"""The least similarity of a question that is nearly what a user asks."""
# Thai and Lao, Burmese, Khmer, kana, Han: scripts that set no blanks between words.
UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0x20000, 0x3FFFF),
)

Words = tuple[str, ...]


class Question(NamedTuple):
    """One text that a benchmark asks; the turns of a question are so many texts with one id."""

    benchmark: str
    id: str
    text: str


@dataclass(frozen=True)
class Benchmark:
    """A benchmark's questions; `fingerprint` is a short hash of its file and the field."""

    name: str
    questions: tuple[Question, ...]
    fingerprint: str


class Match(NamedTuple):
    """A record, by position, and a question that it holds.

    Attributes:
        position: The record.
        question: The question.
        kind: words (a phrase of it, or all of it), or similar (nearly all of a user's turn).
        score: Of words, the share of the question's words that were found in a row; of similar, the Jaccard
            similarity.
        matched: What was found.
        role: Whose turn it was in.
    """

    position: int
    question: Question
    kind: str
    score: float
    matched: str
    role: str


def read_benchmarks(names: Sequence[str]) -> list[Benchmark]:
    """Read benchmarks: a known NAME, NAME=FILE, NAME=FILE:FIELD, or just FILE.

    Raises:
        ConfigError: a name without a file is unknown.
        EvaluationError: a file has no questions, or a known benchmark is neither on the Hub nor in its cache
            here.
        PoolError: a file is not there or cannot be read, or two benchmarks have the same name.
    """
    read: dict[str, Benchmark] = {}
    for word in names:
        asked = parse_benchmark(word)
        file, name = asked.file or find_file(asked.name, None), asked.name
        if not file.is_file():
            raise PoolError(
                f"no benchmark file {str(file)!r} (pool.decontaminate: {word!r}). "
                "Give NAME=FILE, or NAME=FILE:FIELD for a column of another name."
            )
        if name in read:
            twice = f"pool.decontaminate names two benchmarks {name!r}"
            raise PoolError(f"{twice}. Tell them apart: NAME=FILE.")
        items = questions_in(file, asked)
        questions = tuple(Question(name, str(one.id), text) for one in items for text in one.turns)
        hashed = hashlib.blake2b(f"{asked.field}\0".encode(), digest_size=8)
        hash_sampled(hashed, file)
        read[name] = Benchmark(name, questions, hashed.hexdigest())
    return list(read.values())


class _Letters(dict[int, str]):
    """What each character becomes in `words`, found out when it is first met."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        if unicodedata.category(letter)[0] not in "LMN":
            letter = " "
        elif any(low <= code <= high for low, high in UNSPACED):
            letter = f" {letter} "
        self[code] = letter
        return letter


_LETTERS = _Letters()


def words(text: str) -> list[str]:
    """A text's words, letters and digits alone, in lower case, so that no sign between them hides a phrase.

    Scripts that set no blanks between words give a word a character.
    """
    return folded(text).translate(_LETTERS).split()


def find_contamination(
    records: Records, is_in: NDArray[np.bool_], benchmarks: Sequence[Benchmark], watch: Watch
) -> list[Match]:
    """Every record with every question that it holds, by position; the best match of each pair.

    Args:
        records: The records.
        is_in: Which of them count; bool[R].
        benchmarks: The questions.
        watch: Sees the progress.
    """
    questions = [question for benchmark in benchmarks for question in benchmark.questions]
    wanted = Questions([question.text for question in questions])
    found: list[Match] = []
    with watch.task("compare with benchmarks", int(is_in.sum()), "rows") as task:
        for position, sample in records.some(is_in):
            best: dict[int, Match] = {}
            # Word for word before similar, then the highest score, then the first.
            matches = list(wanted.in_sample(sample))
            matches.sort(key=lambda match: (match[1] == "words", match[0].score), reverse=True)
            for one, kind, role in matches:
                match = Match(position, questions[one.question], kind, one.score, one.matched, role)
                best.setdefault(one.question, match)
            found += [best[number] for number in sorted(best)]
            task.advance()
    return found


class Found(NamedTuple):
    """A question found in a text: its number, the score and what was matched, as in `Match`."""

    question: int
    score: float
    matched: str


class Questions:
    """Questions, known by their numbers, ready to be looked for."""

    def __init__(self, questions: Sequence[str]) -> None:
        self.words = [tuple(words(question)) for question in questions]
        self._phrases: dict[Words, list[tuple[Words, int, int]]] = defaultdict(list)
        self._whole: dict[Words, list[int]] = defaultdict(list)
        self._sizes: list[int] = []
        self._having: dict[str, list[int]] = defaultdict(list)
        for number, (question, own) in enumerate(zip(questions, self.words, strict=True)):
            if 0 < len(own) < N_WORDS:
                self._whole[own].append(number)
            for start in range(len(own) - N_WORDS + 1):
                phrase = own[start : start + N_WORDS]
                self._phrases[phrase[:N_START]].append((phrase, number, start))
            own_shingles = shingles(plain(question))
            self._sizes.append(len(own_shingles))
            for shingle in own_shingles:
                self._having[shingle].append(number)

    def in_sample(self, sample: Sample) -> Iterator[tuple[Found, str, str]]:
        """The questions that a sample holds, each with the kind and the role of its match."""
        for turn in sample.turns:
            for text in filter(None, (turn.thinking, turn.text, turn.input)):
                yield from ((found, "words", turn.role) for found in self.inside(text))
            if turn.role == "user":
                for text in [turn.text, f"{turn.text}\n{turn.input}"] if turn.input else [turn.text]:
                    own = tuple(words(text))
                    for number in self._whole.get(own, ()):
                        yield Found(number, 1.0, " ".join(own)), "words", turn.role
                    yield from ((found, "similar", turn.role) for found in self.similar(text))

    def inside(self, text: str) -> list[Found]:
        """The questions of which enough phrases occur in a text."""
        own = words(text)
        covered: dict[int, set[int]] = defaultdict(set)
        for at, start in enumerate(zip(*(own[offset:] for offset in range(N_START)), strict=False)):
            for phrase, number, place in self._phrases.get(start, ()):
                if tuple(own[at : at + N_WORDS]) == phrase:
                    covered[number].update(range(place, place + N_WORDS))
        found = []
        for number, places in sorted(covered.items()):
            asked, first = self.words[number], min(places)
            last = next(place for place in range(first, len(asked) + 1) if place not in places)
            score = len(places) / len(asked)
            if score >= MIN_SHARE:
                found.append(Found(number, score, " ".join(asked[first:last])))
        return found

    def similar(self, text: str) -> list[Found]:
        """The questions that are nearly a text, ascending."""
        own = shingles(plain(text))
        if len(own) * THRESHOLD > max(self._sizes, default=0):
            return []
        n_both = Counter(chain.from_iterable(self._having.get(shingle, ()) for shingle in own))
        alike = ((number, n / (len(own) + self._sizes[number] - n)) for number, n in sorted(n_both.items()))
        return [Found(number, similarity, text) for number, similarity in alike if similarity >= THRESHOLD]
