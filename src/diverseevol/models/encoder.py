"""A model made ready for the embedding pass: its decoder, in evaluation mode and the pass's dtype.

The vector of a row is a weighted mean, in float32, of the decoder's `last_hidden_state`, the state after the
final norm. Padding is on the right, so in a causal model no real position sees it, and the batch needs no
attention
mask: attention then takes its fast causal kernel. Whether the model is causal is tried, not believed: two
rows that differ only in their second halves must have the same states in their first, to the bit.
FLOPs: 2 a token and parameter outside the embedding tables, plus attention's two products, which a causal row
of T tokens does for T²/2 pairs: 2·T²·D a layer. A mixture of experts is counted with all its experts, the
head at every token, also where only some positions are read.
Shape letters: N rows, B rows of a batch, T tokens, D embedding width, V vocabulary.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..config import EmbedConfig
from ..errors import EmbedError
from ..run.metrics import forward_flops, n_numbers
from ..selection import Signal
from .batches import Batch
from .embed_files import Computed
from .load import is_sharded
from .signals import Head, columns_of, row_signals

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.utils import ModelOutput

PLAIN_DTYPES = frozenset({torch.float32, torch.float16, torch.bfloat16, torch.float64})


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns batches into vectors and signals; made by `ready_encoder`."""

    root: PreTrainedModel  # with its head; of a PEFT model the one with the adapters inside
    decoder: PreTrainedModel
    device: torch.device
    dtype: torch.dtype
    is_sharded: bool
    is_length_bound: bool  # a row's states depend on the longest row beside it
    n_workers: int
    width: int = 0
    is_masked: bool = False
    output: type[ModelOutput] = dict  # what the decoder gives

    def compute(self, batch: Batch, signals: frozenset[Signal], head: Head | None) -> Computed:
        """What is asked for of a batch, in one forward pass."""
        computed: Computed = {}
        mask_BT = None
        if self.is_masked and batch.is_padded:
            mask_BT = (torch.arange(batch.ids_BT.shape[1]) < batch.lengths_B[:, None]).long().to(self.device)
        with torch.no_grad() if self.is_sharded else torch.inference_mode():
            hidden_BTD = self.hidden(batch.ids_BT.to(self.device), mask_BT)[0]
            if Signal.EMBEDDING in signals:
                weights_BT1 = batch.weights_BT.to(hidden_BTD.device)[..., None]
                states_BTD = hidden_BTD.float()
                if batch.is_padded:  # 0 × NaN is NaN: what a padded position holds must not reach the sum
                    states_BTD = states_BTD.masked_fill(weights_BT1 == 0, 0.0)
                # No matrix product: a GPU may do it in TF32.
                computed[Signal.EMBEDDING] = (states_BTD * weights_BT1).sum(dim=1).cpu().numpy()
            if head is not None and columns_of(signals):
                n_words = self.root.get_output_embeddings().weight.shape[0]
                computed |= row_signals(head, n_words, hidden_BTD, batch, signals)
        return computed

    def hidden(self, ids_BT: Tensor, mask_BT: Tensor | None) -> ModelOutput:
        """What the decoder gives, its last layer's states first."""
        inputs: dict[str, Any] = {"input_ids": ids_BT, "use_cache": False, "return_dict": True}
        if mask_BT is not None:
            inputs["attention_mask"] = mask_BT
        if not self.is_sharded:  # else the whole model: FSDP gathers the outermost weights only there
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
    weights, table = list(model.parameters()), model.get_input_embeddings().weight
    ropes = [str(getattr(module, "rope_type", None)) for module in model.modules()]
    is_length_bound = any("dynamic" in rope or "longrope" in rope for rope in ropes)
    # A forward pass that changes the model (weights fetched or unpacked, frequencies by length) is for one
    # thread.
    is_thread_safe = (
        all(weight.device.type == "cpu" and weight.dtype in PLAIN_DTYPES for weight in weights)
        and not (is_shared or is_length_bound)
        and type(decoder).__module__.startswith("transformers.")
    )
    n_workers = torch.get_num_threads() if is_thread_safe else 1
    root = _below_adapter(model)
    encoder = Encoder(root, decoder, table.device, table.dtype, is_shared, is_length_bound, n_workers)
    ids_T = torch.from_numpy(np.asarray(probe_ids[:64], dtype=np.int64))
    half = (len(ids_T) + 1) // 2
    other_T = torch.cat([ids_T[:half], torch.where(ids_T[half:] > 0, ids_T[half:] - 1, 1)])
    with torch.no_grad():
        output = encoder.hidden(torch.stack([ids_T, other_T]).to(encoder.device), None)
    hidden_BTD = output[0]
    is_causal = torch.equal(hidden_BTD[0, :half], hidden_BTD[1, :half])
    return replace(encoder, width=hidden_BTD.shape[-1], is_masked=not is_causal, output=type(output))


def find_decoder(model: PreTrainedModel) -> PreTrainedModel:
    """The transformer below the LM head; of a PEFT model the one with the active adapters inside.

    Raises:
        EmbedError: there is none to call, or the adapter is made of virtual tokens, which only the whole
            model prepends.
    """
    root = _below_adapter(model)
    if root is not model and model.active_peft_config.is_prompt_learning:
        raise EmbedError(
            f"cannot embed with a {model.active_peft_config.peft_type.value} adapter: its virtual tokens "
            "live outside the decoder. Use LoRA or a merged model."
        )
    decoder = root.get_decoder()
    if decoder is root:
        raise EmbedError(
            f"cannot embed with {type(root).__name__}: its get_decoder() gives no part below an LM head. "
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
            "embed.dtype=model, and the dtype where the model is sharded."
        )
    for weight in model.parameters():
        weight.data = weight.data.to(getattr(torch, name))


def n_computing(model: PreTrainedModel) -> int:
    """Parameters that cost products for each token: all but the token embeddings' look-up.

    The output head's are counted even where it is tied.
    """
    n_all, table = sum(map(n_numbers, model.parameters())), model.get_input_embeddings().weight
    return n_all if model.get_output_embeddings().weight is table else n_all - int(table.numel())


def n_outside_tables(model: nn.Module) -> int:
    """A model's parameters but those of its embedding tables."""
    in_tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return sum(n_numbers(parameter) for parameter in model.parameters() if id(parameter) not in in_tables)


def pass_flops(decoder: PreTrainedModel, n_tokens_N: np.ndarray) -> float:
    """FLOPs of a decoder over rows of these lengths."""
    config = decoder.config.get_text_config()
    has_heads = getattr(
        config, "num_attention_heads", None
    )  # none in a model without attention, such as Mamba
    squares = float(np.square(n_tokens_N.astype(np.float64)).sum()) if has_heads else 0.0
    attention: float = 2.0 * config.num_hidden_layers * config.hidden_size * squares
    return forward_flops(n_outside_tables(decoder), int(n_tokens_N.sum())) + attention


def head_flops(weight_VD: Tensor, n_tokens_N: np.ndarray) -> float:
    """FLOPs of the LM head at every token of rows of these lengths."""
    return forward_flops(weight_VD.numel(), int(n_tokens_N.sum()))
