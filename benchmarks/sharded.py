"""What a process takes while a model is tuned, saved, loaded again and embedded with, whole on each process and sharded over them (FSDP2).

    python benchmarks/sharded.py [--processes 1 2 4] [--width D] [--layers N] [--vocabulary V] [--json FILE]

Each process first tunes a tiny model, so that everything is imported; what it holds at most above that is noted for the tuning (weights,
gradients and two moments: four times the weights' bytes; with saving) and for the pass (the weights in bfloat16, half their bytes). The
table gives the largest of the processes, in MiB, beside the share: the same bytes over the number of processes. Data parallel tuning adds its
buckets of gradients, sharded one the layer at hand. On a CPU, with gloo, on Linux;
glibc is told to give freed memory back at once, or what it keeps would count.
"""

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

MB = 1 << 20
N_ROWS = 8


class Rows:
    """Rows of 48 random tokens, all trained on but the first four."""

    def __init__(self, n_vocabulary: int) -> None:
        import numpy as np

        self.rows_NT = np.random.default_rng(0).integers(3, n_vocabulary, (N_ROWS, 48))
        self.n_tokens = np.full(N_ROWS, 48)

    def __len__(self) -> int:
        return N_ROWS

    def ids(self, row: int):
        return self.rows_NT[row]

    def mask(self, row: int):
        import numpy as np

        return np.arange(48) >= 4


def in_memory() -> int:
    """Bytes that this process holds now, without pages of files, which the kernel takes back when it needs them."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:")]
    return int(line.split()[1]) * 1024


def peak_of(work) -> int:
    """Bytes that this process holds at most while it works, above those before; looked at every few milliseconds."""
    gc.collect()
    before, seen, is_over = in_memory(), [0], threading.Event()

    def look() -> None:
        while not is_over.wait(0.003):
            seen[0] = max(seen[0], in_memory())

    looking = threading.Thread(target=look)
    looking.start()
    work()
    is_over.set()
    looking.join()
    return seen[0] - before


def measure(folder: Path, is_sharded: bool) -> None:
    """As one of the processes: leave this one's peaks in the folder."""
    from diverseevol.base import dist
    from diverseevol.base.progress import SILENT
    from diverseevol.config import EmbedConfig, load_config
    from diverseevol.models.embed import embed_tokens
    from diverseevol.models.load import load_model, load_tokenizer
    from diverseevol.models.train import fit

    words = (f"train.fsdp={str(is_sharded).lower()}", "train.total_batch_size=8", "train.per_device_train_batch_size=2")
    config = load_config(None, (*words, "train.num_train_epochs=1"), options={"pool.path": "p", "model": "m", "out": "o"}).train

    def tune(name: str) -> None:
        rows, tokenizer = Rows(512), load_tokenizer(str(folder / "tiny"))
        model_dir, checkpoints_dir = folder / f"tuned-{name}", folder / "checkpoints"
        fit(str(folder / name), range(N_ROWS), rows, tokenizer, config, model_dir, checkpoints_dir, 0, SILENT)

    def embed(name: str) -> None:
        # In half the bytes of the files: weights as they lie in a file may stay its pages, which are no process's own.
        model = load_model(str(folder / f"tuned-{name}"), "bfloat16", is_sharded=is_sharded)
        ids = [str(row) for row in range(N_ROWS)]
        embed_tokens(model, Rows(512), folder / f"vectors-{name}", EmbedConfig(), ids, name)

    tune("tiny"), embed("tiny")
    peaks = {"train": peak_of(lambda: tune("model")), "embed": peak_of(lambda: embed("model"))}
    (folder / f"peaks-{dist.rank()}.json").write_text(json.dumps(peaks))


def make_models(folder: Path, width: int, layers: int, vocabulary: int) -> int:
    """A tiny Llama and one of these sizes; bytes of the latter's weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from diverseevol.demo.model import made_model

    made_model(folder / "tiny", hidden_size=32, num_layers=1, vocab_size=512)
    sizes = dict(
        hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers, num_attention_heads=max(1, width // 64)
    )
    model = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, max_position_embeddings=256, tie_word_embeddings=False, **sizes))
    model.save_pretrained(folder / "model")
    return sum(weight.nbytes for weight in model.parameters())


def run(n: int, is_sharded: bool, sizes: tuple[int, int, int]) -> dict[str, object]:
    """Start the processes; the largest of their peaks."""
    with tempfile.TemporaryDirectory(prefix="diverseevol-sharded-") as name:
        n_bytes = make_models(Path(name), *sizes)
        at_once = {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "16384", "MALLOC_MMAP_MAX_": "1000000"}
        environment = os.environ | at_once | {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(n)]
        command = [sys.executable, *launcher, __file__, "--measure", name, *(["--sharded"] if is_sharded else [])]
        subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
        peaks = [json.loads(file.read_text()) for file in sorted(Path(name).glob("peaks-*.json"))]
    largest = {key: max(each[key] for each in peaks) for key in ("train", "embed")}
    return {"n": n, "is_sharded": is_sharded, "model": n_bytes, **largest}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--vocabulary", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--sharded", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure, given.sharded)
        return
    print("processes  weights   tuning  its share   embedding  its share   (MiB, the largest process)")
    found = []
    for n in given.processes:
        for is_sharded in (False, True) if n > 1 else (False,):
            one = run(n, is_sharded, (given.width, given.layers, given.vocabulary))
            found.append(one)
            share = one["model"] / (n if is_sharded else 1)
            numbers = (one["train"] / MB, 4 * share / MB, one["embed"] / MB, share / 2 / MB)
            print(
                f"{n:9}  {'sharded' if is_sharded else 'whole  '} " + " ".join(f"{number:10.0f}" for number in numbers),
                flush=True,
            )
    if given.json:
        given.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
