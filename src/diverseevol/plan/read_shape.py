"""A model's size without its weights: its modules are made on the meta device and counted as the ledger counts them.

The one module here that loads torch; `plan` itself does not import it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..config import RunConfig, TrainConfig
from ..embed.encoder import find_decoder
from ..embed.report import n_heads, n_outside_tables
from ..errors import REFUSALS
from ..models import adapter_config, empty_model, n_computing
from .facts import ModelShape
from .knobs import LORA

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def model_shapes(config: RunConfig) -> tuple[ModelShape, ModelShape]:
    """The shapes of the rounds' model and of the one that the subset is for.

    Raises:
        ModelError, EmbedError: as `model_shape`.
    """
    rounds, final = config.for_rounds(), config.for_final()
    model = model_shape(rounds.model, rounds.train, config.trust_remote_code)
    if (final.model, final.train) == (rounds.model, rounds.train):
        return model, model
    return model, model_shape(final.model, final.train, config.trust_remote_code)


def model_shape(name: str, train: TrainConfig, trust_remote_code: bool = False) -> ModelShape:
    """The shape of a model, and of the adapter that `train` puts on it (or would, with the usual keys, where all weights are tuned).

    Raises:
        ModelError: there is no such model, or its class cannot be made without weights.
        EmbedError: it is no decoder below a language-model head.
    """
    model = empty_model(name, trust_remote_code)
    decoder, config = find_decoder(model), model.config.get_text_config()
    sides = [side for weight in decoder.parameters() if weight.dim() == 2 for side in weight.shape]
    shape = ModelShape(
        name=name,
        n_all=sum(weight.numel() for weight in model.parameters()),
        n_computing=n_computing(model),
        n_decoder=n_outside_tables(decoder),
        n_head=int(model.get_output_embeddings().weight.numel()),
        n_layers=int(config.num_hidden_layers),
        width=int(config.hidden_size),
        n_heads=n_heads(config),
        widest=max((side for side in sides if side != config.vocab_size), default=int(config.hidden_size)),
        n_vocabulary=int(config.vocab_size),
        itemsize=int(getattr(config.dtype, "itemsize", None) or getattr(model.config.dtype, "itemsize", None) or 4),
    )
    return replace(shape, n_adapter=_n_adapter(model, name, train))


def _n_adapter(model: PreTrainedModel, name: str, train: TrainConfig) -> int:
    """Parameters of the adapter; 0 where PEFT cannot put it on this model (a tuning says so itself)."""
    from peft import LoraConfig, PeftConfig, get_peft_model

    keys: dict[str, Any] = {"task_type": "CAUSAL_LM", **(LORA if train.method == "full" else train.lora)}
    try:
        config = PeftConfig.from_pretrained(name) if adapter_config(name) else LoraConfig(**keys)
        config.inference_mode = False
        adapted = get_peft_model(model, config)
    except REFUSALS:
        return 0
    return sum(int(weight.numel()) for weight in adapted.parameters() if weight.requires_grad)
