"""A model's answers to the questions of benchmarks, by the prompt that it was trained with, each asked once.

questions → answer_local (a loaded model: prompts cut to fit, answer_decode) or answer_served (a server's)
→ lines on disk, resumed after any kill:

round-03.settings.json     what the answers depend on; the same command with another setting is refused
round-03.unfinished/       a journal for each process
round-03.jsonl             the whole, written at the end and atomically
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import dist
from ..base.files import read_json, remove, write_json, write_jsonl
from ..base.progress import SILENT, Watch
from ..base.text import duration
from ..config import PromptConfig
from ..config.verbs import AnswerConfig
from ..data.benchmarks import parse_benchmark
from ..errors import ConfigError, EvaluationError, RunFolderError
from ..run import BASE, RunFolder, flat, locked, round_name
from ..run.status import round_named
from .journal import Line, open_journal, read_lines
from .questions import Questions, read_questions

if TYPE_CHECKING:
    from .answer_local import LocalModel
    from .answer_served import ServedModel


@dataclass(frozen=True)
class Target:
    """One model: folders or Hub ids, which are None for a server's, of which nothing else is known."""

    name: str  # its file's: round-03, base
    title: str  # for people
    model: str | None
    tokenizer: str | None  # the one that it was trained with
    prompt: PromptConfig
    trust_remote_code: bool


def answer(
    benchmarks: Sequence[str],
    run: Path | None = None,
    *,
    round_name: str = "last",
    model: str | None = None,
    out: Path | None = None,
    settings: AnswerConfig | None = None,
    watch: Watch = SILENT,
    before_loading: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Let models answer questions; the same call again goes on behind a kill. Every rank calls it.

    Args:
        benchmarks: NAME[=FILE[:FIELD]] each.
        run: A run folder, whose models answer, and which takes the answers.
        round_name: Whose answers: a round's number, last, best, base, or all that are kept.
        model: Instead of a run: a model or adapter, folder or Hub id, with `out`, the file of answers.
        settings: How it answers, and the server to ask instead of loading the model; a server's key is read
            from the environment, sent there and written nowhere.
        watch: Sees the progress.
        before_loading: Called before a model is loaded, if one is.

    Returns:
        the files of answers.

    Raises:
        ConfigError: the arguments do not fit together.
        RunFolderError: there is no such round, or its model was not kept and no server has it.
        EvaluationError: questions cannot be read, or a file of answers was made with other settings.
        DiverseEvolError: a model cannot be loaded or asked.
    """
    given, asked = settings or AnswerConfig(), [parse_benchmark(word) for word in benchmarks]
    names, is_served = [one.name for one in asked], bool(given.served_model)
    if is_served != bool(given.base_url):
        raise ConfigError(
            "--base-url and --served-model belong together: the server's address and the model's name there."
        )
    if (run is None) == (out is None):
        raise ConfigError(
            "give a RUN, whose folder takes the answers, or --out FILE with --model or a served model."
        )
    if run is not None and model is not None:
        raise ConfigError("a RUN has its own models: leave --model out, or the RUN.")
    if run is None and model is None and not is_served:
        raise ConfigError("no model to ask: give a RUN, --model, or --base-url with --served-model.")
    if is_served and round_name == "all":
        raise ConfigError("a server has one model: name the round that it serves with --round, not all.")
    if len(set(names)) < len(names) or (out is not None and len(names) > 1):
        raise ConfigError(f"benchmarks {', '.join(names)}: name each once, and only one with --out FILE.")
    folder = Path(given.benchmarks_dir) if given.benchmarks_dir else None
    questions = [read_questions(one, folder) for one in asked]
    for note in (note for one in questions for note in one.notes):
        watch.note(note)
    dist.start()
    files = []
    for target in _of_run(run, round_name, is_served, watch) if run else [_alone(model, given)]:
        answerer = None
        for one in questions:
            file = AnswerFile(out or RunFolder(run or Path()).answers_file(one.name, target.name))
            files.append(file.file)
            if not file.begin(_depends_on(one, target, given), given.overwrite):
                watch.note(f"{one.name}, {target.title}: answered already, {file.file}")
                continue
            if answerer is None:
                before_loading()
                answerer = answerer_of(target, given)
            _answer(target.title, one, file, answerer, watch)
    return files


def _depends_on(questions: Questions, target: Target, given: AnswerConfig) -> dict[str, Any]:
    """What the answers depend on."""
    from ..models.load import fingerprint

    made: dict[str, Any] = given.model_dump(include={"sampling", "max_new_tokens", "seed"})
    made |= {"benchmark": questions.name, "questions": questions.fingerprint}
    made["prompt"] = target.prompt.model_dump(include={"template"})
    if given.served_model:
        return made | {"served_model": given.served_model}
    return made | {"model": fingerprint(str(target.model)), "dtype": given.dtype}


def _alone(model: str | None, given: AnswerConfig) -> Target:
    """A model without a run; None: a server's, of which nothing is known."""
    from ..models.load import tokenizer_folder

    prompt = PromptConfig.model_validate({"template": given.template})
    tokenizer = tokenizer_folder(model) if model else None
    return Target("", model or "the served model", model, tokenizer, prompt, given.trust_remote_code)


def _of_run(root: Path, rounds: str, is_served: bool, watch: Watch) -> list[Target]:
    run = RunFolder(root)
    config = run.config()
    prompt = PromptConfig.model_validate(config["prompt"])
    base = str((config.get("selector") or config)["model"])  # what the rounds tuned
    trust = bool(config["trust_remote_code"])
    base_model = Target(BASE, "base model", base, base, prompt, trust)

    def tuned(index: int) -> Target:
        return Target(round_name(index), f"round {index}", str(run.model_dir(index)), base, prompt, trust)

    if rounds == BASE:
        return [base_model]
    if rounds != "all":
        index = round_named(run, rounds)
        if not is_served and not run.model_dir(index).is_dir():
            raise RunFolderError(
                f"round {index}'s model was not kept in {root}. Run with keep: all, or answer with --round "
                f"last or base."
            )
        return [tuned(index)]
    gone = [index for index in run.rounds_done() if not run.model_dir(index).is_dir()]
    if gone:
        watch.note(f"not kept, so not asked: rounds {', '.join(map(str, gone))} (run with keep: all)")
    return [base_model, *(tuned(index) for index in run.rounds_done() if index not in gone)]


def answerer_of(target: Target, given: AnswerConfig) -> LocalModel | ServedModel:
    """Load the model into this process, or turn to the server that has it."""
    from ..models.load import load_model, load_tokenizer, n_positions
    from ..text.prompt import resolve_template
    from ..text.tokens import Encoder
    from .answer_decode import SAMPLINGS
    from .answer_local import LocalModel, Prompts
    from .answer_served import ServedModel

    trust, sampling, prompts = target.trust_remote_code, SAMPLINGS[given.sampling], None
    if target.tokenizer is not None:
        tokenizer = load_tokenizer(target.tokenizer, trust)
        context = n_positions(target.tokenizer, trust)
        prompts = Prompts(Encoder(tokenizer, target.prompt), tokenizer, context, given.max_new_tokens)
    if given.served_model:
        is_chat = prompts is None or resolve_template(target.prompt, prompts.tokenizer) == "chat"
        return ServedModel(given, os.environ.get(given.key_variable), prompts, is_chat)
    assert prompts is not None, "a model that is loaded has a tokenizer"
    model = load_model(str(target.model), given.dtype, trust)
    return LocalModel(model, prompts, sampling, given.seed, target.title, given.batch_size)


def _answer(
    title: str, questions: Questions, file: AnswerFile, answerer: LocalModel | ServedModel, watch: Watch
) -> None:
    """Answer what is left of one benchmark with one model."""
    started, name = time.perf_counter(), f"{questions.name}, {title}"
    with file.writing() as add:
        known = file.answered()
        left = [question for question in questions.items if key_of(question.id) not in known]
        if known:
            watch.note(f"{name}: {len(known)} of {len(questions.items)} questions are answered already")
        with watch.task(f"answer {name}", len(left), "questions") as task:
            answerer.answer(left, add, task)
        lines = file.finish([question.id for question in questions.items])
    seconds = time.perf_counter() - started
    speed = sum(lines[key_of(question.id)]["n_tokens"] or 0 for question in left) / max(seconds, 1e-9)
    n_stopped = sum(line["finish"] == "length" for line in lines.values())
    n_cut = sum(line["is_cut"] for line in lines.values())
    text = f"{name}: {len(lines)} answers in {duration(seconds)}, {speed:,.0f} tokens/s"
    text += f"; {n_stopped} stopped by their length" if n_stopped else ""
    text += f"; {n_cut} questions cut" if n_cut else ""
    watch.note(f"{text}; {file.file}")
    dist.barrier()


def key_of(question_id: int | str) -> str:
    """A question's id as a key: 1 and "1" are two questions."""
    return json.dumps(question_id)


class AnswerFile:
    """One file of answers; every rank has one."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._settings_file = file.with_suffix(".settings.json")
        self._parts_dir = file.with_suffix(".unfinished")

    def begin(self, settings: Mapping[str, Any], overwrite: bool) -> bool:
        """Start or go on; False if everything is answered already."""

        def begin() -> bool:
            if overwrite:
                for old in (self.file, self._parts_dir, self._settings_file):
                    remove(old)
            elif self._settings_file.exists():
                then, now = flat(read_json(self._settings_file)), flat(json.loads(json.dumps(settings)))
                changed = [key for key in sorted(then.keys() | now.keys()) if then.get(key) != now.get(key)]
                said = ", ".join(
                    f"{key} ({then.get(key)!r} then, {now.get(key)!r} now)" for key in changed[:5]
                )
                if changed:
                    raise EvaluationError(
                        f"{self.file} was answered with another {said}. Give --overwrite to answer again, "
                        f"or another place."
                    )
            elif self.file.exists():
                raise EvaluationError(
                    f"{self.file} is there already and says nothing of how it was made. Give --overwrite to "
                    f"replace it."
                )
            if self.file.exists():
                return False
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._settings_file, dict(settings))
            return True

        return dist.on_main(begin)

    @contextmanager
    def writing(self) -> Iterator[Callable[[Line], None]]:
        """Hold the file for this program alone, and hand out what appends this process's lines."""
        # A power cut may lose the last lines, which are then answered again: no answer waits for the disk.
        part = self._parts_dir / f"{dist.rank():04d}.jsonl"
        with locked(self._parts_dir), open_journal(part, is_synced=False) as journal:
            dist.barrier()  # torn lines are gone before anybody reads
            yield journal.add

    def answered(self) -> dict[str, Line]:
        """The lines so far, by `key_of` their questions; the same on every rank."""
        return dist.on_main(self._read)

    def _read(self) -> dict[str, Line]:
        lines = (line for part in sorted(self._parts_dir.glob("*.jsonl")) for line in read_lines(part))
        return {key_of(line["question_id"]): line for line in lines}

    def finish(self, question_ids: Sequence[int | str]) -> dict[str, Line]:
        """Write the whole in the benchmark's order, once every rank is here; give its lines by their keys."""
        keys = [key_of(name) for name in question_ids]

        def finish() -> dict[str, Line]:
            lines = self._read()
            missing = [key for key in keys if key not in lines]
            if missing:
                raise EvaluationError(
                    f"{len(missing)} questions have no answer, first {missing[0]}. Give the same command "
                    f"again."
                )
            write_jsonl(self.file, (lines[key] for key in keys))
            remove(self._parts_dir)
            return {key: lines[key] for key in keys}

        dist.barrier()
        return dist.on_main(finish)
