"""Which models `answer` asks: rounds of a run, its base model, a model by itself, or a server's; and where their answers go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, RunFolderError
from ..progress import Watch
from ..run_folder import RunFolder

if TYPE_CHECKING:
    from ..config import PromptConfig
    from ..evaluation.answer.job import Answerer, Job

DTYPES = ("auto", "float32", "bfloat16", "float16")
SAMPLING_NAMES = ("paper", "greedy", "model")
BASE = "base"


@dataclass(frozen=True)
class Whom:
    """The model, by the options that name it."""

    run: Path | None
    round_name: str
    model: str | None
    out: Path | None
    template: str
    trust_remote_code: bool


@dataclass(frozen=True)
class Server:
    """The server, if there is one."""

    base_url: str | None
    model: str | None
    n_parallel: int
    key_variable: str


@dataclass(frozen=True)
class How:
    """How it answers."""

    sampling: str
    max_new: int
    turns: int
    seed: int
    dtype: str
    n_rows: int | None


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


def check_usage(whom: Whom, server: Server, how: How, benchmarks: Sequence[str]) -> None:
    """Check the options against each other, before anything is read.

    Raises:
        ConfigError: they do not fit together.
    """
    if (whom.run is None) == (whom.out is None):
        raise ConfigError("give a RUN, whose folder takes the answers, or --out FILE with --model or a served model.")
    if whom.run is not None and whom.model is not None:
        raise ConfigError("a RUN has its own models: leave --model out, or the RUN.")
    if whom.run is None and whom.model is None and server.base_url is None:
        raise ConfigError("no model to ask: give a RUN, --model, or --base-url with --served-model.")
    if (server.base_url is None) != (server.model is None):
        raise ConfigError("--base-url and --served-model belong together: the server's address and the model's name there.")
    if server.base_url is not None and whom.round_name == "all":
        raise ConfigError("a server has one model: name the round that it serves with --round, not all.")
    if len(set(benchmarks)) < len(benchmarks) or (whom.out is not None and len(benchmarks) > 1):
        raise ConfigError(f"benchmarks {', '.join(benchmarks)}: name each once, and only one with --out FILE.")
    for option, value, known in (("--sampling", how.sampling, SAMPLING_NAMES), ("--dtype", how.dtype, DTYPES)):
        if value not in known:
            raise ConfigError(f"{option} is {value!r}. Known: {', '.join(known)}.")
    if whom.template not in ("alpaca", "chat", "auto"):
        raise ConfigError(f"--template is {whom.template!r}. Known: alpaca, chat, auto.")


def jobs_for(whom: Whom, server: Server, how: How, benchmarks: Sequence[str], watch: Watch) -> Iterator[Job]:
    """What to do, a job a model.

    Raises:
        RunFolderError: there is no such round, or its model was not kept.
        ConfigError: a benchmark's name cannot be a folder's.
    """
    from ..evaluation.answer.job import Job
    from ..models import fingerprint

    targets = [_alone(whom)] if whom.run is None else _of_run(whom.run, whom.round_name, server.base_url is not None, watch)
    for target in targets:
        if whom.out is not None:
            files = {benchmarks[0]: whom.out}
        else:
            files = {name: RunFolder(whom.run or Path()).answers_file(name, target.name) for name in benchmarks}
        settings: dict[str, Any] = {
            "sampling": how.sampling,
            "max_new_tokens": how.max_new,
            "turns": how.turns,
            "seed": how.seed,
            "prompt": target.prompt.model_dump(include={"template"}),
        }
        if server.model is not None:
            settings["served_model"] = server.model
            opener = partial(_served, target, server, how, watch)
        else:
            settings |= {"model": fingerprint(str(target.model)), "dtype": how.dtype}
            opener = partial(_local, target, how)
        yield Job(target.title, files, settings, opener)


def _alone(whom: Whom) -> Target:
    from ..config import PromptConfig
    from ..models import tokenizer_folder

    name = whom.model
    prompt = PromptConfig.model_validate({"template": whom.template})
    return Target("", name or "the served model", name, tokenizer_folder(name) if name else None, prompt, whom.trust_remote_code)


def _of_run(root: Path, round_name: str, is_served: bool, watch: Watch) -> list[Target]:
    """The run's models that are asked for."""
    from ..config import PromptConfig
    from ..status import round_named

    run = RunFolder(root)
    config = run.config()
    prompt = PromptConfig.model_validate(config["prompt"])
    base = str((config.get("selector") or config)["model"])  # what the rounds tuned
    trust = bool(config["trust_remote_code"])

    def target(index: int | None) -> Target:
        name, title = (BASE, "base model") if index is None else (f"round-{index:02d}", f"round {index}")
        model = base if index is None else str(run.model_dir(index))
        return Target(name, title, model, base, prompt, trust)

    if round_name == BASE:
        return [target(None)]
    if round_name != "all":
        index = round_named(run, round_name)
        if not is_served and not run.model_dir(index).is_dir():
            raise RunFolderError(
                f"round {index}'s model was not kept in {root}. Run with keep: all, or answer with --round last or base."
            )
        return [target(index)]
    done = run.rounds_done()
    kept = [index for index in done if run.model_dir(index).is_dir()]
    if len(kept) < len(done):
        gone = ", ".join(str(index) for index in done if index not in kept)
        watch.note(f"not kept, so not asked: rounds {gone} (run with keep: all)")
    return [target(None), *map(target, kept)]


def _prompts(target: Target, how: How) -> Any:  # noqa: ANN401 - loaded late
    from ..evaluation.answer.prompts import Prompts
    from ..models import load_tokenizer, n_positions
    from ..tokens import Encoder

    assert target.tokenizer is not None, "a model has a tokenizer"
    tokenizer = load_tokenizer(target.tokenizer, target.trust_remote_code)
    context = n_positions(target.tokenizer, target.trust_remote_code)
    return Prompts(Encoder(tokenizer, target.prompt), tokenizer, context, how.max_new)


def _local(target: Target, how: How) -> Answerer:
    from .run import quiet_libraries

    quiet_libraries()
    from ..evaluation.answer.local import LocalModel
    from ..evaluation.answer.sampling import SAMPLINGS
    from ..models import load_model

    prompts = _prompts(target, how)
    model = load_model(str(target.model), how.dtype, target.trust_remote_code)
    return LocalModel(model, prompts.tokenizer, prompts, SAMPLINGS[how.sampling], how.seed, how.turns, target.title, how.n_rows)


def _served(target: Target, server: Server, how: How, watch: Watch) -> Answerer:
    from ..evaluation.answer.sampling import SAMPLINGS
    from ..evaluation.answer.served import ServedModel
    from ..prompt import resolve_template

    prompts = _prompts(target, how) if target.tokenizer else None
    is_chat = prompts is None or resolve_template(target.prompt, prompts.tokenizer) == "chat"
    return ServedModel(
        base_url=server.base_url or "",
        model=server.model or "",
        key=os.environ.get(server.key_variable),
        prompts=prompts,
        is_chat=is_chat,
        sampling=SAMPLINGS[how.sampling],
        max_new=how.max_new,
        seed=how.seed,
        n_turns=how.turns,
        n_parallel=server.n_parallel,
        watch=watch,
    )
