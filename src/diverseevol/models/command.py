"""Tuning by the user's own trainer: a shell command that is fed a file and leaves a model folder.

LLaMA-Factory, axolotl, ms-swift and unsloth pin other versions of transformers and cannot share our process;
as a subprocess they can be anything. Only rank 0 starts the command, without our launcher's variables, so
that it may start processes of its own.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from ..base import dist
from ..base.files import replacing
from ..base.progress import Watch
from ..errors import ModelError
from ..run.metrics import Cost, billed

# Set by torchrun and accelerate for us; a launcher below would take them for its own.
LAUNCHER_VARIABLES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
)


def run_command(
    command: str,
    places: Mapping[str, str],
    model_dir: Path,
    log_file: Path,
    watch: Watch,
    on_tuned: Callable[[Cost], None],
) -> None:
    """Run the user's command until it has left a model in `model_dir`; every rank waits for it.

    Args:
        command: Shell text with {data}, {base}, {out}, {round}, {seed}; the values are put in quoted.
        places: The values, without `out`: the command writes to a temporary folder that takes `model_dir`'s
            place at the end.
        log_file: Receives everything the command says.
        on_tuned: Is handed the bill, on rank 0, before the model is there: what is killed later has its bill.

    Raises:
        ModelError: it ended with another status than 0, or left no model.
    """

    def work() -> None:
        with replacing(model_dir) as out:
            out.mkdir(parents=True)
            line = command
            for name, value in {**places, "out": str(out.resolve())}.items():
                line = line.replace("{" + name + "}", shlex.quote(value))
            watch.note(f"$ {line}")
            with billed() as cost:
                _call(line, log_file, watch)
            if not any((out / name).is_file() for name in ("config.json", "adapter_config.json")):
                found = ", ".join(sorted(item.name for item in out.iterdir())) or "nothing"
                raise ModelError(
                    f"train.command ended well but left no model: {{out}} holds {found}, not config.json or "
                    f"adapter_config.json. Log: {log_file}."
                )
            on_tuned(cost)

    dist.on_main(work)


def _call(line: str, log_file: Path, watch: Watch) -> None:
    """Run a shell line, showing and logging what it says as it says it."""
    ours = (*LAUNCHER_VARIABLES, "OMP_NUM_THREADS")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ours and not name.startswith("TORCHELASTIC")
    }
    log_file.parent.mkdir(parents=True, exist_ok=True)
    tail: deque[str] = deque(maxlen=3)
    with (
        log_file.open("a", encoding="utf-8") as log,
        # A shell, because the command is the user's own, from the user's own config.
        subprocess.Popen(
            line,
            shell=True,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for said in process.stdout:
                log.write(said)
                log.flush()
                watch.note(f"  {said.rstrip()}")
                tail.append(said.strip())
            status = process.wait()
        except BaseException:
            process.terminate()
            raise
    if status != 0:
        words = " / ".join(filter(None, tail)) or "it said nothing"
        raise ModelError(f"train.command ended with status {status}: {words}. Log: {log_file}.")
