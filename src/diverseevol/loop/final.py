"""The one tuning of the target model on the final subset, after the last round: what a run with a selector is for.

Source: DiverseEvol (https://arxiv.org/abs/2311.08182) tunes and embeds with one model; a smaller one that does the rounds costs less, and
the subset is then the target's. The subset is tokenised again, by the target's own tokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..base import dist
from ..base.files import read_json, remove, write_json
from ..data.sample import Sample
from ..errors import RunFolderError
from ..models.load import load_tokenizer, name_stops
from ..text.tokens import Encoder, build_tokens
from .stages import Stages, training_seed


def tune_target(stages: Stages) -> None:
    """Tune `model` on everything that was chosen, unless that is done or not asked for.

    Raises:
        RunFolderError: it is done, with other settings.
        ModelError, ModelError, ConfigError: see `fit`.
    """
    if stages.whole.final is None:
        return
    from ..models.train.sft import fit

    run, config, pool = stages.run, stages.whole.for_final(), stages.data.pool
    settings = config.train.model_dump(mode="json")
    chosen = sorted(dist.on_main(lambda: run.chosen_before(len(run.rounds_done()))))
    made_of = {"model": config.model, "train": settings, "n_chosen": len(chosen)}
    if stored := dist.on_main(run.final_bill):
        _check_same(stages, stored.values(), made_of)
        return
    tokenizer = load_tokenizer(config.model, config.trust_remote_code)

    def samples(start: int, stop: int) -> Sequence[Sample]:
        return [pool.sample(row) for row in chosen[start:stop]]

    tokens = build_tokens(
        samples, len(chosen), tokenizer, config.prompt, run.final_dir / "tokens", stages.watch
    )
    usable = np.flatnonzero(tokens.n_trained > 0).tolist()
    if len(usable) < len(chosen):
        stages.watch.note(
            f"final: {len(chosen) - len(usable)} of {len(chosen)} rows have no token to train on by {config.model}"
        )
    if dist.on_main(run.final_model_dir.is_dir):  # killed before metrics.json was written
        bill = dist.on_main(lambda: read_json(run.final_bill_file) if run.final_bill_file.exists() else {})
    else:
        seed = training_seed(config.seed, dist.on_main(lambda: len(run.rounds_done())))
        checkpoints_dir, trust = run.final_dir / "checkpoints", config.trust_remote_code
        cost = fit(
            config.model,
            usable,
            tokens,
            tokenizer,
            config.train,
            run.final_model_dir,
            checkpoints_dir,
            seed,
            stages.watch,
            trust,
            stages.tracking.log_final,
            config.prompt.max_length,
            lambda cost: dist.on_main(lambda: write_json(run.final_bill_file, cost.as_dict())),
        )
        bill = cost.as_dict()
        dist.on_main(lambda: remove(checkpoints_dir))
    dist.on_main(lambda: name_stops(run.final_model_dir, Encoder(tokenizer, config.prompt).stops))
    dist.on_main(
        lambda: write_json(
            run.final_metrics_file, {**made_of, "n_trained": len(usable), "seconds": 0.0, **bill}
        )
    )
    dist.on_main(lambda: remove(run.final_bill_file))
    stages.watch.note(
        f"Final model: {config.model}, tuned on {len(usable)} samples, in {run.final_model_dir}"
    )


def _check_same(stages: Stages, stored: Mapping[str, object], made_of: Mapping[str, object]) -> None:
    changed = [key for key, value in made_of.items() if stored.get(key) != value]
    if changed:
        raise RunFolderError(
            f"{stages.run.final_dir} was tuned with another {', '.join(changed)}. Move that folder away to tune the model again."
        )
