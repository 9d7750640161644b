"""Benchmarks: which are known by name, and the questions in a file of one. Loads no torch.

    vicuna     80    Vicuna (Chiang et al., 2023, https://lmsys.org/blog/2023-03-30-vicuna)
    koala      180   Koala (Geng et al., 2023, https://bair.berkeley.edu/blog/2023/04/03/koala)
    wizardlm   218   WizardLM (Xu et al., 2023, https://arxiv.org/abs/2304.12244)
    mt_bench   80    MT-Bench, two turns (Zheng et al., 2023, https://arxiv.org/abs/2306.05685)
    alpaca_eval 805  AlpacaEval (Li et al., 2023, https://github.com/tatsu-lab/alpaca_eval)

DiverseEvol used the first three. Any other file is a benchmark of its user's own: JSON lines or an array,
also packed (.gz, .zst). A question is a text, or a list of texts where it has several turns. Nothing is
mended or left out: a record without a question stops everything, for scores over fewer questions would not
compare with others'. A file that differs from the known one is used, and the difference is said.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..base.files import expanded
from ..errors import ConfigError, EvaluationError
from .json_files import records_in

ID_FIELDS = ("question_id", "id", "idx", "prompt_id")
FIELDS = ("text", "prompt", "Instruction", "instruction", "question", "turns")
"""Where a question is looked for in a file of no known benchmark, if no field is named."""


@dataclass(frozen=True, slots=True)
class KnownBenchmark:
    """A benchmark known by name: where its file lies on the web, and on the Hub where it does."""

    fields: tuple[str, ...]
    """Names that the question's field goes by in the files that are about."""
    n_questions: int
    address: str
    hub_id: str | None = None
    hub_file: str = ""
    hub_type: str = "dataset"
    sha256: str | None = None
    """Of the file as DiverseEvol used it; None: not known, so not checked."""
    category: str = "category"
    """The field that sorts questions into kinds."""


RAW = "https://raw.githubusercontent.com"
HUB = "https://huggingface.co"
KNOWN = {
    "vicuna": KnownBenchmark(
        fields=("text", "turns"),
        n_questions=80,
        address=f"{RAW}/lm-sys/FastChat/main/fastchat/llm_judge/data/vicuna_bench/question.jsonl",
        sha256="590c39157bc561eadd7f03cad4be18c2b597f93029780af65f86718f39eafa87",
    ),
    "koala": KnownBenchmark(
        fields=("prompt",),
        n_questions=180,
        address=f"{RAW}/arnav-gudibande/koala-test-set/main/koala_test_set.jsonl",
        sha256="c8cda5c53810dc30aad34fabbb828fe3eba0957119e00916650c971905d19886",
    ),
    "wizardlm": KnownBenchmark(
        fields=("Instruction",),
        n_questions=218,
        address=f"{RAW}/nlpxucan/WizardLM/main/WizardLM/data/WizardLM_testset.jsonl",
        sha256="1a39103c4ad7e0b68a0f7ed770f13a60cc60749418263dafb20cfe8f5e51901e",
        category="Skill",
    ),
    "mt_bench": KnownBenchmark(
        fields=("turns", "prompt"),
        n_questions=80,
        address=f"{HUB}/spaces/lmsys/mt-bench/raw/main/data/mt_bench/question.jsonl",
        hub_id="lmsys/mt-bench",
        hub_file="data/mt_bench/question.jsonl",
        hub_type="space",
    ),
    "alpaca_eval": KnownBenchmark(
        fields=("instruction",),
        n_questions=805,
        address=f"{HUB}/datasets/tatsu-lab/alpaca_eval/resolve/main/alpaca_eval.json",
        hub_id="tatsu-lab/alpaca_eval",
        hub_file="alpaca_eval.json",
        category="dataset",
    ),
}
FILE_NAMES = ("{name}.jsonl", "{name}.json", "{name}_test_set.jsonl")


@dataclass(frozen=True, slots=True)
class Asked:
    """What `NAME[=FILE[:FIELD]]` says; without a file it is the known benchmark's own."""

    name: str
    file: Path | None
    field: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        id: A number or a text under question_id, id, idx or prompt_id, else its number counted from 1.
        turns: What the user says, turn by turn; at least one.
        input: Text that the question is about, kept apart because the Alpaca template has a slot of its own
            for it.
        category: The kind of question, where the file sorts them.
    """

    id: int | str
    turns: tuple[str, ...]
    input: str = ""
    category: str | None = None


def parse_benchmark(word: str) -> Asked:
    """Take `NAME[=FILE[:FIELD]]` apart, or a FILE by itself, whose name is then the benchmark's.

    Raises:
        ConfigError: the name is unknown and no file is given.
    """
    name, equals, place = word.partition("=")
    if _is_file(word):
        name, equals, place = Path(word).name.split(".")[0], "=", word
    known = KNOWN.get(name)
    if not equals:
        if known is None:
            raise ConfigError(
                f"no benchmark is called {name[:60]!r}. Known: {', '.join(KNOWN)}; or give NAME=FILE:FIELD."
            )
        return Asked(name, None, None)
    file, colon, field = place.rpartition(":")
    if not colon or not field or "/" in field or _is_file(place):
        file, field = place, ""
    if not file:
        raise ConfigError(
            f"--benchmark {word!r} names no file. Give NAME=FILE:FIELD, such as my=questions.jsonl:question."
        )
    return Asked(name, Path(expanded(file)), field or None)


def _is_file(word: str) -> bool:
    try:
        return Path(expanded(word)).is_file()
    except OSError:  # too long to be one
        return False


def find_file(name: str, folder: Path | None) -> Path:
    """The file of a known benchmark: in `folder` if it is there, else from the Hub or its cache here.

    Raises:
        EvaluationError: it is in neither.
    """
    known, looked = KNOWN[name], ""
    if folder is not None:
        names = [pattern.format(name=name) for pattern in FILE_NAMES]
        if found := next(filter(Path.is_file, map(folder.joinpath, names)), None):
            return found
        looked = f"{folder} holds none of {', '.join(names)}, and "
    if known.hub_id is None:
        raise EvaluationError(
            f"no questions for {name}: {looked}they are not on the Hub. "
            f"Download {known.address} and give --benchmark {name}=FILE."
        )
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download(known.hub_id, known.hub_file, repo_type=known.hub_type))
    except (OSError, ValueError, HfHubHTTPError) as error:
        said = " ".join(str(error).split())[:150]
        raise EvaluationError(
            f"no questions for {name}: {looked}the Hub's {known.hub_id} gave {type(error).__name__}: {said}. "
            f"Check the network and HF_HUB_OFFLINE, or download {known.address} and give "
            f"--benchmark {name}=FILE."
        ) from None


def questions_in(file: Path, asked: Asked) -> tuple[Question, ...]:
    """The questions of a file, in its order, by the field that `asked` names or those of the benchmark.

    Raises:
        EvaluationError: it holds none, it is not readable, or a record has no question.
    """
    known = KNOWN.get(asked.name)
    fields = (asked.field,) if asked.field else known.fields if known else FIELDS
    category = known.category if known else "category"
    items = []
    for number, (place, record) in enumerate(records_in(file, EvaluationError), 1):
        there = [name for name in fields if name in record]
        if not there:
            keys = ", ".join(list(record)[:12]) or "none"
            found = f"{place} has no field {' or '.join(fields)}; it has {keys}"
            raise EvaluationError(f"{found}. Name one: NAME=FILE:FIELD.")
        field = next((name for name in there if record[name] is not None), there[0])
        value, kind, given = record[field], record.get(category), record.get("input")
        turns = tuple(value) if isinstance(value, list) else (value,)
        if not turns or not all(isinstance(turn, str) and turn.strip() for turn in turns):
            found = f"{place}: {field!r} is {json.dumps(value)[:80]}, not a question"
            raise EvaluationError(f"{found}. Repair the file.")
        own = next((record[key] for key in ID_FIELDS if isinstance(record.get(key), int | str)), number)
        text = given if isinstance(given, str) and field == "instruction" else ""
        items.append(Question(own, turns, text, kind if isinstance(kind, str) else None))
    if not items:
        raise EvaluationError(f"{file} holds no questions.")
    return tuple(items)


def differences(name: str, file: Path, n_questions: int, texts: Sequence[str]) -> list[str]:
    """How a file differs from the known benchmark's, and which questions are asked twice; a sentence each."""
    said = []
    if known := KNOWN.get(name):
        if n_questions != known.n_questions:
            count = f"{n_questions} questions, the benchmark has {known.n_questions}"
            said.append(f"{name}: {file} holds {count}")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if known.sha256 is None:
            said.append(f"{name}: the file's hash is not checked, for none is known (sha256 {digest[:12]}…)")
        elif digest != known.sha256:
            hashes = f"sha256 {digest[:12]}… instead of {known.sha256[:12]}…"
            said.append(f"{name}: {file} is not the file that DiverseEvol used ({hashes})")
    first: dict[str, int] = {}
    pairs = [
        f"{number} repeats {first[text]}"
        for number, text in enumerate(texts, 1)
        if first.setdefault(text, number) != number
    ]
    if pairs:
        more = f", and {len(pairs) - 5} more" if len(pairs) > 5 else ""
        twice = f"{len(pairs)} question(s) asked twice: {', '.join(pairs[:5])}{more} (counted from 1)"
        said.append(f"{name}: {twice}")
    return said
