"""The one tuning of the target model on the final subset: what a run with a selector is for.

Source: DiverseEvol (https://arxiv.org/abs/2311.08182) tunes and embeds with one model; a smaller one that
does the rounds costs less, and the subset is then the target's. It is tokenised again, by the target's own
tokenizer.
"""

from __future__ import annotations

import numpy as np

from ..base import dist
from ..base.files import read_json, remove, write_json
from ..errors import RunFolderError
from ..models.load import load_tokenizer
from ..text.tokens import build_tokens
from .rounds import Rounds


def tune_target(rounds: Rounds) -> None:
    """Tune `model` on everything that was chosen, unless that is done or not asked for.

    Raises:
        RunFolderError: it is done, with other settings.
        ModelError, ConfigError: see `fit`.
    """
    if rounds.whole.final is None:
        return
    run, config, pool, watch = rounds.run, rounds.whole.for_final(), rounds.data.pool, rounds.watch
    n_rounds = dist.on_main(lambda: len(run.rounds_done()))
    chosen = sorted(rounds.chosen_before(n_rounds))
    made_of = {"model": config.model, "train": config.train.model_dump(mode="json"), "n_chosen": len(chosen)}
    if stored := dist.on_main(run.final_bill):
        if changed := [key for key, value in made_of.items() if stored.values().get(key) != value]:
            raise RunFolderError(
                f"{run.final_dir} was tuned with another {', '.join(changed)}. "
                "Move that folder away to tune the model again."
            )
        return
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)
    folder, bill_file, model_dir = run.final_dir, run.final_bill_file, run.final_model_dir
    tokens = build_tokens(
        lambda start, stop: [pool.sample(row) for row in chosen[start:stop]],
        len(chosen),
        tokenizer,
        config.prompt,
        folder / "tokens",
        watch,
    )
    usable = np.flatnonzero(tokens.n_trained > 0).tolist()
    if n_lost := len(chosen) - len(usable):
        watch.note(f"final: {n_lost} of {len(chosen)} rows have no token to train on by {config.model}")
    if not dist.on_main(model_dir.is_dir):  # else killed before metrics.json was written
        what = (tokens, tokenizer, model_dir, folder / "checkpoints", n_rounds, rounds.tracking.log_final)
        rounds.tune(config, config.model, usable, *what, lambda cost: write_json(bill_file, cost.as_dict()))
        dist.on_main(lambda: remove(folder / "checkpoints"))
    rounds.name_stops(tokenizer, model_dir)

    def finish() -> None:
        bill = read_json(bill_file) if bill_file.exists() else {}
        write_json(run.final_metrics_file, {**made_of, "n_trained": len(usable), "seconds": 0.0, **bill})
        remove(bill_file)

    dist.on_main(finish)
    watch.note(f"Final model: {config.model}, tuned on {len(usable)} samples, in {model_dir}")
