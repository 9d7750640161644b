"""A model made ready for the pass, and left as it was: evaluation mode, no gradients, no cache, the pass's dtype.

The vector of a row is a weighted mean, in float32, of the decoder's `last_hidden_state`. In transformers that is the state
after the final norm, and equal to `hidden_states[-1]` of a model that keeps all layers (`capture_outputs` ties the two; older
classes append it themselves).

Padding is on the right, so in a causal model no real position sees it, and the batch needs no attention mask: attention then
takes its fast causal kernel. Whether the model is causal is tried, not believed: two rows that differ only in their second
halves must have the same states in their first, to the bit. Where they do not, batches with padding carry a mask.
The LM head is not called; signals that need logits read its weights (head.py).
Cost: a copy of the weights in the pass's dtype if it is another than the model's; states of one batch, one layer at a time.
Shape letters: B rows of a batch, T tokens, D embedding width.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...config import EmbedConfig
from ...errors import EmbedError
from ...selection import Signal
from .formulas import columns_of, row_signals
from .head import PROBE_TOKENS, Head, find_head
from .shards import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PLAIN_DTYPES = frozenset({torch.float32, torch.float16, torch.bfloat16, torch.float64})


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the pass computed for some rows; None for what was not asked."""

    embeddings_BD: np.ndarray | None
    """float32"""
    columns_BS: np.ndarray | None
    """float64, the signals in the order of `columns_of`."""

    @classmethod
    def joined(cls, parts: Sequence[Outputs]) -> Outputs:
        """The outputs of several batches as those of one."""
        embeddings = [part.embeddings_BD for part in parts if part.embeddings_BD is not None]
        columns = [part.columns_BS for part in parts if part.columns_BS is not None]
        return cls(
            np.concatenate(embeddings) if embeddings else None, np.concatenate(columns) if columns else None
        )

    def is_finite_B(self) -> np.ndarray:
        """Which rows hold neither NaN nor infinity."""
        arrays = [array for array in (self.embeddings_BD, self.columns_BS) if array is not None]
        finite: np.ndarray = np.logical_and.reduce([np.isfinite(array).all(axis=1) for array in arrays])
        return finite


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns batches into vectors and signals; made by `ready_encoder`."""

    model: PreTrainedModel
    decoder: PreTrainedModel
    device: torch.device
    dtype: torch.dtype
    width: int
    is_masked: bool
    is_through_root: bool
    """Call the whole model instead of its decoder: FSDP gathers the outermost weights only there."""
    is_length_bound: bool
    """A row's states depend on the longest row beside it: only rows of one length may share a batch."""
    is_thread_safe: bool
    head: Head | None = None
    """Only where a signal needs logits."""

    def compute(self, batch: Batch, signals: frozenset[Signal]) -> Outputs:
        """The vectors of a batch, float32[B, D], and its signals, float64[B, S]: what is asked for, in one forward pass."""
        mask_BT = None
        if self.is_masked and batch.is_padded:
            mask_BT = (torch.arange(batch.ids_BT.shape[1]) < batch.lengths_B[:, None]).long().to(self.device)
        # FSDP keeps what it gathers for the training that follows, and training refuses tensors made in inference mode.
        with torch.no_grad() if self.is_through_root else torch.inference_mode():
            hidden_BTD = _hidden(self, batch.ids_BT.to(self.device), mask_BT)
            embeddings_BD = _pooled(hidden_BTD, batch) if Signal.EMBEDDING in signals else None
            if self.head is None or not columns_of(signals):
                return Outputs(embeddings_BD, None)
            return Outputs(embeddings_BD, row_signals(self.head, hidden_BTD, batch, signals))

    def try_compute(self, batch: Batch, signals: frozenset[Signal]) -> Outputs | None:
        """As `compute`, but None if memory runs out; returns after what the failed try held is free."""
        try:
            return self.compute(batch, signals)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out: the GPU's allocator, cuBLAS's workspace, or the CPU's."""
    phrases = (
        "not enough memory",
        "can't allocate memory",
        "DefaultCPUAllocator",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "out of memory",
    )
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(
        phrase in str(error) for phrase in phrases
    )


@contextmanager
def ready_encoder(
    model: PreTrainedModel,
    config: EmbedConfig,
    probe_ids: np.ndarray,
    lockstep: bool,
    with_head: bool = False,
) -> Iterator[Encoder]:
    """Make a model ready; afterwards every module's mode and every weight are what they were.

    `probe_ids` are some real tokens, on which the model's width and causality are found out, and `with_head` its head.

    Raises:
        EmbedError: the decoder cannot be called alone, or not in the asked-for dtype, or its head is not a plain one.
    """
    decoder = find_decoder(model)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with _in_dtype(model, config, lockstep) as dtype:
            device = model.get_input_embeddings().weight.device
            is_length_bound = _is_length_bound(model)
            is_safe = not is_length_bound and _is_thread_safe(model, decoder)
            encoder = Encoder(model, decoder, device, dtype, 0, False, lockstep, is_length_bound, is_safe)
            width, is_causal = _probe(encoder, probe_ids)
            head = _probe_head(encoder, probe_ids[:PROBE_TOKENS]) if with_head else None
            yield replace(encoder, width=width, is_masked=not is_causal, head=head)
    finally:
        for module, was_training in modes:
            module.training = was_training


def find_decoder(model: PreTrainedModel) -> PreTrainedModel:
    """The transformer below the LM head; of a PEFT model the one with the active adapters inside.

    Raises:
        EmbedError: there is none to call, or the adapter is made of virtual tokens, which only the whole model prepends.
    """
    peft = sys.modules.get("peft")  # no adapter without it; importing it costs seconds
    is_adapted = peft is not None and isinstance(model, peft.PeftModel)
    if is_adapted and model.active_peft_config.is_prompt_learning:
        kind = model.active_peft_config.peft_type.value
        raise EmbedError(
            f"cannot embed with a {kind} adapter: its virtual tokens live outside the decoder. Use LoRA or a merged model."
        )
    root = model.get_base_model() if is_adapted else model
    decoder = root.get_decoder()
    if decoder is root:
        name = type(root).__name__
        raise EmbedError(
            f"cannot embed with {name}: its get_decoder() gives no part below an LM head. Load it as a causal language model."
        )
    return decoder


def _hidden(encoder: Encoder, ids_BT: Tensor, mask_BT: Tensor | None) -> Tensor:
    inputs: dict[str, Any] = {"input_ids": ids_BT, "use_cache": False, "return_dict": True}
    if mask_BT is not None:
        inputs["attention_mask"] = mask_BT
    if not encoder.is_through_root:
        return encoder.decoder(**inputs)[0]  # type: ignore[no-any-return]
    if "logits_to_keep" in inspect.signature(encoder.model.forward).parameters:
        inputs["logits_to_keep"] = 1
    seen: list[Tensor] = []
    handle = encoder.decoder.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))
    try:
        encoder.model(**inputs)
    finally:
        handle.remove()
    return seen[0]


def _probe(encoder: Encoder, probe_ids: np.ndarray) -> tuple[int, bool]:
    """The width, and whether a change in a row's second half leaves its first half as it is."""
    ids_T = torch.from_numpy(np.asarray(probe_ids[:64], dtype=np.int64))
    half = (len(ids_T) + 1) // 2
    other_T = torch.cat([ids_T[:half], torch.where(ids_T[half:] > 0, ids_T[half:] - 1, 1)])
    try:
        with torch.no_grad() if encoder.is_through_root else torch.inference_mode():
            hidden_BTD = _hidden(encoder, torch.stack([ids_T, other_T]).to(encoder.device), None)
            return hidden_BTD.shape[-1], torch.equal(hidden_BTD[0, :half], hidden_BTD[1, :half])
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise EmbedError(
            "out of memory on a first trial of two short rows: the model alone fills the device. "
            "Use a smaller embed.dtype (bfloat16), a smaller model or a larger device."
        ) from error


def _probe_head(encoder: Encoder, probe_ids: np.ndarray) -> Head:
    ids_1T = torch.from_numpy(np.asarray(probe_ids, dtype=np.int64))[None].to(encoder.device)
    with torch.inference_mode():
        hidden_TD = _hidden(encoder, ids_1T, None)[0]
        logits_TV = encoder.model(input_ids=ids_1T, use_cache=False, return_dict=True).logits[0]
        settings = encoder.decoder.config.get_text_config().to_dict()
        return find_head(encoder.model.get_output_embeddings(), settings, hidden_TD, logits_TV)


def _pooled(hidden_BTD: Tensor, batch: Batch) -> np.ndarray:
    weights_BT1 = batch.weights_BT.to(hidden_BTD.device)[..., None]
    # 0 × NaN is NaN: what a padded position holds must not reach the sum. No matrix product: a GPU may do it in TF32.
    states_BTD = hidden_BTD.float()
    if batch.is_padded:
        states_BTD = states_BTD.masked_fill(weights_BT1 == 0, 0.0)
    pooled: np.ndarray = (states_BTD * weights_BT1).sum(dim=1).cpu().numpy()
    return pooled


@contextmanager
def _in_dtype(model: PreTrainedModel, config: EmbedConfig, lockstep: bool) -> Iterator[torch.dtype]:
    """Hold the weights in the pass's dtype; buffers (rotary frequencies, …) stay as precise as they are.

    Only weights of plain floating point are cast: quantised models compute in the dtype they were loaded for.
    """
    dtypes = {parameter.dtype for parameter in model.parameters()}
    own = model.get_input_embeddings().weight.dtype
    wanted = _wanted_dtype(config, model.get_input_embeddings(), lockstep)
    if not dtypes <= PLAIN_DTYPES or wanted is None or dtypes == {wanted}:
        yield own
        return
    if lockstep:
        raise EmbedError(
            f"cannot cast a sharded model from {_name(own)} to {_name(wanted)}. "
            "Set embed.dtype=model, and the dtype where the model is sharded."
        )
    saved = [(parameter, parameter.data) for parameter in model.parameters() if parameter.dtype != wanted]
    try:
        for parameter, _ in saved:
            parameter.data = parameter.data.to(wanted)
        yield wanted
    finally:
        for parameter, data in saved:
            parameter.data = data


def _wanted_dtype(config: EmbedConfig, embedding: nn.Module, lockstep: bool) -> torch.dtype | None:
    match config.dtype:
        case "model":
            return None
        case "auto":
            is_cuda = next(embedding.parameters()).device.type == "cuda"
            return torch.bfloat16 if is_cuda and not lockstep and torch.cuda.is_bf16_supported() else None
        case name:
            return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _is_thread_safe(model: PreTrainedModel, decoder: PreTrainedModel) -> bool:
    """Whether a forward pass changes nothing in the model: not so where weights are fetched or unpacked piece by piece, nor sure in foreign code."""
    is_plain = all(
        parameter.device.type == "cpu" and parameter.dtype in PLAIN_DTYPES for parameter in model.parameters()
    )
    return is_plain and type(decoder).__module__.startswith("transformers.")


def _is_length_bound(model: PreTrainedModel) -> bool:
    """Whether rotary frequencies follow the length of the batch at hand; the model then also changes with every batch."""
    ropes = [str(getattr(module, "rope_type", None)) for module in model.modules()]
    return any("dynamic" in rope or "longrope" in rope for rope in ropes)
