"""Which models `answer` asks: rounds of a run, its base model, a model by itself, or a server's; and how each is opened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.progress import Watch
from ..errors import ConfigError, RunFolderError
from ..run import RunFolder

if TYPE_CHECKING:
    from ..config import PromptConfig
    from ..evaluation.answer.job import Answerer
    from ..evaluation.answer.prompts import Prompts

BASE = "base"


@dataclass(frozen=True)
class Sampled:
    """How answers are made, whatever model makes them; by the names that a file of answers keeps."""

    sampling: str
    max_new_tokens: int
    turns: int
    seed: int


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


def check_usage(
    benchmarks: Sequence[str],
    run: Path | None,
    round_name: str,
    model: str | None,
    out: Path | None,
    base_url: str | None,
    served_model: str | None,
) -> None:
    """Check the options against each other, before anything is read.

    Raises:
        ConfigError: they do not fit together.
    """
    if (run is None) == (out is None):
        raise ConfigError(
            "give a RUN, whose folder takes the answers, or --out FILE with --model or a served model."
        )
    if run is not None and model is not None:
        raise ConfigError("a RUN has its own models: leave --model out, or the RUN.")
    if bool(base_url) != bool(served_model):
        raise ConfigError(
            "--base-url and --served-model belong together: the server's address and the model's name there."
        )
    if run is None and model is None and not served_model:
        raise ConfigError("no model to ask: give a RUN, --model, or --base-url with --served-model.")
    if served_model and round_name == "all":
        raise ConfigError("a server has one model: name the round that it serves with --round, not all.")
    if len(set(benchmarks)) < len(benchmarks) or (out is not None and len(benchmarks) > 1):
        raise ConfigError(
            f"benchmarks {', '.join(benchmarks)}: name each once, and only one with --out FILE."
        )


def model_alone(model: str | None, template: str, trust_remote_code: bool) -> Target:
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


def models_of_run(root: Path, round_name: str, is_served: bool, watch: Watch) -> list[Target]:
    """The run's models that are asked for.

    Raises:
        RunFolderError: there is no such round, or its model was not kept and no server has it.
    """
    from ..config import PromptConfig
    from ..run.status import round_named

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


def _prompts(target: Target, max_new: int) -> Prompts | None:
    """What makes the prompts; None where nothing is known of the model's tokenizer."""
    from ..evaluation.answer.prompts import Prompts
    from ..models.load import load_tokenizer, n_positions
    from ..text.tokens import Encoder

    if target.tokenizer is None:
        return None
    tokenizer = load_tokenizer(target.tokenizer, target.trust_remote_code)
    context = n_positions(target.tokenizer, target.trust_remote_code)
    return Prompts(Encoder(tokenizer, target.prompt), tokenizer, context, max_new)


def load_local(target: Target, sampled: Sampled, dtype: str, n_rows: int | None) -> Answerer:
    """Load the model into this process."""
    from .run import quiet_libraries

    quiet_libraries()
    from ..evaluation.answer.local import LocalModel
    from ..evaluation.answer.sampling import SAMPLINGS
    from ..models.load import load_model

    prompts = _prompts(target, sampled.max_new_tokens)
    assert prompts is not None, "a model that is loaded has a tokenizer"
    model = load_model(str(target.model), dtype, target.trust_remote_code)
    sampling = SAMPLINGS[sampled.sampling]
    return LocalModel(
        model, prompts.tokenizer, prompts, sampling, sampled.seed, sampled.turns, target.title, n_rows
    )


def open_served(
    target: Target,
    sampled: Sampled,
    base_url: str,
    model: str,
    key: str | None,
    n_parallel: int,
    watch: Watch,
) -> Answerer:
    """Ask a server for the model, by the name that it has there."""
    from ..evaluation.answer.sampling import SAMPLINGS
    from ..evaluation.answer.served import ServedModel
    from ..text.prompt import resolve_template

    prompts = _prompts(target, sampled.max_new_tokens)
    return ServedModel(
        base_url=base_url,
        model=model,
        key=key,
        prompts=prompts,
        is_chat=prompts is None or resolve_template(target.prompt, prompts.tokenizer) == "chat",
        sampling=SAMPLINGS[sampled.sampling],
        max_new=sampled.max_new_tokens,
        seed=sampled.seed,
        n_turns=sampled.turns,
        n_parallel=n_parallel,
        watch=watch,
    )
