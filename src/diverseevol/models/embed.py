"""The embedding pass: one forward pass over the pool, one float32 vector a row, and further numbers a row.

Source: DiverseEvol (Wu et al., 2023, https://arxiv.org/abs/2311.08182): a row's vector is the mean of the
last layer's states, after the final norm, over all its tokens. Where we differ from the published code, with
the same vectors up to rounding: docs/deviations.md. On a CPU, worker threads with one core each take a batch
each: with 2,048 tokens a batch an operation is too small to be split over cores (benchmarks/embed.py). On a
GPU one worker computes while this thread reads and pads. A model that is sharded over ranks (FSDP) needs
every rank in every forward pass: a rank that is done runs on a single row until all are.
Cost: one forward pass, and for `answer_loss` a second one over the shortened rows; `2 · n_workers` batches
and the vectors of a shard in memory; N·D float32 and 8 bytes a row and signal on the disk, twice for a
moment.
Shape letters: N pool rows, B rows of a batch, D embedding width.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ..base import dist
from ..base.progress import SILENT, Watch
from ..config import EmbedConfig
from ..errors import EmbedError
from ..selection import Signal
from .batches import AnswerRows, Batch, Ids, Pooling, Shard, collate, make_shards
from .embed_files import (
    Computed,
    EmbedReport,
    PassFiles,
    finished_signals,
    is_embedded,
    open_embeddings,
    open_files,
    open_signals,
    pass_record,
)
from .encoder import Encoder, head_flops, pass_flops, ready_encoder
from .signals import TRAINED, Head, columns_of, own_head

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from ..text.tokens import Tokens

__all__ = ["EmbedReport", "check_head", "embed_tokens", "is_embedded", "open_embeddings", "open_signals"]

EMBEDDING_ALONE: frozenset[str] = frozenset({Signal.EMBEDDING})
Step = tuple[Shard | None, Batch, bool]
"""A batch, its shard, and whether it is that shard's last; without a shard it only keeps other ranks
going."""


def check_head(signals: Iterable[str], is_sharded: bool) -> None:
    """Check that a model gives these signals, before it is loaded.

    Raises:
        EmbedError: they come of logits, and the model would be sharded.
    """
    if is_sharded and (of_logits := columns_of(signals)):
        raise EmbedError(
            f"cannot compute {', '.join(of_logits)} with a model that is sharded over ranks (FSDP): its head "
            "is in pieces. Start without FSDP, or take a strategy or signal that needs the embedding alone."
        )


def embed_tokens(
    model: PreTrainedModel,
    tokens: Tokens,
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
        out_dir: where the files go, on a disk that every rank sees.
        ids: the rows' ids, for messages and for signals.parquet.
        fingerprint: a text that names the model and the tokens.
        signals: what to compute, names of `Signal`; of a sharded model the embedding alone (`check_head`).

    Raises:
        EmbedError: the model cannot be embedded with, a single row does not fit in memory, or a row has no
            token that an asked-for signal could look at.
        NonFiniteError: values are NaN or infinite, with up to five ids.
    """
    if len(tokens) == 0 or int(tokens.n_tokens.min()) < 1:
        found = (
            f"row {tokens.n_tokens.argmin()} of the pool has no token"
            if len(tokens)
            else "the pool has no row"
        )
        raise EmbedError(
            f"cannot embed: {found}. Its quarantine.jsonl says which rows were put aside and why."
        )
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
        return dist.on_main(lambda: pass_record(out_dir)).report
    started = time.perf_counter()
    files = open_files(
        out_dir, header | {"signals": [signal.value for signal in Signal if signal in missing]}
    )
    passes = []
    with ExitStack() as stack:
        head = None
        if columns_of(missing):
            head = stack.enter_context(own_head(encoder.root, encoder.decoder, encoder.output))
        if of_rows := missing - {Signal.ANSWER_LOSS}:
            pooling = config.pooling if Signal.EMBEDDING in missing else "mean"
            passes.append(_Pass("embed", encoder, tokens, ids, pooling, files, of_rows, head))
        if Signal.ANSWER_LOSS in missing:
            answers = AnswerRows(tokens, encoder.decoder.config.get_text_config().bos_token_id)
            of_loss = frozenset({Signal.LOSS})
            passes.append(_Pass("answers alone", encoder, answers, ids, "mean", files, of_loss, head))
        for each in passes:
            each.run(config, watch)
    n_tokens, n_padded = sum(each.n_tokens for each in passes), sum(each.n_padded_tokens for each in passes)
    figures = (n_tokens, n_padded, time.perf_counter() - started, min(each.budget for each in passes))
    flops = sum(each.flops() for each in passes)
    return files.complete(ids, figures, lambda _: flops)


@dataclass
class _Pass:
    """One rank's part of a pass over some rows, and how far it is."""

    name: str
    encoder: Encoder
    tokens: Tokens | AnswerRows
    ids: Ids
    pooling: Pooling
    files: PassFiles
    signals: frozenset[Signal]
    head: Head | None
    budget: int = 0  # padded tokens a batch
    n_tokens: int = 0
    n_padded_tokens: int = 0

    def run(self, config: EmbedConfig, watch: Watch) -> None:
        """Compute this rank's shards that are not done, in batches of half the size whenever memory runs out.

        A sharded model's ranks cannot go back; of values that are not finite each rank stops behind its
        first.
        """
        from accelerate.utils.memory import should_reduce_batch_size

        self.budget = self._first_budget(config)
        longest, n_all = int(self.tokens.n_tokens.max()), int(self.tokens.n_tokens.sum())
        is_done = False
        while not is_done:
            try:
                self._run(watch)
                is_done = True
            except (RuntimeError, MemoryError) as error:
                if not isinstance(error, MemoryError) and not should_reduce_batch_size(error):
                    raise
                if self.encoder.is_sharded or self.budget <= max(1, longest // 2):
                    raise EmbedError(
                        f"out of memory embedding {min(self.budget, n_all)} tokens at once; the longest row "
                        f"has {longest}. Lower embed.tokens_per_batch or prompt.max_length, or use "
                        "embed.dtype=bfloat16, a smaller model or more memory, and run again."
                    ) from error
                self.budget = max(1, min(self.budget, n_all) // 2)
                if self.encoder.device.type == "cuda":
                    torch.cuda.empty_cache()
        what = "vectors" if self.signals == EMBEDDING_ALONE else "rows' vectors or signals"
        dtype = str(self.encoder.dtype).removeprefix("torch.")
        advice = f"Lower train.learning_rate if the model diverged, or set embed.dtype=float32 (now {dtype})."
        self.files.check_finite(self.ids, what, advice)

    def _run(self, watch: Watch) -> None:
        """Compute what is not done, up to the first shard with values that are not finite."""
        mine = make_shards(self.tokens.n_tokens)[dist.rank() :: dist.world_size()]
        shards = {f"{self.name}-{shard.index:04d}": shard for shard in mine}
        to_do = {key: shard for key, shard in shards.items() if not self.files.shard_file(key).exists()}
        parts: list[Computed] = []
        n_tokens = float(sum(shard.n_tokens for shard in to_do.values()))
        with (
            watch.task(self.name, n_tokens, "tokens") as task,
            closing(self._computed(list(to_do.values()))) as steps,
        ):
            for (shard, batch, is_last), computed in steps:
                if shard is None:
                    continue
                parts.append(computed)
                self.n_tokens += batch.n_tokens
                self.n_padded_tokens += batch.ids_BT.numel()
                if is_last:
                    whole = {name: np.concatenate([part[name] for part in parts]) for name in computed}
                    if isinstance(self.tokens, AnswerRows):
                        whole = {Signal.ANSWER_LOSS: whole[Signal.LOSS]}
                    self.files.save(f"{self.name}-{shard.index:04d}", shard.rows, whole, shard.n_tokens)
                    parts.clear()
                task.advance(batch.n_tokens)
                if self.files.bad_rows and not self.encoder.is_sharded:
                    return

    def _computed(self, shards: list[Shard]) -> Generator[tuple[Step, Computed]]:
        """The shards' batches in order, and what comes of them; several are computed at a time."""
        with _worker_threads(self.encoder) as threads:
            waiting: deque[tuple[Step, Future[Computed]]] = deque()
            for step in self._steps(shards):
                waiting.append((step, threads.submit(self.encoder.compute, step[1], self.signals, self.head)))
                if len(waiting) > 2 * self.encoder.n_workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for step, future in waiting:
                yield step, future.result()

    def _steps(self, shards: list[Shard]) -> Iterator[Step]:
        """The shards' batches of as many rows as fit the budget, or one; of a sharded model alike a rank."""
        spans: list[tuple[Shard | None, np.ndarray, bool]] = []
        for shard in shards:
            start = 0
            while start < len(shard.rows):
                n_rows = max(1, self.budget // int(self.tokens.n_tokens[shard.rows[start]]))
                rows = shard.rows[start : start + n_rows]
                start += n_rows
                spans.append((shard, rows, start >= len(shard.rows)))
        if self.encoder.is_sharded:  # before the first batch: other threads exchange weights from then on
            shortest = np.array([int(np.argmin(self.tokens.n_tokens))])
            spans += [(None, shortest, False)] * (max(dist.gather(len(spans))) - len(spans))
        for of_shard, rows, is_last in spans:
            batch = collate(self.tokens, rows, self.pooling, self.ids, bool(TRAINED & self.signals))
            yield of_shard, batch, is_last

    def _first_budget(self, config: EmbedConfig) -> int:
        """Padded tokens a batch, the same on every rank: as asked for, or what such a machine takes easily.

        It follows from sizes, not from what happens to be free, so that a resumed pass makes the same
        batches. On a CPU small ones are fastest: what a layer reads and writes should stay in the core's
        cache (2,048 tokens were best for widths 128 and 512). On a GPU 32,768 keep every unit busy; larger
        ones only take memory.
        """
        encoder = self.encoder
        if encoder.is_length_bound:
            return 1  # each row alone
        if config.tokens_per_batch != "auto":
            return config.tokens_per_batch
        linears = [module for module in encoder.decoder.modules() if isinstance(module, nn.Linear)]
        widths = [max(linear.in_features, linear.out_features) for linear in linears]
        widest = max(widths, default=4 * encoder.width)
        bytes_per_token = (4 * widest + 8 * encoder.width) * encoder.dtype.itemsize + 12 * encoder.width
        if encoder.device.type == "cuda":
            total = torch.cuda.get_device_properties(encoder.device).total_memory * 9 // 10
            most, left = 1 << 15, total - sum(weight.nbytes for weight in encoder.root.parameters())
        else:
            most, left = 1 << 11, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        fitting: int = left // 2 // encoder.n_workers // bytes_per_token
        return min(dist.gather(max(1, min(most, fitting))))

    def flops(self) -> float:
        """Of all rows, whoever computed them."""
        n_tokens_N, has_head = self.tokens.n_tokens, self.head is not None and columns_of(self.signals)
        weight_VD = self.encoder.root.get_output_embeddings().weight
        in_head = head_flops(weight_VD, n_tokens_N) if has_head else 0.0
        return pass_flops(self.encoder.decoder, n_tokens_N) + in_head


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
