"""What benchmarks of models share: a clock that is fair on a busy machine, and the real data where it is there."""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from diverseevol.base.progress import SILENT
from diverseevol.config import PoolConfig, PromptConfig
from diverseevol.models.load import load_tokenizer
from diverseevol.text.prepare import prepare
from diverseevol.text.tokens import Tokens

SHARED = Path(__file__).parents[3] / "shared" / "data"
TINYSTORIES = str(SHARED / "models" / "tinystories-656k")
_now = time.perf_counter


def clock() -> float:
    """Seconds of the wall's clock or, with --per-core, of the processor."""
    return _now()


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The command line's options, with --per-core for a machine that is busy elsewhere; says what runs."""
    parser.add_argument("--per-core", action="store_true", help="one thread, processor seconds")
    options = parser.parse_args()
    if options.per_core:
        global _now
        _now = time.process_time
        torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    return options


def has_shared(what: str) -> bool:
    """Whether the real data is there; says what is left out where it is not."""
    if not SHARED.is_dir():
        print(f"\n{what} left out: {SHARED} is not there")
    return SHARED.is_dir()


def tinystories() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(TINYSTORIES).eval()


@contextmanager
def alpaca_tokens() -> Iterator[Tokens]:
    """Alpaca's rows, tokenised for the TinyStories model."""
    with tempfile.TemporaryDirectory() as folder:
        pool = PoolConfig(path=str(SHARED / "pools" / "alpaca_data.json"))
        yield prepare(pool, PromptConfig(), load_tokenizer(TINYSTORIES), Path(folder), 0, SILENT).tokens
