"""The embedding pass: one forward pass over the pool, one float32 vector a row, and further numbers a row.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182): a row's vector is the mean of the
last layer's states, after the final norm, over all its tokens. Where we differ from the published code, with
the same vectors up to rounding: whole batches instead of single rows, no states of other layers, no logits,
no loss (docs/deviations.md). On a CPU, worker threads with one core each take a batch each: with 2,048 tokens
a batch an operation is too small to be split over cores, and one core that is late holds up nobody
(benchmarks/embed.py). On a GPU one worker computes while this thread reads and pads. A model that is sharded
over ranks (FSDP) needs every rank in every forward pass: a rank that is done runs on a single row until all
are.
Cost: one forward pass, and for `answer_loss` a second one over the shortened rows; `2 · n_workers` batches
and the vectors of a shard in memory; N·D float32 and 8 bytes a row and signal on the disk, twice for a
moment.
Shape letters: N pool rows, B rows of a batch, D embedding width.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..base import dist
from ..base.progress import SILENT, Task, Watch
from ..config import EmbedConfig
from ..errors import EmbedError
from ..selection import Signal
from .batches import AnswerRows, Batch, Ids, Pooling, Shard, TokenRows, batch_stop, collate, make_shards
from .embed_files import (
    Computed,
    EmbedReport,
    PassFiles,
    finished_report,
    finished_signals,
    is_embedded,
    open_embeddings,
    open_files,
    open_signals,
)
from .encoder import Encoder, is_out_of_memory, ready_encoder
from .flops import head_flops, pass_flops
from .sharding import is_sharded
from .signals import TRAINED, Head, columns_of, own_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["EmbedReport", "embed_tokens", "is_embedded", "open_embeddings", "open_signals"]

EMBEDDING_ALONE: frozenset[str] = frozenset({Signal.EMBEDDING})


def embed_tokens(
    model: PreTrainedModel,
    tokens: TokenRows,
    out_dir: Path,
    config: EmbedConfig,
    ids: Ids,
    fingerprint: str,
    watch: Watch = SILENT,
    *,
    signals: frozenset[str] = EMBEDDING_ALONE,
) -> EmbedReport:
    """Write `embeddings.npy`, float32[N, D], row i the vector of pool row i, and `signals.parquet`.

    Every rank calls it, and gets the same report. Padding, batch size, order and the number of ranks change
    no number beyond the dtype's rounding. A call that was killed is taken up by the next with the same
    `fingerprint` and signals; what an earlier call with that fingerprint finished is kept, and only what is
    missing of `signals` is computed.

    Args:
        model: a causal language model, whole, with PEFT adapters or sharded over ranks; it is left in
            evaluation mode and the pass's dtype.
        tokens: the tokenised pool, or some rows of it.
        out_dir: where the files go, on a disk that every rank sees.
        config: pooling, dtype and batch size.
        ids: the rows' ids, for messages and for signals.parquet.
        fingerprint: a text that names the model and the tokens.
        watch: is shown this rank's tokens.
        signals: what to compute, names of `Signal`.

    Raises:
        EmbedError: the model cannot be embedded with, a single row does not fit in memory, or a row has no
            token that an asked-for signal could look at.
        NonFiniteError: values are NaN or infinite, with up to five ids.
    """
    _check_asked(tokens, ids, signals, is_sharded(model))
    encoder = ready_encoder(model, config, tokens.ids(int(tokens.n_tokens.argmax())))
    header = {
        "fingerprint": fingerprint,
        "n_rows": len(tokens),
        "n_tokens": int(tokens.n_tokens.sum()),
        "width": encoder.width,
        "pooling": config.pooling,
        "dtype": str(encoder.dtype).removeprefix("torch."),
    }
    missing = frozenset(map(Signal, signals - dist.on_main(lambda: finished_signals(out_dir, header))))
    if not missing:
        return dist.on_main(lambda: finished_report(out_dir))
    started = time.perf_counter()
    files = open_files(
        out_dir, header | {"signals": [signal.value for signal in Signal if signal in missing]}
    )
    passes = []
    with ExitStack() as stack:
        head = (
            stack.enter_context(own_head(encoder.root, encoder.decoder, encoder.output))
            if columns_of(missing)
            else None
        )
        if of_rows := missing - {Signal.ANSWER_LOSS}:
            pooling = config.pooling if Signal.EMBEDDING in missing else "mean"
            passes.append(_Pass("embed", encoder, tokens, ids, pooling, files, of_rows, head))
        if Signal.ANSWER_LOSS in missing:
            answers = AnswerRows.of(tokens, encoder.decoder.config.get_text_config().bos_token_id, ids)
            passes.append(
                _Pass("answers alone", encoder, answers, ids, "mean", files, frozenset({Signal.LOSS}), head)
            )
        for each in passes:
            each.run(config, watch)
    flops = sum(each.flops() for each in passes)
    n_tokens, n_padded = sum(each.n_tokens for each in passes), sum(each.n_padded_tokens for each in passes)
    seconds, budget = time.perf_counter() - started, min(each.budget for each in passes)
    return files.complete(ids, n_tokens, n_padded, seconds, budget, lambda n_tokens: flops)


def _check_asked(tokens: TokenRows, ids: Ids, signals: frozenset[str], is_shared: bool) -> None:
    if len(tokens) == 0:
        raise EmbedError(
            "cannot embed an empty pool: it has 0 rows. The pool's quarantine.jsonl says why rows were put "
            "aside."
        )
    if int(tokens.n_tokens.min()) < 1:
        row = int(tokens.n_tokens.argmin())
        raise EmbedError(
            f"cannot embed row {row} (id {ids[row]}): it has no token. Leave it out of the pool."
        )
    if not signals or signals - set(Signal):
        raise EmbedError(f"cannot compute {sorted(signals)}. Ask for some of {', '.join(Signal)}.")
    if is_shared and columns_of(signals):
        raise EmbedError(
            f"cannot compute {', '.join(columns_of(signals))} with a model that is sharded over ranks "
            "(FSDP): its head is "
            "in pieces. Give every rank the whole model, or use a strategy that needs the embedding alone."
        )


@dataclass(frozen=True, slots=True)
class _Step:
    """A batch of a shard; where it is of no shard, it is computed only because other ranks are not done."""

    shard: Shard | None
    batch: Batch
    is_last: bool


@dataclass
class _Pass:
    """One rank's part of a pass over some rows, and how far it is."""

    name: str
    encoder: Encoder
    tokens: TokenRows
    ids: Ids
    pooling: Pooling
    files: PassFiles
    signals: frozenset[Signal]
    head: Head | None
    budget: int = 0
    """Padded tokens a batch."""
    n_tokens: int = 0
    n_padded_tokens: int = 0
    parts: list[Computed] = field(default_factory=list)
    """What is computed of the shard at hand."""

    def run(self, config: EmbedConfig, watch: Watch) -> None:
        """Compute this rank's shards that are not done, in smaller batches whenever memory runs out.

        Raises:
            EmbedError: a single row does not fit in memory.
            NonFiniteError: some rank has found values that are not finite; each stops behind its first.
        """
        self.budget = self._first_budget(config)
        mine = make_shards(self.tokens.n_tokens)[dist.rank() :: dist.world_size()]
        is_done = False
        while not is_done:
            try:
                self._run([shard for shard in mine if not self.files.is_done(self._key(shard))], watch)
                is_done = True
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve_budget(error)
        what = "vectors" if self.signals == EMBEDDING_ALONE else "rows' vectors or signals"
        dtype = str(self.encoder.dtype).removeprefix("torch.")
        advice = f"Lower train.learning_rate if the model diverged, or set embed.dtype=float32 (now {dtype})."
        self.files.check_finite(self.ids, what, advice)

    def _run(self, shards: list[Shard], watch: Watch) -> None:
        """Compute shards, several batches at a time, up to the first with values that are not finite."""
        self.parts.clear()
        waiting: deque[tuple[_Step, Future[Computed]]] = deque()
        with (
            watch.task(self.name, float(sum(shard.n_tokens for shard in shards)), "tokens") as task,
            _worker_threads(self.encoder) as threads,
        ):
            for step in self._steps(shards):
                waiting.append(
                    (step, threads.submit(self.encoder.compute, step.batch, self.signals, self.head))
                )
                if len(waiting) > 2 * self.encoder.n_workers:
                    self._keep(*waiting.popleft(), task)
                if self.files.bad_rows and not self.encoder.is_sharded:
                    return
            while waiting:
                self._keep(*waiting.popleft(), task)

    def _steps(self, shards: list[Shard]) -> Iterator[_Step]:
        """The shards' batches; where the model is sharded as many on every rank."""
        spans = []
        for shard in shards:
            start = 0
            while start < len(shard.rows):
                stop = batch_stop(shard.rows, start, self.tokens.n_tokens, self.budget)
                spans.append((shard, shard.rows[start:stop], stop == len(shard.rows)))
                start = stop
        # Before the first batch: other threads exchange weights from then on.
        n_idle = max(dist.gather(len(spans))) - len(spans) if self.encoder.is_sharded else 0
        for shard, rows, is_last in spans:
            yield _Step(shard, self._collated(rows), is_last)
        shortest = np.array([int(np.argmin(self.tokens.n_tokens))])
        for _ in range(n_idle):
            yield _Step(None, self._collated(shortest), is_last=False)

    def _collated(self, rows: np.ndarray) -> Batch:
        return collate(self.tokens, rows, self.pooling, self.ids, bool(TRAINED & self.signals))

    def _keep(self, step: _Step, future: Future[Computed], task: Task) -> None:
        """Wait for what comes of a batch, and write the shard that ends with it."""
        computed = future.result()
        if step.shard is None:
            return
        self.parts.append(computed)
        self.n_tokens += step.batch.n_tokens
        self.n_padded_tokens += step.batch.ids_BT.numel()
        if step.is_last:
            whole = {name: np.concatenate([part[name] for part in self.parts]) for name in computed}
            if isinstance(self.tokens, AnswerRows):
                whole = {Signal.ANSWER_LOSS: whole[Signal.LOSS]}
            self.files.save(self._key(step.shard), step.shard.rows, whole, step.shard.n_tokens)
            self.parts.clear()
        task.advance(step.batch.n_tokens)

    def _key(self, shard: Shard) -> str:
        return f"{self.name}-{shard.index:04d}"

    def _first_budget(self, config: EmbedConfig) -> int:
        """Padded tokens a batch, the same on every rank: as asked for, or what such a machine takes easily.

        It follows from the machine's total memory and the model's sizes, not from what happens to be free, so
        that a resumed pass makes the same batches. On a CPU small batches are fastest: what one layer reads
        and writes should stay in the core's cache (2,048 tokens were best or within the noise for widths 128
        and 512). On a GPU 32,768 tokens keep every unit busy; larger ones only take memory.
        """
        encoder = self.encoder
        if encoder.is_length_bound:
            return 1  # each row alone
        if config.tokens_per_batch != "auto":
            return config.tokens_per_batch
        linears = [module for module in encoder.decoder.modules() if isinstance(module, nn.Linear)]
        widest = max(
            (max(linear.in_features, linear.out_features) for linear in linears), default=4 * encoder.width
        )
        bytes_per_token = (4 * widest + 8 * encoder.width) * encoder.dtype.itemsize + 12 * encoder.width
        if encoder.device.type == "cuda":
            total = torch.cuda.get_device_properties(encoder.device).total_memory * 9 // 10
            most, left = 1 << 15, total - sum(weight.nbytes for weight in encoder.root.parameters())
        else:
            most, left = 1 << 11, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        fitting: int = left // 2 // encoder.n_workers // bytes_per_token
        return min(dist.gather(max(1, min(most, fitting))))

    def _halve_budget(self, error: Exception) -> None:
        """Make batches half as large as now, or give up.

        Raises:
            EmbedError: each row is alone already, or other ranks cannot go back with this one (FSDP).
        """
        longest = int(self.tokens.n_tokens.max())
        n_padded = min(self.budget, int(self.tokens.n_tokens.sum()))
        if self.encoder.is_sharded:
            raise EmbedError(
                f"out of memory embedding {n_padded} tokens at once. Set embed.tokens_per_batch below that "
                "and run again."
            ) from error
        if self.budget <= longest // 2 or self.budget == 1:
            raise EmbedError(
                f"out of memory embedding a single row of up to {longest} tokens. Lower prompt.max_length, "
                "or use "
                "embed.dtype=bfloat16, a smaller model or more memory."
            ) from error
        self.budget = max(1, n_padded // 2)
        if self.encoder.device.type == "cuda":
            torch.cuda.empty_cache()

    def flops(self) -> float:
        """Of all rows, whoever computed them."""
        in_decoder = pass_flops(self.encoder.decoder, self.tokens.n_tokens)
        if self.head is None or not columns_of(self.signals):
            return in_decoder
        return in_decoder + head_flops(self.encoder.root.get_output_embeddings().weight, self.tokens.n_tokens)


@contextmanager
def _worker_threads(encoder: Encoder) -> Iterator[ThreadPoolExecutor]:
    """Threads that split no operation when there are several; torch's own number is put back."""
    n_before = torch.get_num_threads()
    n_inner = 1 if encoder.n_workers > 1 or encoder.device.type != "cpu" else n_before

    def start() -> None:
        torch.set_num_threads(n_inner)
        if encoder.device.type == "cuda":
            torch.cuda.set_device(encoder.device)  # each thread has its own

    threads = ThreadPoolExecutor(encoder.n_workers, "embed", start)
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)
        torch.set_num_threads(n_before)
