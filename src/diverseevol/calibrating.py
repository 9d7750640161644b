"""What rates a tuning and an embedding pass reach on this machine: ten steps, one step and a pass, in a temporary folder.

A tuning takes some seconds before its first step, however short it is; the one step tells them from the seconds that grow with the tokens.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from .base.progress import SILENT, Watch
from .config import RunConfig, TrainConfig
from .embed import embed_tokens
from .ledger import Cost
from .models import load_model
from .opening import usable_tokenizer
from .plan import Rates
from .prepare import prepare
from .train.sft import fit

N_STEPS = 10
FEWEST_ROWS = 160
EMBEDDED = 4
"""Times the tuned rows: a pass takes a fraction of a tuning, and its first batches are slower."""


def calibrate(config: RunConfig, watch: Watch) -> Rates:
    """Tune the rounds' model for a few steps and run it over some rows; FLOP/s as the ledger counts them.

    Raises:
        DiverseEvolError: as a run would.
    """
    config = config.for_rounds()
    keys = config.train.sft
    per_step = config.train.total_batch_size or int(keys.get("per_device_train_batch_size", 4))
    n_rows = max(FEWEST_ROWS, N_STEPS * per_step)
    pool = config.pool.model_copy(update={"max_rows": EMBEDDED * n_rows, "dedup": False, "decontaminate": ()})
    tokenizer = usable_tokenizer(config)
    with tempfile.TemporaryDirectory(prefix="diverseevol-calibrate-") as name:
        folder = Path(name)
        data = prepare(pool, config.prompt, tokenizer, folder / "pool", config.seed, SILENT)  # what it says names files that go

        def tuned(n_steps: int, rows: Sequence[int]) -> Cost:
            train = TrainConfig.model_validate(config.train.model_dump() | {"max_steps": n_steps, "command": None})
            places = (folder / f"model-{n_steps}", folder / "checkpoints", config.seed, watch, config.trust_remote_code)
            return fit(config.model, rows, data.tokens, tokenizer, train, *places)

        rows = range(min(n_rows, len(data.tokens)))
        many, once = tuned(N_STEPS, rows), tuned(1, rows)
        model = load_model(str(folder / f"model-{N_STEPS}"), "auto", config.trust_remote_code)
        report = embed_tokens(model, data.tokens, folder / "signals", config.embed, data.pool.ids, "calibrate", watch)
    rate, start = rate_and_start(many, once)
    source = f"measured here: {N_STEPS} steps, one step and a pass over {report.n_rows} rows"
    return Rates(train=rate, embed=report.flops / report.seconds, source=source, is_measured=True, start=start)


def rate_and_start(many: Cost, few: Cost) -> tuple[float, float]:
    """FLOP/s of a tuning's steps, and its seconds before the first of them, from a longer and a shorter one."""
    rate = many.flops / many.seconds
    if many.seconds > few.seconds and many.flops > few.flops:
        rate = (many.flops - few.flops) / (many.seconds - few.seconds)
    return rate, max(0.0, few.seconds - few.flops / rate)
