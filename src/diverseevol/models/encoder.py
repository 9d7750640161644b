"""A model made ready for the embedding pass: its decoder, in evaluation mode and the pass's dtype.

The vector of a row is a weighted mean, in float32, of the decoder's `last_hidden_state`. In transformers that
is the state after the final norm, and equal to `hidden_states[-1]` of a model that keeps all layers
(`capture_outputs` ties the two; older classes append it themselves).
Padding is on the right, so in a causal model no real position sees it, and the batch needs no attention mask:
attention then takes its fast causal kernel. Whether the model is causal is tried, not believed: two rows that
differ only in their second halves must have the same states in their first, to the bit. Where they do not,
padded batches carry a mask.
Cost: the weights in the pass's dtype, in place of the model's; states of one batch, one layer at a time.
Shape letters: B rows of a batch, T tokens, D embedding width.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..config import EmbedConfig
from ..errors import EmbedError
from ..selection import Signal
from .batches import Batch
from .embed_files import Computed
from .sharding import is_sharded
from .signals import Head, columns_of, row_signals

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.utils import ModelOutput

PLAIN_DTYPES = frozenset({torch.float32, torch.float16, torch.bfloat16, torch.float64})


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns batches into vectors and signals; made by `ready_encoder`."""

    root: PreTrainedModel
    """The model with its head; of a PEFT model the one with the adapters inside."""
    decoder: PreTrainedModel
    device: torch.device
    dtype: torch.dtype
    is_sharded: bool
    """Call the whole model instead of its decoder: FSDP gathers the outermost weights only there."""
    is_length_bound: bool
    """A row's states depend on the longest row beside it, and the model changes with every batch."""
    n_workers: int
    width: int = 0
    is_masked: bool = False
    output: type[ModelOutput] = dict
    """What the decoder gives."""

    def compute(self, batch: Batch, signals: frozenset[Signal], head: Head | None) -> Computed:
        """What is asked for of a batch, in one forward pass."""
        mask_BT = None
        if self.is_masked and batch.is_padded:
            mask_BT = (torch.arange(batch.ids_BT.shape[1]) < batch.lengths_B[:, None]).long().to(self.device)
        with torch.no_grad() if self.is_sharded else torch.inference_mode():
            hidden_BTD = self.hidden(batch.ids_BT.to(self.device), mask_BT)[0]
            computed: Computed = (
                {Signal.EMBEDDING: _pooled(hidden_BTD, batch)} if Signal.EMBEDDING in signals else {}
            )
            if head is not None and columns_of(signals):
                n_words = self.root.get_output_embeddings().weight.shape[0]
                computed |= row_signals(head, n_words, hidden_BTD, batch, signals)
        return computed

    def hidden(self, ids_BT: Tensor, mask_BT: Tensor | None) -> ModelOutput:
        """What the decoder gives, its last layer's states first."""
        inputs: dict[str, Any] = {"input_ids": ids_BT, "use_cache": False, "return_dict": True}
        if mask_BT is not None:
            inputs["attention_mask"] = mask_BT
        if not self.is_sharded:
            return self.decoder(**inputs)
        if "logits_to_keep" in inspect.signature(self.root.forward).parameters:
            inputs["logits_to_keep"] = 1
        seen: list[ModelOutput] = []
        handle = self.decoder.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        try:
            self.root(**inputs)
        finally:
            handle.remove()
        return seen[0]


def ready_encoder(model: PreTrainedModel, config: EmbedConfig, probe_ids: np.ndarray) -> Encoder:
    """Put a model into evaluation mode and the pass's dtype, and try on some real tokens what it is like.

    Raises:
        EmbedError: the decoder cannot be called alone, or not in the asked-for dtype.
    """
    decoder, is_shared = find_decoder(model), is_sharded(model)
    model.eval()
    _cast(model, config, is_shared)
    table = model.get_input_embeddings().weight
    ropes = [str(getattr(module, "rope_type", None)) for module in model.modules()]
    is_length_bound = any("dynamic" in rope or "longrope" in rope for rope in ropes)
    is_plain = all(
        weight.device.type == "cpu" and weight.dtype in PLAIN_DTYPES for weight in model.parameters()
    )
    # A forward pass that changes the model (weights fetched or unpacked, frequencies by length) is for one
    # thread alone.
    is_thread_safe = (
        is_plain
        and not (is_shared or is_length_bound)
        and type(decoder).__module__.startswith("transformers.")
    )
    n_workers = torch.get_num_threads() if is_thread_safe else 1
    root = _below_adapter(model)
    encoder = Encoder(root, decoder, table.device, table.dtype, is_shared, is_length_bound, n_workers)
    return _probed(encoder, torch.from_numpy(np.asarray(probe_ids[:64], dtype=np.int64)))


def find_decoder(model: PreTrainedModel) -> PreTrainedModel:
    """The transformer below the LM head; of a PEFT model the one with the active adapters inside.

    Raises:
        EmbedError: there is none to call, or the adapter is made of virtual tokens, which only the whole
            model prepends.
    """
    root = _below_adapter(model)
    if root is not model and model.active_peft_config.is_prompt_learning:
        kind = model.active_peft_config.peft_type.value
        raise EmbedError(
            f"cannot embed with a {kind} adapter: its virtual tokens live outside the decoder. Use LoRA or "
            "a merged model."
        )
    decoder = root.get_decoder()
    if decoder is root:
        name = type(root).__name__
        raise EmbedError(
            f"cannot embed with {name}: its get_decoder() gives no part below an LM head. "
            "Load it as a causal language model."
        )
    return decoder


def _below_adapter(model: PreTrainedModel) -> PreTrainedModel:
    peft = sys.modules.get("peft")  # no adapter without it; importing it costs seconds
    return model.get_base_model() if peft is not None and isinstance(model, peft.PeftModel) else model


def _cast(model: PreTrainedModel, config: EmbedConfig, is_shared: bool) -> None:
    """Cast the weights to the pass's dtype; buffers (rotary frequencies, …) stay as precise as they are.

    Only weights of plain floating point are cast: quantised models compute in the dtype they were loaded for.
    """
    dtypes, own = {weight.dtype for weight in model.parameters()}, model.get_input_embeddings().weight
    is_bf16 = own.device.type == "cuda" and not is_shared and torch.cuda.is_bf16_supported()
    name = {"model": None, "auto": "bfloat16" if is_bf16 else None}.get(config.dtype, config.dtype)
    if name is None or not dtypes <= PLAIN_DTYPES or dtypes == {getattr(torch, name)}:
        return
    if is_shared:
        raise EmbedError(
            f"cannot cast a sharded model from {str(own.dtype).removeprefix('torch.')} to {name}. Set "
            "embed.dtype=model, "
            "and the dtype where the model is sharded."
        )
    for weight in model.parameters():
        weight.data = weight.data.to(getattr(torch, name))


def _probed(encoder: Encoder, ids_T: Tensor) -> Encoder:
    """Find out the width, and whether a change in a row's second half leaves its first half as it is."""
    half = (len(ids_T) + 1) // 2
    other_T = torch.cat([ids_T[:half], torch.where(ids_T[half:] > 0, ids_T[half:] - 1, 1)])
    with torch.no_grad():
        output = encoder.hidden(torch.stack([ids_T, other_T]).to(encoder.device), None)
    hidden_BTD = output[0]
    is_causal = torch.equal(hidden_BTD[0, :half], hidden_BTD[1, :half])
    return replace(encoder, width=hidden_BTD.shape[-1], is_masked=not is_causal, output=type(output))


def _pooled(hidden_BTD: Tensor, batch: Batch) -> np.ndarray:
    weights_BT1 = batch.weights_BT.to(hidden_BTD.device)[..., None]
    # 0 × NaN is NaN: what a padded position holds must not reach the sum. No matrix product: a GPU may do it
    # in TF32.
    states_BTD = hidden_BTD.float()
    if batch.is_padded:
        states_BTD = states_BTD.masked_fill(weights_BT1 == 0, 0.0)
    pooled: np.ndarray = (states_BTD * weights_BT1).sum(dim=1).cpu().numpy()
    return pooled


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    from accelerate.utils.memory import should_reduce_batch_size

    return isinstance(error, RuntimeError) and should_reduce_batch_size(error)
