"""A run's plan by its real tokens, written when it is started, so that what it cost can be read beside what was expected."""

from __future__ import annotations

from .base.files import size_of, write_json
from .errors import EmbedError, ModelError
from .ledger import process_bytes
from .models import device
from .plan import Facts, Lengths, Plan, make_plan
from .plan.read_shape import model_shapes
from .stages import Stages


def save_plan(stages: Stages) -> None:
    """Write the run's plan; where the shape of its model cannot be read, say so and write none."""
    try:
        plan = run_plan(stages)
    except (ModelError, EmbedError) as error:
        stages.watch.note(f"no plan of the cost: {error}")
        return
    write_json(stages.run.plan_file, plan.as_dict())


def run_plan(stages: Stages) -> Plan:
    """The plan of an opened run; the target of a selector is taken to cut texts into as many tokens as the selector does.

    Raises:
        ModelError, EmbedError: the shape of a model cannot be read.
    """
    tokens = stages.data.tokens
    lengths = Lengths.of(tokens.n_tokens, tokens.n_trained, tokens.n_full, len(tokens))
    model, target = model_shapes(stages.whole)
    facts = Facts(
        lengths=lengths,
        model=model,
        target=target,
        target_lengths=lengths,
        needs=frozenset(map(str, stages.model_signals)),
        n_heldout=len(stages.heldout.pool) if stages.heldout else 0,
        n_first=None if stages.seed_rows is None else len(stages.seed_rows),
        pool_bytes=sum(size_of(file) for file in stages.run.pool_dir.glob("*.*") if file.is_file()),
        program_bytes=process_bytes(),
        is_float32=device().type == "cpu",
    )
    return make_plan(stages.whole, facts)
