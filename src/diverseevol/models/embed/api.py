"""Run the pass over a tokenised pool: find the size of batches, share the shards out over ranks, resume what a killed call had finished.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182): a row's vector is the mean of the last layer's states
over all its tokens. Where we differ from the published code, with the same vectors up to rounding: whole batches instead of
single rows, no states of other layers, no logits, no loss (docs/deviations.md). Signals that need logits take them from the same
states, block by block (statistics.py).
Cost: one forward pass, without the head unless a signal needs it, and for `answer_loss` a second one over the shortened rows; the
pool's ids one batch at a time; N·D float32 and 8 bytes a row and signal on the disk, none of it in memory.
Shape letters: N pool rows, D embedding width.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ...base import dist
from ...base.files import load_array
from ...base.progress import SILENT, Watch
from ...config import EmbedConfig
from ...errors import EmbedError
from ...run.metrics import peak_memory
from ...selection import Signal
from .answers import answer_rows
from .encoder import Encoder, ready_encoder
from .formulas import columns_of
from .report import EmbedReport, head_flops, n_heads, pass_flops
from .shards import Ids, TokenRows, make_shards, memory_budget
from .store import Store, finished_report, finished_signals, open_store
from .workers import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel

EMBEDDING_ALONE: frozenset[str] = frozenset({Signal.EMBEDDING})


def embed_tokens(
    model: PreTrainedModel,
    tokens: TokenRows,
    out_dir: Path,
    config: EmbedConfig,
    ids: Ids,
    fingerprint: str,
    watch: Watch = SILENT,
    lockstep: bool = False,
    *,
    signals: frozenset[str] = EMBEDDING_ALONE,
) -> EmbedReport:
    """Write what is asked for: `out_dir/embeddings.npy`, float32[N, D], row i the vector of pool row i, and `out_dir/signals.parquet`.

    Every rank calls it, and gets the same report.

    Padding, batch size, order and the number of ranks change no number beyond the dtype's rounding. A call that was killed is
    taken up by the next with the same `fingerprint` and signals; what an earlier call with that fingerprint finished is kept as it
    is, and only what is missing of `signals` is computed.

    Args:
        model: a causal language model, whole or with PEFT adapters, in any mode; left as it was.
        tokens: the tokenised pool, or some rows of it.
        out_dir: where the files go, on a disk that every rank sees.
        config: pooling, dtype and batch size.
        ids: the rows' ids, for messages and for signals.parquet.
        fingerprint: a text that names the model and the tokens.
        watch: is shown this rank's tokens.
        lockstep: every rank runs the same number of forward passes, through the whole model, as FSDP needs it.
        signals: what to compute, names of `Signal`.

    Raises:
        EmbedError: the model cannot be embedded with, its logits are not plain, a single row does not fit in memory, or a row has
            no token that an asked-for signal could look at.
        NonFiniteError: values are NaN or infinite, with up to five ids.
    """
    _check_asked(tokens, ids, signals, lockstep)
    probe_ids = tokens.ids(int(tokens.n_tokens.argmax()))
    with ready_encoder(model, config, probe_ids, lockstep, bool(columns_of(signals))) as encoder:
        header = {
            "fingerprint": fingerprint,
            "n_rows": len(tokens),
            "n_tokens": int(tokens.n_tokens.sum()),
            "width": encoder.width,
            "pooling": config.pooling,
            "dtype": str(encoder.dtype).removeprefix("torch."),
        }
        missing = signals - dist.on_main(lambda: finished_signals(out_dir, header))
        if not missing:
            return dist.on_main(lambda: finished_report(out_dir))
        header["signals"] = [signal.value for signal in Signal if signal in missing]
        with closing(open_store(out_dir, header)) as store:
            return _embed(encoder, tokens, config, ids, store, watch)


def open_embeddings(out_dir: Path) -> np.ndarray:
    """The finished embeddings of a folder, float32[N, D], memory-mapped and read-only.

    Raises:
        EmbedError: the folder holds none.
    """
    file = out_dir / "embeddings.npy"
    if not file.is_file():
        raise EmbedError(
            f"there are no finished embeddings in {out_dir}: embeddings.npy is missing. Embed the pool first."
        )
    return load_array(file)


def _check_asked(tokens: TokenRows, ids: Ids, signals: frozenset[str], lockstep: bool) -> None:
    if len(tokens) == 0:
        raise EmbedError(
            "cannot embed an empty pool: it has 0 rows. The pool's quarantine.jsonl says why rows were put aside."
        )
    if int(tokens.n_tokens.min()) < 1:
        row = int(tokens.n_tokens.argmin())
        raise EmbedError(
            f"cannot embed row {row} (id {ids[row]}): it has no token. Leave it out of the pool."
        )
    unknown = sorted(signals - set(Signal))
    if unknown or not signals:
        asked = (
            f"no signal is called {unknown[0]!r}"
            if unknown
            else "no signal is asked for, so there is nothing to compute"
        )
        raise EmbedError(f"{asked}. Ask for some of {', '.join(Signal)}.")
    if lockstep and columns_of(signals):
        raise EmbedError(
            f"cannot compute {', '.join(columns_of(signals))} with a model that is sharded over ranks (FSDP): its head is in pieces. "
            "Give every rank the whole model, or use a strategy that needs the embedding alone."
        )


def _embed(
    encoder: Encoder, tokens: TokenRows, config: EmbedConfig, ids: Ids, store: Store, watch: Watch
) -> EmbedReport:
    """Run what the store is to hold: the pass over the rows, and the one over the answers alone."""
    started = time.perf_counter()
    n_workers = torch.get_num_threads() if encoder.is_thread_safe and not encoder.is_through_root else 1
    budget = min([_budget(encoder, tokens, config, n_workers), *store.done.values()])
    signals = frozenset(map(Signal, store.header["signals"]))
    pooling = config.pooling if Signal.EMBEDDING in signals else "mean"
    works: list[Work] = []
    first_shard = 0
    if signals - {Signal.ANSWER_LOSS}:
        works.append(
            Work(encoder, tokens, ids, pooling, store, budget, n_workers, signals - {Signal.ANSWER_LOSS})
        )
        first_shard = _run(works[-1], "embed", first_shard, watch)
    if Signal.ANSWER_LOSS in signals:
        answers = answer_rows(tokens, encoder.decoder.config.get_text_config().bos_token_id, ids)
        column = columns_of(signals).index(Signal.ANSWER_LOSS)
        works.append(
            Work(encoder, answers, ids, "mean", store, budget, n_workers, frozenset({Signal.LOSS}), column)
        )
        _run(works[-1], "answers alone", first_shard, watch)
    report = _report(works, time.perf_counter() - started)
    store.complete(report, ids)
    return report


def _run(work: Work, name: str, first_shard: int, watch: Watch) -> int:
    """Compute this rank's shards that are not done yet, counting shards from `first_shard`; return the number behind the last.

    Raises:
        NonFiniteError: some rank has found values that are not finite.
    """
    shards = [replace(shard, index=first_shard + shard.index) for shard in make_shards(work.tokens.n_tokens)]
    mine = work.store.my_shards(shards)
    with watch.task(name, float(sum(shard.n_tokens for shard in mine)), "tokens") as task:
        (work.run_lockstep if work.encoder.is_through_root else work.run)(mine, task)
    what = "vectors" if work.signals == EMBEDDING_ALONE else "rows' vectors or signals"
    dtype = str(work.encoder.dtype).removeprefix("torch.")
    advice = f"Lower train.learning_rate if the model diverged, or set embed.dtype=float32 (now {dtype})."
    work.store.check_finite(work.ids, what, advice)
    return first_shard + len(shards)


def _budget(encoder: Encoder, tokens: TokenRows, config: EmbedConfig, n_workers: int) -> int:
    """The bound on a batch's padded tokens, the same on every rank."""
    if config.tokens_per_batch != "auto":
        return config.tokens_per_batch
    itemsize = encoder.dtype.itemsize
    linears = [module for module in encoder.decoder.modules() if isinstance(module, nn.Linear)]
    widest = max(
        (max(linear.in_features, linear.out_features) for linear in linears), default=4 * encoder.width
    )
    bytes_per_token = (4 * widest + 8 * encoder.width) * itemsize + 12 * encoder.width
    text_config = encoder.decoder.config.get_text_config()
    if text_config._attn_implementation == "eager":
        bytes_per_token += 2 * 4 * n_heads(text_config) * int(tokens.n_tokens.max())
    weight_bytes = sum(parameter.nbytes for parameter in encoder.model.parameters())
    return min(dist.gather(memory_budget(encoder.device, bytes_per_token, weight_bytes, n_workers)))


def _report(works: Sequence[Work], seconds: float) -> EmbedReport:
    n_now, n_padded, budget = (
        sum(work.n_tokens for work in works),
        sum(work.n_padded_tokens for work in works),
        min(work.budget for work in works),
    )
    parts = dist.gather((n_now, n_padded, seconds, peak_memory(), budget))
    n_tokens_now, n_padded_tokens, all_seconds, peaks, budgets = zip(*parts, strict=True)
    encoder = works[0].encoder
    return EmbedReport(
        n_rows=len(works[0].tokens),
        width=encoder.width,
        n_tokens=sum(int(work.tokens.n_tokens.sum()) for work in works),
        n_tokens_now=sum(n_tokens_now),
        n_padded_tokens=sum(n_padded_tokens),
        seconds=max(all_seconds),
        flops=sum(_flops(work) for work in works),
        peak_memory_bytes=max(peaks),
        tokens_per_batch=min(budgets),
        n_workers=works[0].n_workers,
        dtype=str(encoder.dtype).removeprefix("torch."),
        is_masked=encoder.is_masked,
    )


def _flops(work: Work) -> float:
    n_tokens_N, head = work.tokens.n_tokens, work.encoder.head
    in_head = head_flops(head.weight_VD, n_tokens_N) if head is not None and columns_of(work.signals) else 0.0
    return pass_flops(work.encoder.decoder, n_tokens_N) + in_head
