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
    from ..evaluation.answer.prompts import Prompts

BASE = "base"


@dataclass(frozen=True)
class Server:
    """A server whose model is asked."""

    base_url: str | None
    model: str | None
    n_parallel: int
    key_variable: str


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for: which model, where its answers go, how it answers."""

    run: Path | None
    round_name: str
    model: str | None
    out: Path | None
    template: str
    trust_remote_code: bool
    server: Server | None
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


def check_usage(wanted: Wanted, benchmarks: Sequence[str]) -> None:
    """Check the options against each other, before anything is read.

    Raises:
        ConfigError: they do not fit together.
    """
    run, out, server = wanted.run, wanted.out, wanted.server
    if (run is None) == (out is None):
        raise ConfigError("give a RUN, whose folder takes the answers, or --out FILE with --model or a served model.")
    if run is not None and wanted.model is not None:
        raise ConfigError("a RUN has its own models: leave --model out, or the RUN.")
    if server is not None and (server.base_url is None or server.model is None):
        raise ConfigError("--base-url and --served-model belong together: the server's address and the model's name there.")
    if run is None and wanted.model is None and server is None:
        raise ConfigError("no model to ask: give a RUN, --model, or --base-url with --served-model.")
    if server is not None and wanted.round_name == "all":
        raise ConfigError("a server has one model: name the round that it serves with --round, not all.")
    if len(set(benchmarks)) < len(benchmarks) or (out is not None and len(benchmarks) > 1):
        raise ConfigError(f"benchmarks {', '.join(benchmarks)}: name each once, and only one with --out FILE.")


def jobs_for(wanted: Wanted, benchmarks: Sequence[str], watch: Watch) -> Iterator[Job]:
    """What to do, a job a model.

    Raises:
        RunFolderError: there is no such round, or its model was not kept.
        ConfigError: a benchmark's name cannot be a folder's.
    """
    from ..evaluation.answer.job import Job
    from ..models import fingerprint

    for target in [_alone(wanted)] if wanted.run is None else _of_run(wanted.run, wanted, watch):
        files = {name: wanted.out or RunFolder(wanted.run or Path()).answers_file(name, target.name) for name in benchmarks}
        settings: dict[str, Any] = {
            "sampling": wanted.sampling,
            "max_new_tokens": wanted.max_new,
            "turns": wanted.turns,
            "seed": wanted.seed,
            "prompt": target.prompt.model_dump(include={"template"}),
        }
        if wanted.server is not None:
            settings["served_model"] = wanted.server.model
            yield Job(target.title, files, settings, partial(_served, target, wanted.server, wanted, watch))
        else:
            settings |= {"model": fingerprint(str(target.model)), "dtype": wanted.dtype}
            yield Job(target.title, files, settings, partial(_local, target, wanted))


def _alone(wanted: Wanted) -> Target:
    from ..config import PromptConfig
    from ..models import tokenizer_folder

    name = wanted.model
    prompt = PromptConfig.model_validate({"template": wanted.template})
    return Target(
        "", name or "the served model", name, tokenizer_folder(name) if name else None, prompt, wanted.trust_remote_code
    )


def _of_run(root: Path, wanted: Wanted, watch: Watch) -> list[Target]:
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

    if wanted.round_name == BASE:
        return [target(None)]
    if wanted.round_name != "all":
        index = round_named(run, wanted.round_name)
        if wanted.server is None and not run.model_dir(index).is_dir():
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


def _prompts(target: Target, max_new: int) -> Prompts | None:
    """What makes the prompts; None where nothing is known of the model's tokenizer."""
    from ..evaluation.answer.prompts import Prompts
    from ..models import load_tokenizer, n_positions
    from ..tokens import Encoder

    if target.tokenizer is None:
        return None
    tokenizer = load_tokenizer(target.tokenizer, target.trust_remote_code)
    context = n_positions(target.tokenizer, target.trust_remote_code)
    return Prompts(Encoder(tokenizer, target.prompt), tokenizer, context, max_new)


def _local(target: Target, wanted: Wanted) -> Answerer:
    from .run import quiet_libraries

    quiet_libraries()
    from ..evaluation.answer.local import LocalModel
    from ..evaluation.answer.sampling import SAMPLINGS
    from ..models import load_model

    prompts = _prompts(target, wanted.max_new)
    assert prompts is not None, "a model that is loaded has a tokenizer"
    model = load_model(str(target.model), wanted.dtype, target.trust_remote_code)
    sampling = SAMPLINGS[wanted.sampling]
    return LocalModel(model, prompts.tokenizer, prompts, sampling, wanted.seed, wanted.turns, target.title, wanted.n_rows)


def _served(target: Target, server: Server, wanted: Wanted, watch: Watch) -> Answerer:
    from ..evaluation.answer.sampling import SAMPLINGS
    from ..evaluation.answer.served import ServedModel
    from ..prompt import resolve_template

    prompts = _prompts(target, wanted.max_new)
    return ServedModel(
        base_url=server.base_url or "",
        model=server.model or "",
        key=os.environ.get(server.key_variable),
        prompts=prompts,
        is_chat=prompts is None or resolve_template(target.prompt, prompts.tokenizer) == "chat",
        sampling=SAMPLINGS[wanted.sampling],
        max_new=wanted.max_new,
        seed=wanted.seed,
        n_turns=wanted.turns,
        n_parallel=server.n_parallel,
        watch=watch,
    )
