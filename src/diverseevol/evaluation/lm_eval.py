"""Tasks of lm-eval (https://github.com/EleutherAI/lm-evaluation-harness) by name, on a loaded model.

An extra (`pip install 'diverseevol[lm-eval]'`). Everything is as lm-eval has it by default: its prompts,
shots and metrics, no chat template. Tasks may run code of their own: those that it marks as unsafe are
refused by it, and a folder of own tasks is trusted.
Cost: what the tasks ask for; the data sets come from the Hub's cache or the network.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import dist
from ..base.text import nearest
from ..errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BATCH_ROWS = 16
HEADLINES = ("acc_norm", "acc", "exact_match", "f1")
"""Which of a task's metrics speaks for it, if it has one of these; else its first."""


@dataclass(frozen=True)
class TaskRequest:
    """Which tasks: their names, `limit` questions of each (such results are no benchmark's; None: all).

    `folder` holds YAML files of further tasks.
    """

    names: tuple[str, ...]
    limit: int | None = None
    folder: Path | None = None

    def key(self, name: str) -> str:
        """What a task's result is kept under."""
        return name if self.limit is None else f"{name} (first {self.limit})"

    def without(self, known: Container[str]) -> TaskRequest:
        """The tasks whose results are not known yet."""
        return replace(self, names=tuple(name for name in self.names if self.key(name) not in known))


def check_tasks(request: TaskRequest) -> None:
    """Check that lm-eval is there and knows the tasks, before a model is loaded.

    Raises:
        ConfigError: it is not, or does not; near names are named.
    """
    known = _manager(request.folder).all_tasks
    for name in request.names:
        if name not in known:
            raise ConfigError(
                f"lm-eval knows no task {name!r}. {nearest(name, known)}`lm-eval ls tasks` lists the "
                f"{len(known):,} that it knows."
            )


def task_scores(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, request: TaskRequest
) -> dict[str, dict[str, dict[str, float]]]:
    """Run the tasks on rank 0: for each name the metrics of its task, or of the tasks that it stands for.

    Returns:
        the name's key → task → metric → value, with lm-eval's standard errors as `…_stderr`.

    Raises:
        ConfigError: lm-eval is not there, or a task cannot be run.
    """

    def run(name: str) -> dict[str, dict[str, float]]:
        from lm_eval import simple_evaluate
        from lm_eval.models.huggingface import HFLM

        device = str(model.device)
        wrapped = HFLM(
            pretrained=model, tokenizer=tokenizer, backend="causal", device=device, batch_size=BATCH_ROWS
        )
        try:
            found = simple_evaluate(
                wrapped,
                tasks=[name],
                limit=request.limit,
                task_manager=_manager(request.folder),
                log_samples=False,
            )
        except Exception as error:
            why = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"lm-eval cannot run {name!r}: {type(error).__name__}: {why}. Its data set must be in the "
                "Hub's cache or within reach."
            ) from error
        return {task: _plain(scores) for task, scores in (found or {}).get("results", {}).items()}

    return dist.on_main(lambda: {request.key(name): run(name) for name in request.names})


def headline(scores: dict[str, float]) -> tuple[str, float] | None:
    """The one metric, and its value, that speaks for a task; None where it has none."""
    for name in (*HEADLINES, *scores):
        if name in scores and not name.endswith("_stderr"):
            return name, scores[name]
    return None


def _plain(scores: dict[str, Any]) -> dict[str, float]:
    """lm-eval's `acc,none` as `acc`; what is no number is left out."""
    plain: dict[str, float] = {}
    for key, value in scores.items():
        metric, _, filter_name = key.partition(",")
        if isinstance(value, int | float) and not isinstance(value, bool) and filter_name and value == value:
            plain[metric if filter_name == "none" else f"{metric} ({filter_name})"] = float(value)
    return plain


@lru_cache(maxsize=1)  # it reads thousands of small files
def _manager(folder: Path | None) -> Any:  # noqa: ANN401 - lm-eval's TaskManager
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise ConfigError(
            f"--tasks needs lm-eval ({error}). Install it: pip install 'diverseevol[lm-eval]'."
        ) from None
    if folder and not folder.is_dir():
        raise ConfigError(f"--task-folder is {str(folder)!r}: there is no such folder.")
    return TaskManager(include_path=str(folder) if folder else None)
