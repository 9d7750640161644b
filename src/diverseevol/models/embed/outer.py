"""The pool as an outer model sees it: one pass of a sentence-transformers model over the rows' plain text, whatever the round's model thinks.

Source: Sentence-BERT (Reimers and Gurevych, 2019, https://arxiv.org/abs/1908.10084) and its library, which is asked for a vector a text;
pooling, normalisation, default prompt and the longest text that is not cut off are the model's own. The vectors do not change from round
to round, so they are computed once a run.
The shards are those of the pass over tokens (shards.py), by characters; files, resuming and sharing out over ranks are the same, too
(store.py). Batches never cross a shard, so the vectors do not depend on the number of ranks or on where a pass was killed.
Cost: one forward pass a row; the texts of one shard in memory.
Shape letters: N pool rows, D embedding width, B rows of a shard.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...base import dist
from ...base.progress import SILENT, Watch
from ...config import EmbedConfig
from ...errors import ConfigError, EmbedError, ModelError
from ...run.metrics import forward_flops, peak_memory
from ...selection import Signal
from ..load import device, loading
from ..load import fingerprint as folder_fingerprint
from .encoder import Outputs, is_out_of_memory
from .report import EmbedReport, n_outside_tables
from .shards import Ids, make_shards
from .store import Store, finished_report, finished_signals, open_store

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

TEXTS_PER_BATCH = 32  # sentence-transformers' own default
PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.ot", "onnx/*", "openvino/*")


def check_outer(name: str) -> None:
    """Check, without importing anything, that an outer model can be asked for.

    Raises:
        ConfigError: sentence-transformers is not installed.
    """
    if find_spec("sentence_transformers") is None:
        raise ConfigError(
            f"embed.model is {name!r}, which needs the package sentence-transformers; it is not installed. "
            "Install it: pip install 'diverseevol[sentence-transformers]'."
        )


def outer_fingerprint(name: str) -> str:
    """A short hash of a local model folder with the folders of its modules, or the Hub id itself."""
    folder = Path(name)
    if not folder.is_dir():
        return name
    parts = [folder, *sorted(part for part in folder.rglob("*") if part.is_dir())]
    return " ".join(folder_fingerprint(str(part)) for part in parts)


def load_outer(name: str, config: EmbedConfig, trust_remote_code: bool = False) -> SentenceTransformer:
    """Load a sentence-transformers model, or any encoder under a mean over its tokens, on this rank's device.

    Raises:
        ConfigError: sentence-transformers is not installed.
        ModelError: there is no such model, or its weights are not in safetensors.
    """
    check_outer(name)
    from huggingface_hub import snapshot_download
    from sentence_transformers import SentenceTransformer

    with loading("the sentence-transformers model (embed.model)", name):
        folder = Path(name)
        if not folder.is_dir():
            repo = name if "/" in name else f"sentence-transformers/{name}"
            folder = Path(snapshot_download(repo, ignore_patterns=list(PICKLED)))
        _check_plain(name, folder)
        model = SentenceTransformer(
            str(folder),
            device=str(device()),
            trust_remote_code=trust_remote_code,
            model_kwargs={"use_safetensors": True},
        )
    if config.dtype not in ("auto", "model"):
        model = model.to(
            {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[config.dtype]
        )
    return model


def _check_plain(name: str, folder: Path) -> None:
    """Refuse modules that would be loaded from pickled weights."""
    for file in folder.rglob("pytorch_model*.bin"):
        if not list(file.parent.glob("*.safetensors")):
            raise ModelError(
                f"embed.model {name!r} has pickled weights, {file.relative_to(folder)}, which are not loaded. "
                "Convert them with model.save_pretrained(…) where you trust them."
            )


def embed_texts(
    model: SentenceTransformer,
    text_of: Callable[[int], str],
    n_characters_N: np.ndarray,
    out_dir: Path,
    config: EmbedConfig,
    ids: Ids,
    fingerprint: str,
    watch: Watch = SILENT,
) -> EmbedReport:
    """Write `out_dir/embeddings.npy`, float32[N, D], row i the outer model's vector of text i.

    Every rank calls it, and gets the same report. A call that was killed is taken up by the next with the same `fingerprint`.

    Args:
        model: what `load_outer` gave.
        text_of: the text of a row.
        n_characters_N: about how long each is, to put texts of like length together.
        out_dir: where the files go, on a disk that every rank sees.
        config: batch size (padded tokens) and dtype.
        ids: the rows' ids, for messages.
        fingerprint: a text that names the model and the texts.
        watch: is shown this rank's texts.

    Raises:
        EmbedError: a single text does not fit in memory, or the disk is full.
        NonFiniteError: values are NaN or infinite, with up to five ids.
    """
    header = {
        "fingerprint": fingerprint,
        "n_rows": len(ids),
        "n_characters": int(n_characters_N.sum()),
        "width": int(_encode(model, [text_of(0)], 1)[0].shape[1]),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
    }
    if dist.on_main(lambda: finished_signals(out_dir, header)):
        return dist.on_main(lambda: finished_report(out_dir))
    with closing(open_store(out_dir, header | {"signals": [Signal.EMBEDDING.value]})) as store:
        return _Pass(model, text_of, ids, store, config).run(n_characters_N, watch)


class _Pass:
    """One rank's part of the pass, and how far it is."""

    def __init__(
        self,
        model: SentenceTransformer,
        text_of: Callable[[int], str],
        ids: Ids,
        store: Store,
        config: EmbedConfig,
    ) -> None:
        self.model, self.text_of, self.ids, self.store = model, text_of, ids, store
        self.longest = int(
            model.max_seq_length or 512
        )  # tokens of the longest text that the model does not cut
        budget = config.tokens_per_batch
        self.n_at_once = TEXTS_PER_BATCH if budget == "auto" else max(1, budget // self.longest)
        self.n_tokens = self.n_padded = 0

    def run(self, n_characters_N: np.ndarray, watch: Watch) -> EmbedReport:
        started = time.perf_counter()
        mine = self.store.my_shards(make_shards(np.maximum(n_characters_N, 1)))
        counting = self.model[0].register_forward_pre_hook(self._count)
        with watch.task(
            "embed (outer model)", float(sum(len(shard.rows) for shard in mine)), "texts"
        ) as task:
            for shard in mine:
                if self.store.is_stopped():
                    break
                n_before, texts = self.n_tokens, [self.text_of(int(row)) for row in shard.rows]
                vectors_BD, self.n_at_once = _encode(self.model, texts, self.n_at_once)
                self.store.write(shard.rows, Outputs(vectors_BD, None))
                if not self.store.bad_rows:
                    self.store.finish(shard.index, self.n_tokens - n_before)
                task.advance(len(shard.rows))
        counting.remove()
        self.store.check_finite(
            self.ids, "vectors of embed.model", "Set embed.dtype=float32, or leave these rows out."
        )
        report = self._report(time.perf_counter() - started)
        self.store.complete(report, self.ids)
        return report

    def _count(self, _module: torch.nn.Module, arguments: tuple[dict[str, Any], ...]) -> None:
        features = arguments[0]
        ids = features.get("input_ids")
        if ids is not None:
            self.n_padded += ids.numel()
            mask = features.get("attention_mask")
            self.n_tokens += ids.numel() if mask is None else int(mask.sum())

    def _report(self, seconds: float) -> EmbedReport:
        parts = dist.gather((self.n_tokens, self.n_padded, seconds, peak_memory(), self.n_at_once))
        n_now, n_padded, all_seconds, peaks, at_once = zip(*parts, strict=True)
        n_tokens = sum(n_now) + sum(self.store.done.values())
        return EmbedReport(
            n_rows=self.store.header["n_rows"],
            width=self.store.header["width"],
            n_tokens=n_tokens,
            n_tokens_now=sum(n_now),
            n_padded_tokens=sum(n_padded),
            seconds=max(all_seconds),
            flops=forward_flops(n_outside_tables(self.model), n_tokens),
            peak_memory_bytes=max(peaks),
            tokens_per_batch=min(at_once) * self.longest,
            n_workers=1,
            dtype=self.store.header["dtype"],
            is_masked=True,
        )


def _encode(model: SentenceTransformer, texts: list[str], n_at_once: int) -> tuple[np.ndarray, int]:
    """The texts' vectors, float32[B, D], and how many texts a batch were right: half as many whenever memory runs out.

    Raises:
        EmbedError: a single one does not fit.
    """
    while True:
        try:
            return np.asarray(
                model.encode(texts, batch_size=n_at_once, show_progress_bar=False), dtype=np.float32
            ), n_at_once
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        if n_at_once == 1:
            raise EmbedError(
                "out of memory embedding a single text with embed.model. Take a smaller model or a larger device."
            )
        n_at_once //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
