"""What `judge` judges: whose answers against whose, read and paired, and where the verdicts go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..data.files_in import PACKED
from ..errors import ConfigError
from ..evaluation.judge.answers import Answer, read_answers
from ..evaluation.judge.pairs import Pairing, pair_judgements, single_judgements
from ..run import RunFolder

ROUND_FILE = re.compile(r"round-(\d+)")


@dataclass(frozen=True, slots=True)
class Contest:
    """Answers of ours, alone or against an opponent's, and the file for the verdicts."""

    ours: str
    opponent: str | None
    pairing: Pairing
    file: Path

    @property
    def title(self) -> str:
        """Who against whom."""
        return self.ours if self.opponent is None else f"{self.ours} against {self.opponent}"


def contests(
    run: Path | None,
    benchmark: str | None,
    round_name: str,
    *,
    opponent: str | None,
    opponent_name: str | None,
    answers: Path | None,
    out: Path | None,
    is_single: bool,
) -> tuple[list[Contest], Path]:
    """The contests that the command line asks for, and the file that keeps the judge's replies.

    Raises:
        ConfigError: something is not said, said twice, or is not there.
        EvaluationError: a file of answers cannot be read, or two do not belong together.
    """
    if is_single == (opponent is not None):
        raise ConfigError(
            "give --opponent, a file of answers or a round, or --single to judge each answer by itself; not both."
        )
    if answers is not None:
        if run is not None or benchmark is not None:
            raise ConfigError(
                "--answers judges a file; a run folder and --benchmark judge a run's answers. Give one of the two."
            )
        if out is None:
            raise ConfigError("--answers needs --out, the file for the verdicts.")
        return [_of_files(answers, opponent, opponent_name, out)], out.with_suffix(".sqlite")
    if run is None or benchmark is None:
        raise ConfigError("nothing to judge: give a run folder and --benchmark, or --answers and --out.")
    if out is not None:
        raise ConfigError("--out is for --answers; a run's verdicts go into its own folder. Leave it out.")
    folder, name = RunFolder(run), benchmark.partition("=")[0]
    return _of_run(folder, name, round_name, opponent, opponent_name), folder.replies_file(name)


def _of_files(answers: Path, opponent: str | None, opponent_name: str | None, out: Path) -> Contest:
    if opponent is None:
        return Contest(_stem(answers), None, _paired(read_answers(answers), None), out)
    pairing = _paired(read_answers(answers), read_answers(Path(opponent)))
    return Contest(_stem(answers), opponent_name or _stem(Path(opponent)), pairing, out)


def _of_run(
    run: RunFolder, benchmark: str, round_name: str, opponent_word: str | None, opponent_name: str | None
) -> list[Contest]:
    run.config()
    opponent = None if opponent_word is None else _opponent(opponent_word, run, benchmark)
    theirs = None if opponent is None else read_answers(opponent[1])
    found = []
    for name in _asked_rounds(run, benchmark, round_name):
        file = run.answers_file(benchmark, name)
        if opponent is not None and opponent[1] == file:
            if round_name == "all":
                continue
            raise ConfigError(f"{name} cannot be its own opponent. Give another --round or --opponent.")
        their_name = None if opponent is None else opponent_name or opponent[0]
        pair = name if their_name is None else f"{name}-vs-{their_name}"
        found.append(
            Contest(name, their_name, _paired(read_answers(file), theirs), run.verdicts_file(benchmark, pair))
        )
    return found


def _paired(ours: list[Answer], theirs: list[Answer] | None) -> Pairing:
    return single_judgements(ours) if theirs is None else pair_judgements(ours, theirs)


def _opponent(word: str, run: RunFolder, benchmark: str) -> tuple[str, Path]:
    """(name, file) of the opponent that `--opponent` names: a round, a file, or another run's round."""
    if word.isdecimal() or word in ("base", "last"):
        (name,) = _asked_rounds(run, benchmark, word)
        return name, run.answers_file(benchmark, name)
    if Path(word).is_file():
        return _plain(_stem(Path(word))), Path(word)
    folder, colon, round_name = word.rpartition(":")
    if colon and Path(folder).is_dir() and round_name != "all":
        other = RunFolder(Path(folder))
        (name,) = _asked_rounds(other, benchmark, round_name)
        return f"{_plain(Path(folder).resolve().name)}-{name}", other.answers_file(benchmark, name)
    raise ConfigError(
        f"--opponent {word!r} is neither a file, a round such as 5 or base, nor OTHER_RUN:ROUND with a run folder."
    )


def _asked_rounds(run: RunFolder, benchmark: str, word: str) -> list[str]:
    """The names of answers that a word such as 3, base, last or all stands for."""
    folder = run.answers_dir(benchmark)
    names = {file.stem for file in folder.glob("*.jsonl")} if folder.is_dir() else set()
    rounds = sorted((int(match[1]), name) for name in names if (match := ROUND_FILE.fullmatch(name)))
    asked = {
        "all": [name for _, name in rounds],
        "last": [name for _, name in rounds[-1:]],
        "base": ["base"] * ("base" in names),
    }
    found = asked.get(word) or [name for number, name in rounds if word.isdecimal() and number == int(word)]
    if not found:
        there = ", ".join(sorted(names)) or "none"
        raise ConfigError(
            f"no answers of round {word} to {benchmark} in {run.root}; there are: {there}. Make them first: diverseevol answer {run.root} "
            f"--benchmark {benchmark} --round {word}."
        )
    return found


def _stem(file: Path) -> str:
    return (file.with_suffix("") if file.suffix.lower() in PACKED else file).stem


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "opponent"
