"""What rates a tuning and an embedding pass reach here, measured in a temporary folder.

A tuning takes some seconds before its first step; one step tells them from those that grow with the tokens.
Four times the tuned rows are embedded: a pass is quicker, and its first batches are slower than the rest.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..base.progress import SILENT, Watch
from ..config import RunConfig, TrainConfig
from ..models.embed import embed_tokens
from ..models.load import load_model, load_tokenizer
from ..models.train import fit
from ..run.metrics import Cost
from ..text.prepare import prepare
from .hardware import Rates

N_STEPS = 10
FEWEST_ROWS = 160


def calibrate(config: RunConfig, watch: Watch) -> Rates:
    """Tune the rounds' model for a few steps and run it over some rows; FLOP/s as the ledger counts them.

    Raises:
        DiverseEvolError: as a run would.
    """
    config = config.for_rounds()
    train, code = config.train, config.trust_remote_code
    per_step = train.total_batch_size or int(train.sft.get("per_device_train_batch_size", 4))
    n_rows = max(FEWEST_ROWS, N_STEPS * per_step)
    few = config.pool.model_copy(update={"max_rows": 4 * n_rows, "dedup": False, "decontaminate": ()})
    tokenizer = load_tokenizer(config.model, code)
    with tempfile.TemporaryDirectory(prefix="diverseevol-calibrate-") as name:
        folder = Path(name)
        # Silent, for what it says names files that go.
        data = prepare(few, config.prompt, tokenizer, folder / "pool", config.seed, SILENT)
        rows = range(min(n_rows, len(data.tokens)))

        def tuned(n_steps: int) -> Cost:
            keys = TrainConfig.model_validate(train.model_dump() | {"max_steps": n_steps, "command": None})
            places = (folder / f"model-{n_steps}", folder / "checkpoints", config.seed, watch, code)
            return fit(config.model, rows, data.tokens, tokenizer, keys, *places)

        rate, start = rate_and_start(tuned(N_STEPS), tuned(1))
        model = load_model(str(folder / f"model-{N_STEPS}"), "auto", code)
        places = (folder / "signals", config.embed, data.pool.ids, "calibrate", watch)
        report = embed_tokens(model, data.tokens, *places)
    source = f"measured here: {N_STEPS} steps, one step and a pass over {report.n_rows} rows"
    return Rates(rate, report.flops / report.seconds, source, start)


def rate_and_start(many: Cost, few: Cost) -> tuple[float, float]:
    """FLOP/s of a tuning's steps, and its seconds before the first, from a longer and a shorter one."""
    seconds = many.seconds - few.seconds
    rate = (many.flops - few.flops) / seconds if seconds > 0 else many.flops / many.seconds
    return rate, max(0.0, few.seconds - few.flops / rate)
