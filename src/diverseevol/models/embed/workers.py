"""The batches of a rank's shards through the encoder, and what happens when memory runs out or a value is not finite.

On a CPU, worker threads with one core each take a batch each: with 2,048 tokens a batch an operation is too small to be worth
splitting over cores, and one core that is late holds up nobody (benchmarks/embed.py). On a GPU one worker computes while this
thread reads and pads. A model that is sharded over ranks (FSDP) needs every rank in every forward pass: then ranks go in
lockstep, and those that are done run on a single token until all are.
Memory: `2 · n_workers` padded batches of ids beside the model's own needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from ...base import dist
from ...base.progress import Task
from ...errors import EmbedError
from ...selection import Signal
from .encoder import Encoder, Outputs
from .formulas import need_targets
from .shards import Batch, Ids, Pooling, Shard, TokenRows, batch_stop, collate
from .store import Store


@dataclass(frozen=True, slots=True)
class _Step:
    shard: Shard
    batch: Batch
    is_last: bool
    """Whether the shard ends with this batch."""


@dataclass
class Work:
    """One rank's part of the pass, and how far it is."""

    encoder: Encoder
    tokens: TokenRows
    ids: Ids
    pooling: Pooling
    store: Store
    budget: int
    n_workers: int
    signals: frozenset[Signal]
    first_column: int = 0
    """Where the signals stand among the store's columns."""
    n_tokens: int = 0
    n_padded_tokens: int = 0

    def run(self, shards: Sequence[Shard], task: Task) -> None:
        """Embed shards, several batches at a time; stop at the end of a batch when a rank has found values that are not finite.

        Raises:
            EmbedError: a single row does not fit in memory.
        """
        waiting: deque[tuple[_Step, Future[Outputs | None]]] = deque()
        with _worker_threads(self.n_workers, self.encoder.device) as threads:

            def try_again(batch: Batch) -> Outputs | None:
                wait([future for _, future in waiting])  # alone in memory
                return threads.submit(self.encoder.try_compute, batch, self.signals).result()

            for step in self._steps(shards):
                waiting.append((step, threads.submit(self.encoder.try_compute, step.batch, self.signals)))
                if len(waiting) > 2 * self.n_workers:
                    self._settle(*waiting.popleft(), try_again, task)
            while waiting and not self.store.bad_rows:
                self._settle(*waiting.popleft(), try_again, task)

    def run_lockstep(self, shards: Sequence[Shard], task: Task) -> None:
        """As `run`, one batch at a time and the same number of forward passes on every rank.

        Raises:
            EmbedError: memory ran out; the other ranks cannot go back with us, so smaller batches take a new start.
        """
        steps = self._steps(shards)
        idle = collate(self.tokens, np.array([int(np.argmin(self.tokens.n_tokens))]), "mean", self.ids)
        while True:
            step = next(steps, None)
            if not any(dist.gather(step is not None)):
                return
            outputs = self.encoder.try_compute(step.batch if step else idle, self.signals)
            if step is None:
                continue
            if outputs is None:
                n_padded = step.batch.ids_BT.numel()
                raise EmbedError(
                    f"{_out_of_memory(step.batch)} Set embed.tokens_per_batch below {n_padded} and run again."
                )
            self._keep(step, outputs, task)

    def _steps(self, shards: Sequence[Shard]) -> Iterator[_Step]:
        for shard in shards:
            start = 0
            while start < len(shard.rows):
                if self.store.is_stopped():
                    return
                stop = batch_stop(
                    shard.rows, start, self.tokens.n_tokens, self.budget, self.encoder.is_length_bound
                )
                batch = self._collate(shard.rows[start:stop])
                start = stop
                yield _Step(shard, batch, start == len(shard.rows))

    def _collate(self, rows: np.ndarray) -> Batch:
        return collate(self.tokens, rows, self.pooling, self.ids, need_targets(self.signals))

    def _settle(
        self,
        step: _Step,
        future: Future[Outputs | None],
        try_again: Callable[[Batch], Outputs | None],
        task: Task,
    ) -> None:
        outputs = future.result()
        self._keep(step, self._in_halves(step.batch, try_again) if outputs is None else outputs, task)

    def _in_halves(self, batch: Batch, try_again: Callable[[Batch], Outputs | None]) -> Outputs:
        """Compute a batch that did not fit; batches that are made from now on are half as large as the largest that failed."""
        n_rows = len(batch.rows)
        self.budget = max(1, min(self.budget, batch.ids_BT.numel() // 2))
        parts = []
        for rows in np.array_split(batch.rows, min(2, n_rows)):
            half = self._collate(rows)
            outputs = try_again(half)
            if outputs is None and n_rows == 1:
                raise EmbedError(
                    f"{_out_of_memory(batch)} Lower prompt.max_length, or use embed.dtype=bfloat16 or more memory."
                )
            parts.append(self._in_halves(half, try_again) if outputs is None else outputs)
        return Outputs.joined(parts)

    def _keep(self, step: _Step, outputs: Outputs, task: Task) -> None:
        batch = step.batch
        self.store.write(batch.rows, outputs, self.first_column)
        self.n_tokens += batch.n_tokens
        self.n_padded_tokens += batch.ids_BT.numel()
        if step.is_last and not self.store.bad_rows:
            self.store.finish(step.shard.index, self.budget)
        task.advance(batch.n_tokens)


def _out_of_memory(batch: Batch) -> str:
    return f"out of memory embedding {len(batch.rows)} row(s) of up to {batch.ids_BT.shape[1]} tokens."


def _start_thread(n_inner: int, device: torch.device) -> None:
    torch.set_num_threads(n_inner)
    if device.type == "cuda":
        torch.cuda.set_device(device)  # each thread has its own


@contextmanager
def _worker_threads(n_workers: int, device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """Threads that split no operation when there are several; torch's own number of threads is put back afterwards."""
    n_before = torch.get_num_threads()
    n_inner = 1 if n_workers > 1 or device.type != "cpu" else n_before
    threads = ThreadPoolExecutor(n_workers, "embed", _start_thread, (n_inner, device))
    try:
        yield threads
    finally:
        threads.shutdown(cancel_futures=True)
        torch.set_num_threads(n_before)
