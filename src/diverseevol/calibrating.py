"""What rates a tuning and an embedding pass reach on this machine: ten steps and one pass over their rows, in a temporary folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .config import RunConfig, TrainConfig
from .embed import embed_tokens
from .opening import usable_tokenizer
from .plan import Rates
from .prepare import prepare
from .progress import Watch

N_STEPS = 10
FEWEST_ROWS = 160


def calibrate(config: RunConfig, watch: Watch) -> Rates:
    """Tune the rounds' model for ten steps and run it over the rows of these; FLOP/s as the ledger counts them.

    Raises:
        DiverseEvolError: as a run would.
    """
    from .train.sft import fit

    config = config.for_rounds()
    keys = config.train.sft
    per_step = config.train.total_batch_size or int(keys.get("per_device_train_batch_size", 4))
    n_rows = max(FEWEST_ROWS, N_STEPS * per_step)
    pool = config.pool.model_copy(update={"max_rows": n_rows, "dedup": False, "decontaminate": ()})
    train = TrainConfig.model_validate(config.train.model_dump() | {"max_steps": N_STEPS, "command": None})
    tokenizer = usable_tokenizer(config)
    with tempfile.TemporaryDirectory(prefix="diverseevol-calibrate-") as name:
        folder = Path(name)
        data = prepare(pool, config.prompt, tokenizer, folder / "pool", config.seed, watch)
        fitted = fit(
            config.model,
            range(len(data.tokens)),
            data.tokens,
            tokenizer,
            train,
            folder / "model",
            folder / "checkpoints",
            config.seed,
            watch,
            config.trust_remote_code,
        )
        report = embed_tokens(fitted.model, data.tokens, folder / "signals", config.embed, data.pool.ids, "calibrate", watch)
    return Rates(
        train=fitted.cost.flops / fitted.cost.seconds,
        embed=report.flops / report.seconds,
        source=f"measured here: {N_STEPS} steps and a pass over {report.n_rows} rows",
        is_measured=True,
    )
