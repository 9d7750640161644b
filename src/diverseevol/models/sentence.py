"""The pool as an outer model sees it: one pass of a sentence-transformers model over the rows' plain text.

Source: Sentence-BERT (Reimers and Gurevych, 2019, https://arxiv.org/abs/1908.10084) and its library, which
gives a vector a text; pooling, normalisation, default prompt and the longest text that is not cut are the
model's own. The vectors do not change from round to round, so they are computed once a run. Shards
(batches.py, by characters), files and resuming (embed_files.py) are those of the pass over tokens.
Cost: one forward pass a row; the texts of a shard in memory. Shape letters: N rows, D width, B rows of a
shard.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..base import dist
from ..base.progress import SILENT, Watch
from ..config import EmbedConfig
from ..errors import ConfigError, ModelError
from ..run.metrics import forward_flops
from ..selection import Signal
from .batches import Ids, make_shards
from .embed_files import EmbedReport, finished_signals, open_files, pass_record
from .encoder import n_outside_tables
from .load import device, loading
from .load import fingerprint as folder_fingerprint

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
    parts = (
        [folder, *sorted(part for part in folder.rglob("*") if part.is_dir())] if folder.is_dir() else [name]
    )
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
        for file in folder.rglob("pytorch_model*.bin"):
            if not list(file.parent.glob("*.safetensors")):
                raise ModelError(
                    f"embed.model {name!r} has pickled weights, {file.relative_to(folder)}, which are not "
                    "loaded. Convert them with model.save_pretrained(…) where you trust them."
                )
        options = {"trust_remote_code": trust_remote_code, "model_kwargs": {"use_safetensors": True}}
        model = SentenceTransformer(str(folder), device=str(device()), **options)
    return model if config.dtype in ("auto", "model") else model.to(getattr(torch, config.dtype))


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

    Every rank calls it, and gets the same report. A call that was killed is taken up by the next with the
    same `fingerprint`. Batches never cross a shard, so that neither kills nor the number of ranks change a
    number.

    Args:
        model: what `load_outer` gave.
        text_of: the text of a row.
        n_characters_N: about how long each is, to put texts of like length together.
        config: batch size (padded tokens) and dtype.
        fingerprint: a text that names the model and the texts.

    Raises:
        NonFiniteError: values are NaN or infinite, with up to five ids.
    """
    from accelerate.utils import find_executable_batch_size

    header = {
        "fingerprint": fingerprint,
        "n_rows": len(ids),
        "n_characters": int(n_characters_N.sum()),
        "width": int(_encode(1, model, [text_of(0)])[0].shape[1]),
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
    }
    if dist.on_main(lambda: finished_signals(out_dir, header)):
        return dist.on_main(lambda: pass_record(out_dir)).report
    started, n_tokens, n_padded = time.perf_counter(), 0, 0

    def count(_module: torch.nn.Module, arguments: tuple[dict[str, Any], ...]) -> None:
        nonlocal n_tokens, n_padded
        given, mask = (arguments[0].get(name) for name in ("input_ids", "attention_mask"))
        if given is not None:
            n_padded += given.numel()
            n_tokens += given.numel() if mask is None else int(mask.sum())

    files = open_files(out_dir, header | {"signals": [Signal.EMBEDDING.value]})
    longest, budget = int(model.max_seq_length or 512), config.tokens_per_batch  # longer texts are cut
    n_at_once = TEXTS_PER_BATCH if budget == "auto" else max(1, budget // longest)
    shards = make_shards(np.maximum(n_characters_N, 1))[dist.rank() :: dist.world_size()]
    mine = [shard for shard in shards if not files.shard_file(f"texts-{shard.index:04d}").exists()]
    counting = model[0].register_forward_pre_hook(count)
    encode = find_executable_batch_size(_encode, starting_batch_size=n_at_once)
    with watch.task("embed (outer model)", float(sum(len(shard.rows) for shard in mine)), "texts") as task:
        for shard in mine:
            n_before = n_tokens
            vectors_BD, n_at_once = encode(model, [text_of(int(row)) for row in shard.rows])
            computed = {Signal.EMBEDDING.value: vectors_BD}
            files.save(f"texts-{shard.index:04d}", shard.rows, computed, n_tokens - n_before)
            if files.bad_rows:
                break
            task.advance(len(shard.rows))
    counting.remove()
    files.check_finite(ids, "vectors of embed.model", "Set embed.dtype=float32, or leave these rows out.")
    n_weights, seconds = n_outside_tables(model), time.perf_counter() - started
    figures = (n_tokens, n_padded, seconds, n_at_once * longest)
    return files.complete(ids, figures, lambda n_all: forward_flops(n_weights, n_all))


def _encode(batch_size: int, model: SentenceTransformer, texts: list[str]) -> tuple[np.ndarray, int]:
    """The texts' vectors, float32[B, D], and how many texts a batch fitted into memory."""
    found = model.encode(texts, batch_size=batch_size, show_progress_bar=False)
    return np.asarray(found, dtype=np.float32), batch_size
