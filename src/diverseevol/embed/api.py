"""Embed a tokenised pool: find the size of batches, share the shards out over ranks, resume what a killed call had finished.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182): a row's vector is the mean of the last layer's states
over all its tokens. Where we differ from the published code, with the same vectors up to rounding: whole batches instead of
single rows, no states of other layers, no logits, no loss (docs/deviations.md).
Cost: one forward pass without the head; the pool's ids one batch at a time; N·D float32 on the disk, none of it in memory.
Shape letters: N pool rows, D embedding width.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from .. import dist
from ..config import EmbedConfig, PoolConfig, PromptConfig
from ..errors import EmbedError, NonFiniteError
from ..ledger import peak_memory
from ..progress import SILENT, Watch
from .encoder import Encoder, ready_encoder
from .report import EmbedReport, pass_flops
from .shards import Ids, TokenRows, make_shards, memory_budget
from .store import Store, finished_report, open_store
from .workers import Work

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def embed_tokens(
    model: PreTrainedModel,
    tokens: TokenRows,
    out_dir: Path,
    config: EmbedConfig,
    ids: Ids,
    fingerprint: str,
    watch: Watch = SILENT,
    lockstep: bool = False,
) -> EmbedReport:
    """Write `out_dir/embeddings.npy`, float32[N, D]: row i is the vector of pool row i.

    Every rank calls it, and gets the same report.

    Padding, batch size, order and the number of ranks change no vector beyond the dtype's rounding. A call that was killed is
    taken up by the next with the same `fingerprint`; a finished file of that fingerprint is kept as it is.

    Args:
        model: a causal language model, whole or with PEFT adapters, in any mode; left as it was.
        tokens: the tokenised pool.
        out_dir: where the file goes, on a disk that every rank sees.
        config: pooling, dtype and batch size.
        ids: the rows' ids, for messages.
        fingerprint: a text that names the model and the tokens.
        watch: is shown this rank's tokens.
        lockstep: every rank runs the same number of forward passes, through the whole model, as FSDP needs it.

    Raises:
        EmbedError: the model cannot be embedded with, or a single row does not fit in memory.
        NonFiniteError: vectors are NaN or infinite, with up to five ids.
    """
    if len(tokens) == 0:
        raise EmbedError("cannot embed an empty pool: it has 0 rows. The pool's quarantine.jsonl says why rows were put aside.")
    if int(tokens.n_tokens.min()) < 1:
        row = int(tokens.n_tokens.argmin())
        raise EmbedError(f"cannot embed row {row} (id {ids[row]}): it has no token. Leave it out of the pool.")
    longest_row = int(tokens.n_tokens.argmax())
    with ready_encoder(model, config, tokens.ids(longest_row), lockstep) as encoder:
        header = {
            "fingerprint": fingerprint,
            "n_rows": len(tokens),
            "n_tokens": int(tokens.n_tokens.sum()),
            "width": encoder.width,
            "pooling": config.pooling,
            "dtype": str(encoder.dtype).removeprefix("torch."),
        }
        report = dist.on_main(lambda: finished_report(out_dir, header))
        if report is not None:
            return report
        store = open_store(out_dir, header)
        try:
            return _embed(encoder, tokens, config, ids, store, watch)
        finally:
            store.close()


def embed_pool(
    model: str,
    pool: str | Path,
    out_dir: str | Path,
    config: EmbedConfig | None = None,
    prompt: PromptConfig | None = None,
    watch: Watch = SILENT,
) -> np.ndarray:
    """Read a pool, tokenise it and embed it with a model; the same call again finds everything done.

    Args:
        model: a model or adapter, as a folder or a Hub id.
        pool: a file, a folder or a Hub id of instruction data, in any known format.
        out_dir: gets embeddings.npy, and the pool's index under `pool`.
        config: pooling, dtype and batch size.
        prompt: template and longest row.
        watch: shows progress.

    Returns:
        float32[N, D], memory-mapped; row i is row i of `Pool.open(out_dir / "pool")`.

    Raises:
        DiverseEvolError: the pool, the template or the model cannot be used, or the pass failed (see errors.py).
    """
    from ..models import fingerprint, load_model, load_tokenizer
    from ..prepare import prepare

    out_dir, prompt = Path(out_dir), prompt or PromptConfig()
    data = prepare(PoolConfig(path=str(pool)), prompt, load_tokenizer(model), out_dir / "pool", 0, watch)
    name = f"{fingerprint(model)} {prompt.model_dump_json()}"
    embed_tokens(load_model(model), data.tokens, out_dir, config or EmbedConfig(), data.pool.ids, name, watch)
    return open_embeddings(out_dir)


def open_embeddings(out_dir: Path) -> np.ndarray:
    """The finished embeddings of a folder, float32[N, D], memory-mapped and read-only.

    Raises:
        EmbedError: the folder holds none.
    """
    file = out_dir / "embeddings.npy"
    if not file.is_file():
        raise EmbedError(f"there are no finished embeddings in {out_dir}: embeddings.npy is missing. Embed the pool first.")
    return np.load(file, mmap_mode="r")  # type: ignore[no-any-return]


def _embed(encoder: Encoder, tokens: TokenRows, config: EmbedConfig, ids: Ids, store: Store, watch: Watch) -> EmbedReport:
    started = time.perf_counter()
    n_workers = torch.get_num_threads() if encoder.is_thread_safe and not encoder.is_through_root else 1
    budget = min([_budget(encoder, tokens, config, n_workers), *store.done.values()])
    work = Work(encoder, tokens, ids, config.pooling, store, budget, n_workers)
    shards = [shard for shard in make_shards(tokens.n_tokens)[dist.rank() :: dist.world_size()] if shard.index not in store.done]
    with watch.task("embed", float(sum(shard.n_tokens for shard in shards)), "tokens") as task:
        (work.run_lockstep if encoder.is_through_root else work.run)(shards, task)
    _check_finite(work, ids, encoder)
    report = _report(work, time.perf_counter() - started)
    store.complete(report)
    return report


def _budget(encoder: Encoder, tokens: TokenRows, config: EmbedConfig, n_workers: int) -> int:
    """The bound on a batch's padded tokens, the same on every rank."""
    if config.tokens_per_batch != "auto":
        return config.tokens_per_batch
    itemsize = encoder.dtype.itemsize
    linears = [module for module in encoder.decoder.modules() if isinstance(module, nn.Linear)]
    widest = max((max(linear.in_features, linear.out_features) for linear in linears), default=4 * encoder.width)
    bytes_per_token = (4 * widest + 8 * encoder.width) * itemsize + 12 * encoder.width
    text_config = encoder.decoder.config.get_text_config()
    if text_config._attn_implementation == "eager":
        bytes_per_token += 2 * 4 * text_config.num_attention_heads * int(tokens.n_tokens.max())
    weight_bytes = sum(parameter.nbytes for parameter in encoder.model.parameters())
    return min(dist.gather(memory_budget(encoder.device, bytes_per_token, weight_bytes, n_workers)))


def _check_finite(work: Work, ids: Ids, encoder: Encoder) -> None:
    found = dist.gather((work.bad_rows, work.n_rows))
    bad = sorted(row for rows, _ in found for row in rows)
    if not bad:
        return
    names = ", ".join(str(ids[row]) for row in bad[:5]) + (", …" if len(bad) > 5 else "")
    n_seen, dtype = sum(n_rows for _, n_rows in found), str(encoder.dtype).removeprefix("torch.")
    raise NonFiniteError(
        f"{len(bad)} of the {n_seen} vectors computed so far are NaN or infinite: ids {names}. "
        f"Lower train.learning_rate if the model diverged, or set embed.dtype=float32 (now {dtype})."
    )


def _report(work: Work, seconds: float) -> EmbedReport:
    parts = dist.gather((work.n_tokens, work.n_padded_tokens, seconds, peak_memory(), work.budget))
    n_tokens_now, n_padded, all_seconds, peaks, budgets = zip(*parts, strict=True)
    encoder, n_tokens_N = work.encoder, work.tokens.n_tokens
    return EmbedReport(
        n_rows=len(work.tokens),
        width=encoder.width,
        n_tokens=int(n_tokens_N.sum()),
        n_tokens_now=sum(n_tokens_now),
        n_padded_tokens=sum(n_padded),
        seconds=max(all_seconds),
        flops=pass_flops(encoder.decoder, n_tokens_N),
        peak_memory_bytes=max(peaks),
        tokens_per_batch=min(budgets),
        n_workers=work.n_workers,
        dtype=str(encoder.dtype).removeprefix("torch."),
        is_masked=encoder.is_masked,
    )
