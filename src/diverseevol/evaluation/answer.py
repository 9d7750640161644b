"""A model's answers to the questions of benchmarks, by the prompt that it was trained with, each asked once.

questions → answer_prompts (token ids, cut to fit) → answer_local (a loaded model: answer_decode,
answer_choose) or answer_served (a server's) → answer_file (a line a question, on disk)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..base import dist
from ..base.progress import SILENT, Task, Watch
from ..base.text import duration
from ..data.benchmarks import parse_benchmark
from ..errors import ConfigError, RunFolderError
from ..run import BASE, RunFolder, round_name
from ..run.status import round_named
from .answer_file import AnswerFile, key_of
from .journal import Line
from .questions import Question, Questions, read_questions

if TYPE_CHECKING:
    from ..config import PromptConfig
    from .answer_prompts import Prompts


class Answerer(Protocol):
    """A model that can be asked."""

    def answer(self, questions: Sequence[Question], write: Callable[[Line], None], task: Task) -> None:
        """Answer this rank's part of the questions, and hand on each as it is done."""


@dataclass(frozen=True)
class Target:
    """One model.

    Attributes:
        name: Its file's name: round-03, base.
        title: Its name for people.
        model: Folder or Hub id of its weights; None: a server's, of which nothing else is known.
        tokenizer: Folder or Hub id of the tokenizer that it was trained with.
    """

    name: str
    title: str
    model: str | None
    tokenizer: str | None
    prompt: PromptConfig
    trust_remote_code: bool


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server that has the model.

    Attributes:
        base_url: Its address.
        model: The model's name there.
        key: The key, if it wants one; it is sent there and written nowhere.
        concurrency: Requests under way at once.
    """

    base_url: str
    model: str
    key: str | None = None
    concurrency: int = 8


def answer(
    benchmarks: Sequence[str],
    run: Path | None = None,
    *,
    rounds: str = "last",
    model: str | None = None,
    out: Path | None = None,
    sampling: Literal["paper", "greedy", "model"] = "paper",
    max_new_tokens: int = 1024,
    seed: int = 0,
    dtype: str = "auto",
    batch_size: int | None = None,
    template: str = "auto",
    benchmarks_dir: Path | None = None,
    server: Server | None = None,
    overwrite: bool = False,
    trust_remote_code: bool = False,
    watch: Watch = SILENT,
    before_loading: Callable[[], None] = lambda: None,
) -> list[Path]:
    """Let models answer questions; the same call again goes on behind a kill. Every rank calls it.

    Args:
        benchmarks: NAME[=FILE[:FIELD]] each.
        run: A run folder, whose models answer, and which takes the answers.
        rounds: Whose answers: a round's number, last, best, base, or all that are kept.
        model: Instead of a run: a model or adapter, folder or Hub id, with `out`, the file of answers.
        sampling: paper, greedy, or model: its own generation_config.
        max_new_tokens: Tokens of an answer at most.
        seed: Fixes each question's random numbers.
        dtype: auto: as saved.
        batch_size: Questions at once; None: as many as fit.
        template: Without a run: alpaca, chat or auto.
        benchmarks_dir: Where known benchmarks' files lie.
        server: Ask this instead of loading the model.
        overwrite: Answer again what was answered with other settings.
        trust_remote_code: Without a run: let the model's own Python code run.
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
    asked = [parse_benchmark(word) for word in benchmarks]
    names = [one.name for one in asked]
    _check(names, run, rounds, model, out, server)
    questions = [read_questions(one, benchmarks_dir) for one in asked]
    for note in (note for one in questions for note in one.notes):
        watch.note(note)
    dist.start()
    from ..models.load import fingerprint

    made: dict[str, Any] = {"sampling": sampling, "max_new_tokens": max_new_tokens, "seed": seed}
    targets = (
        _models_of_run(run, rounds, bool(server), watch)
        if run
        else [_model_alone(model, template, trust_remote_code)]
    )
    files = []
    for target in targets:
        settings = made | {"prompt": target.prompt.model_dump(include={"template"})}
        if server:
            settings["served_model"] = server.model
        else:
            settings |= {"model": fingerprint(str(target.model)), "dtype": dtype}
        answerer: Answerer | None = None
        for of_benchmark in questions:
            file = AnswerFile(out or RunFolder(run or Path()).answers_file(of_benchmark.name, target.name))
            files.append(file.file)
            own = {"benchmark": of_benchmark.name, "questions": of_benchmark.fingerprint, **settings}
            if not file.begin(own, overwrite):
                watch.note(f"{of_benchmark.name}, {target.title}: answered already, {file.file}")
                continue
            if answerer is None:
                before_loading()
                answerer = (
                    _served(target, made, server) if server else _local(target, made, dtype, batch_size)
                )
            _answer(target.title, of_benchmark, file, answerer, watch)
    return files


def _check(
    benchmarks: Sequence[str],
    run: Path | None,
    rounds: str,
    model: str | None,
    out: Path | None,
    server: Server | None,
) -> None:
    """Check the arguments against each other, before anything is read."""
    if (run is None) == (out is None):
        raise ConfigError(
            "give a RUN, whose folder takes the answers, or --out FILE with --model or a served model."
        )
    if run is not None and model is not None:
        raise ConfigError("a RUN has its own models: leave --model out, or the RUN.")
    if run is None and model is None and not server:
        raise ConfigError("no model to ask: give a RUN, --model, or --base-url with --served-model.")
    if server and rounds == "all":
        raise ConfigError("a server has one model: name the round that it serves with --round, not all.")
    if len(set(benchmarks)) < len(benchmarks) or (out is not None and len(benchmarks) > 1):
        raise ConfigError(
            f"benchmarks {', '.join(benchmarks)}: name each once, and only one with --out FILE."
        )


def _model_alone(model: str | None, template: str, trust_remote_code: bool) -> Target:
    """A model without a run; None: a server's, of which nothing is known."""
    from ..config import PromptConfig
    from ..models.load import tokenizer_folder

    prompt = PromptConfig.model_validate({"template": template})
    return Target(
        "",
        model or "the served model",
        model,
        tokenizer_folder(model) if model else None,
        prompt,
        trust_remote_code,
    )


def _models_of_run(root: Path, rounds: str, is_served: bool, watch: Watch) -> list[Target]:
    from ..config import PromptConfig

    run = RunFolder(root)
    config = run.config()
    prompt = PromptConfig.model_validate(config["prompt"])
    base = str((config.get("selector") or config)["model"])  # what the rounds tuned
    trust = bool(config["trust_remote_code"])

    def target(index: int | None) -> Target:
        name, title = (BASE, "base model") if index is None else (round_name(index), f"round {index}")
        model = base if index is None else str(run.model_dir(index))
        return Target(name, title, model, base, prompt, trust)

    if rounds == BASE:
        return [target(None)]
    if rounds != "all":
        index = round_named(run, rounds)
        if not is_served and not run.model_dir(index).is_dir():
            raise RunFolderError(
                f"round {index}'s model was not kept in {root}. Run with keep: all, or answer with --round "
                f"last or base."
            )
        return [target(index)]
    done = run.rounds_done()
    kept = [index for index in done if run.model_dir(index).is_dir()]
    if len(kept) < len(done):
        gone = ", ".join(str(index) for index in done if index not in kept)
        watch.note(f"not kept, so not asked: rounds {gone} (run with keep: all)")
    return [target(None), *map(target, kept)]


def _prompts(target: Target, max_new: int) -> Prompts | None:
    """What makes the prompts; None where nothing is known of the model's tokenizer."""
    from ..models.load import load_tokenizer, n_positions
    from ..text.tokens import Encoder
    from .answer_prompts import Prompts

    if target.tokenizer is None:
        return None
    tokenizer = load_tokenizer(target.tokenizer, target.trust_remote_code)
    context = n_positions(target.tokenizer, target.trust_remote_code)
    return Prompts(Encoder(tokenizer, target.prompt), tokenizer, context, max_new)


def _local(target: Target, made: dict[str, Any], dtype: str, n_rows: int | None) -> Answerer:
    """Load the model into this process."""
    from ..models.load import load_model
    from .answer_choose import SAMPLINGS
    from .answer_local import LocalModel

    prompts = _prompts(target, made["max_new_tokens"])
    assert prompts is not None, "a model that is loaded has a tokenizer"
    model = load_model(str(target.model), dtype, target.trust_remote_code)
    return LocalModel(model, prompts, SAMPLINGS[made["sampling"]], made["seed"], target.title, n_rows)


def _served(target: Target, made: dict[str, Any], server: Server) -> Answerer:
    from ..text.prompt import resolve_template
    from .answer_choose import SAMPLINGS
    from .answer_served import ServedModel

    prompts = _prompts(target, made["max_new_tokens"])
    return ServedModel(
        base_url=server.base_url,
        model=server.model,
        key=server.key,
        prompts=prompts,
        is_chat=prompts is None or resolve_template(target.prompt, prompts.tokenizer) == "chat",
        sampling=SAMPLINGS[made["sampling"]],
        max_new=made["max_new_tokens"],
        seed=made["seed"],
        n_parallel=server.concurrency,
    )


def _answer(title: str, questions: Questions, file: AnswerFile, answerer: Answerer, watch: Watch) -> None:
    """Answer what is left of one benchmark with one model."""
    started = time.perf_counter()
    with file.writing() as add:
        known = file.answered()
        left = [question for question in questions.items if key_of(question.id) not in known]
        if known:
            watch.note(
                f"{questions.name}, {title}: {len(known)} of {len(questions.items)} questions are answered "
                f"already"
            )
        with watch.task(f"answer {questions.name}, {title}", len(left), "questions") as task:
            answerer.answer(left, add, task)
        lines = file.finish([question.id for question in questions.items])
    seconds = time.perf_counter() - started
    speed = sum(lines[key_of(question.id)]["n_tokens"] or 0 for question in left) / max(seconds, 1e-9)
    text = f"{questions.name}, {title}: {len(lines)} answers in {duration(seconds)}, {speed:,.0f} tokens/s"
    for what, key, value in (
        ("stopped by their length", "finish", "length"),
        ("questions cut", "is_cut", True),
    ):
        n = sum(line[key] == value for line in lines.values())
        text += f"; {n} {what}" if n else ""
    watch.note(f"{text}; {file.file}")
    dist.barrier()
