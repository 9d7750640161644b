"""The pass with signals against the plain embedding pass: what the numbers that need logits cost on top.

    python benchmarks/signals.py [--rows N] [--tiny-rows N] [--rounds N] [--only llama|tinystories] [--per-core]

Asked for: the embedding, all three signals of the paper and the loss. Both sides run on the same model and rows, in turns, so that whatever
disturbs the machine disturbs both; the ratio is that of each side's best round, and its range over the rounds stands behind it. Models and
rows are those of benchmarks/embed.py. The share of the head in the FLOPs says what could be reached at best: it is as large as all layers'
in the TinyStories model.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from diverseevol.config import EmbedConfig
from diverseevol.models.embed import EmbedReport, embed_tokens
from diverseevol.selection import Signal
from embed import MadeTokens, SomeRows, made_llama
from helpers import alpaca_tokens, clock, has_shared, parsed, tinystories

PLAIN = frozenset({Signal.EMBEDDING})
FULL = PLAIN | {Signal.PAPER_CONFIDENCE, Signal.PAPER_MARGIN, Signal.PAPER_ENTROPY, Signal.LOSS}


def one_pass(model: PreTrainedModel, tokens: SomeRows, signals: frozenset[Signal]) -> EmbedReport:
    started = clock()
    with tempfile.TemporaryDirectory() as folder:
        ids = [str(row) for row in range(len(tokens))]
        report = embed_tokens(model, tokens, Path(folder), EmbedConfig(dtype="model"), ids, "benchmark", signals=signals)
    return replace(report, seconds=clock() - started)


def compare(name: str, model: PreTrainedModel, tokens: SomeRows, rounds: int) -> None:
    pairs = [(one_pass(model, tokens, PLAIN), one_pass(model, tokens, FULL)) for _ in range(rounds)]
    plain, full = (max(report.tokens_per_second for report in side) for side in zip(*pairs, strict=True))
    ratios = sorted(full.tokens_per_second / plain.tokens_per_second for plain, full in pairs)
    head_share = 1 - pairs[0][0].flops / pairs[0][1].flops
    print(f"\n{name}: {len(tokens):,} rows, {tokens.n_tokens.sum():,} tokens, vocabulary {model.config.vocab_size:,}")
    print(f"  embedding alone {plain:,.0f} tokens/s; with signals {full:,.0f} tokens/s; head {head_share:.0%} of the FLOPs")
    print(f"  {full / plain:.0%} of the plain pass's speed (rounds: {ratios[0]:.0%} to {ratios[-1]:.0%})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100, help="rows of the width-512 model")
    parser.add_argument("--tiny-rows", type=int, default=4000, help="Alpaca rows of the TinyStories model")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", choices=("llama", "tinystories"))
    options = parsed(parser)
    if options.only != "llama" and has_shared("TinyStories on Alpaca"):
        with alpaca_tokens() as tokens:
            rows = SomeRows(tokens, options.tiny_rows, n_side=20)
            compare("TinyStories on Alpaca, float32", tinystories(), rows, options.rounds)
    if options.only != "tinystories":
        tokens = SomeRows(MadeTokens(52_002, 32_000), options.rows, n_side=20)
        compare("Llama 512 x 8, float32", made_llama(), tokens, options.rounds)


if __name__ == "__main__":
    main()
