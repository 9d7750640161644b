"""The embedding pass against the published way: one row at a time, the states of all layers kept, logits computed.

    python benchmarks/embed.py [--rows N] [--slow-rows N] [--rounds N] [--tiny-rows N] [--tokens-per-batch N ...]

Both sides run on the same model and rows, in turns, so that whatever disturbs the machine disturbs both; each side's best round counts.
The ceiling is the machine's own rate of matrix products of the model's shapes (torch.mm, best of many), and the share is the model's FLOPs
over seconds and ceiling. Rows: random tokens with Alpaca's lengths (mean 214, at most 512) for a Llama of width 512 with 8 layers; the real
pool for the TinyStories model, where ../shared/data holds both. --per-core is for a machine that is busy elsewhere: one thread everywhere,
and processor seconds instead of the clock's. On a GPU: --device cuda --only bfloat16, with --width and --layers of a model that is worth it.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import diverseevol  # noqa: F401 - before torch, whose OpenMP reads how to wait when it is loaded

# isort: split
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from diverseevol.config import EmbedConfig
from diverseevol.models.embed import EmbedReport, embed_tokens, open_embeddings
from helpers import alpaca_tokens, clock, has_shared, parsed, tinystories


class MadeTokens:
    def __init__(self, n_rows: int, n_vocabulary: int) -> None:
        rng = np.random.default_rng(0)
        self.n_tokens = np.clip(rng.gamma(4.0, 55.0, n_rows).astype(np.int32), 40, 512)
        self.rows = [rng.integers(3, n_vocabulary, n).astype(np.int32) for n in self.n_tokens]

    def __len__(self) -> int:
        return len(self.n_tokens)

    def ids(self, row: int) -> np.ndarray:
        return self.rows[row]

    def mask(self, row: int) -> np.ndarray:
        return np.ones(self.n_tokens[row], dtype=bool)


class SomeRows:
    """A smaller pool of the same lengths, as dense: every k-th piece of `n_side` rows of the order by length."""

    def __init__(self, tokens: MadeTokens, n_rows: int, n_side: int = 1) -> None:
        order = np.argsort(tokens.n_tokens, kind="stable")
        n_pieces = max(1, min(n_rows, len(order)) // n_side)
        starts = np.linspace(0, len(order) - n_side, n_pieces).astype(int)
        self.tokens, self.rows = tokens, order[np.unique(starts[:, None] + np.arange(n_side))]
        self.n_tokens = tokens.n_tokens[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def ids(self, row: int) -> np.ndarray:
        return self.tokens.ids(int(self.rows[row]))

    def mask(self, row: int) -> np.ndarray:
        return self.tokens.mask(int(self.rows[row]))


def made_llama(width: int = 512, n_layers: int = 8, dtype: torch.dtype = torch.float32, device: str = "cpu") -> LlamaForCausalLM:
    torch.manual_seed(0)
    n_heads = width // 64 if width < 2048 else width // 128
    sizes = dict(hidden_size=width, intermediate_size=round(width * 2.6875), num_hidden_layers=n_layers)
    heads = dict(num_attention_heads=n_heads, num_key_value_heads=n_heads)
    config = LlamaConfig(vocab_size=32_000, max_position_embeddings=512, **sizes, **heads, dtype=dtype)
    with torch.device(device):
        return LlamaForCausalLM._from_config(config).eval()


def published_way(model: LlamaForCausalLM, tokens: SomeRows) -> tuple[np.ndarray, float]:
    vectors, started = [], clock()
    with torch.no_grad():
        for row in range(len(tokens)):
            ids_1T = torch.from_numpy(tokens.ids(row).astype(np.int64))[None].to(model.device)
            states_BTD = model(input_ids=ids_1T, output_hidden_states=True).hidden_states[-1]
            vectors.append(states_BTD.float().mean(dim=1)[0].cpu().numpy())
    return np.stack(vectors), int(tokens.n_tokens.sum()) / (clock() - started)


def our_way(model: LlamaForCausalLM, tokens: SomeRows, tokens_per_batch: int | str) -> tuple[np.ndarray, EmbedReport]:
    started = clock()
    with tempfile.TemporaryDirectory() as folder:
        config = EmbedConfig(dtype="model", tokens_per_batch=tokens_per_batch)
        report = embed_tokens(model, tokens, Path(folder), config, [str(row) for row in range(len(tokens))], "benchmark")
        return np.array(open_embeddings(Path(folder))), replace(report, seconds=clock() - started)


def product_rate(model: LlamaForCausalLM, dtype: torch.dtype) -> float:
    """Best FLOP/s of torch.mm over one layer's shapes: 2,048 tokens, a GPU 16,384."""
    wait = torch.cuda.synchronize if model.device.type == "cuda" else lambda: None
    n_tokens = 16_384 if model.device.type == "cuda" else 2048
    shapes = [tuple(module.weight.shape) for module in model.model.layers[0].modules() if isinstance(module, torch.nn.Linear)]
    with torch.device(model.device):
        pairs = [(torch.randn(n_tokens, n_in).to(dtype), torch.randn(n_in, n_out).to(dtype)) for n_out, n_in in shapes]
    seconds = []
    for _ in range(12):
        wait()
        started = clock()
        for left, right in pairs:
            torch.mm(left, right)
        wait()
        seconds.append(clock() - started)
    return sum(2.0 * left.shape[0] * right.numel() for left, right in pairs) / min(seconds)


def compare(name: str, model: LlamaForCausalLM, tokens: MadeTokens, options: argparse.Namespace, n_rows: int) -> None:
    dtype = model.get_input_embeddings().weight.dtype
    slow, fast = SomeRows(tokens, options.slow_rows), SomeRows(tokens, n_rows, n_side=20)
    published, ceiling = 0.0, 0.0
    ours: dict[int | str, list[EmbedReport]] = {size: [] for size in options.tokens_per_batch}
    for _ in range(options.rounds):
        expected_ND, rate = published_way(model, slow)
        published, ceiling = max(published, rate), max(ceiling, product_rate(model, dtype))
        for size, reports in ours.items():
            reports.append(our_way(model, fast, size)[1])
    found_ND = our_way(model, slow, "auto")[0]
    error = np.abs(found_ND - expected_ND).max() / np.abs(expected_ND).max()
    print(f"\n{name}, {str(dtype)[6:]}: {len(fast):,} rows, {fast.n_tokens.sum():,} tokens (mean {fast.n_tokens.mean():.0f})")
    print(
        f"  torch.mm {ceiling / 1e9:,.0f} GFLOP/s; published way {published:,.0f} tokens/s; largest difference {error:.1e} of the largest value"
    )
    for size, reports in ours.items():
        best = max(reports, key=lambda report: report.tokens_per_second)
        rates = " ".join(f"{report.tokens_per_second:,.0f}" for report in reports)
        share = best.flops / best.seconds / ceiling
        print(
            f"  tokens_per_batch={size}: {best.tokens_per_second:,.0f} tokens/s ({rates}), {best.tokens_per_second / published:.2f} × published,"
        )
        print(f"    {share:.0%} of torch.mm, padding {best.n_padded_tokens / best.n_tokens_now - 1:.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300, help="rows of the made model")
    parser.add_argument("--slow-rows", type=int, default=40, help="rows of the published way")
    parser.add_argument("--tiny-rows", type=int, default=8000, help="Alpaca rows of the TinyStories model; 52002 are all")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--tokens-per-batch", nargs="+", default=["auto"], type=lambda word: word if word == "auto" else int(word)
    )
    parser.add_argument("--only", choices=("float32", "bfloat16", "tinystories"))
    options = parsed(parser)
    made = MadeTokens(max(options.rows, 52_002), 32_000)
    for dtype in ("float32", "bfloat16"):
        if options.only in (None, dtype):
            model = made_llama(options.width, options.layers, getattr(torch, dtype), options.device)
            compare(f"Llama {options.width} x {options.layers}, {options.device}", model, made, options, options.rows)
    if options.only in (None, "tinystories") and has_shared("TinyStories on Alpaca"):
        with alpaca_tokens() as tokens:
            compare("TinyStories on Alpaca", tinystories(), tokens, options, options.tiny_rows)


if __name__ == "__main__":
    main()
