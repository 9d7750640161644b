"""The made world's base model: a small Llama, pre-trained on the spot on plain text of the world, and random ones of any width.

The steps are counted, not timed, and every random number comes from the seed, so a machine makes the same model again;
torch's global generator is left as it was. The model is a folder that transformers loads like any other.
Cost: about 40 s on two CPU cores for the pre-trained one, once a cache folder; about a second for a random one.
Shape letters: B sequences of a batch, T tokens of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, get_cosine_schedule_with_warmup

from ..base import files
from ..base.progress import SILENT, Watch
from .prose import lines
from .tokenizer import make_tokenizer

VERSION = 1
"""Counted up whenever the world's text, the tokenizer or the recipe below changes, so that no stale model is found in a cache."""
HIDDEN_SIZE, N_LAYERS, VOCAB_SIZE = 128, 3, 1024
N_STEPS, BATCH, LENGTH, LEARNING_RATE = 600, 8, 128, 4e-3


def tiny_model(cache_dir: Path, seed: int = 0, watch: Watch = SILENT, n_steps: int = N_STEPS) -> Path:
    """Return the folder of the pre-trained tiny model, making it first where `cache_dir` does not hold it yet.

    Args:
        cache_dir: Folder for made models; one folder per version, seed and number of steps below it.
        seed: Decides the text, the first weights and so the whole model.
        watch: Shown the steps.
        n_steps: Optimizer steps of 1,024 tokens each.

    Returns:
        A folder with config, safetensors weights and tokenizer. It appears whole or not at all.
    """
    model_dir = cache_dir / f"tiny-v{VERSION}-seed{seed}-steps{n_steps}"
    if not (model_dir / "config.json").is_file():  # the folder is renamed into place, so what is there is complete
        tokenizer = make_tokenizer(VOCAB_SIZE, seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _llama(tokenizer, HIDDEN_SIZE, N_LAYERS, LENGTH * 8)
            _pretrain(model, tokenizer, seed, n_steps, watch)
        _save(model, tokenizer, model_dir)
    return model_dir


def made_model(
    out_dir: Path, hidden_size: int = 64, num_layers: int = 2, vocab_size: int = 512, max_positions: int = 1024, seed: int = 0
) -> Path:
    """Write a Llama with random weights and the made world's tokenizer to `out_dir` and return it; for tests and benchmarks.

    Args:
        out_dir: The model's folder; replaced if there is one.
        hidden_size: Width D of the hidden states, a multiple of 16; the MLP is twice as wide.
        num_layers: Number of layers.
        vocab_size: Tokens of the tokenizer and rows of the embedding, from 259 up.
        max_positions: Longest sequence that the model takes.
        seed: Decides the weights and the tokenizer.
    """
    tokenizer = make_tokenizer(vocab_size, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _llama(tokenizer, hidden_size, num_layers, max_positions)
    _save(model, tokenizer, out_dir)
    return out_dir


def _llama(tokenizer: PreTrainedTokenizerFast, hidden_size: int, num_layers: int, max_positions: int) -> LlamaForCausalLM:
    n_heads = 4 if hidden_size % 64 == 0 else 2
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=n_heads,
        num_key_value_heads=n_heads,
        max_position_embeddings=max_positions,
        tie_word_embeddings=True,
        initializer_range=0.06,  # after these few steps the loss is 1.38, against 1.40 from the usual 0.02
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config).float()


def _pretrain(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int, n_steps: int, watch: Watch) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimizer, n_steps // 20, n_steps)
    batches = _batches(tokenizer, seed)
    model.train()
    with watch.task("pre-train the tiny model", n_steps, "steps") as task:
        for _ in range(n_steps):
            ids_BT = next(batches)
            model(input_ids=ids_BT, labels=ids_BT).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            task.advance()
    model.eval()


def _batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[torch.Tensor]:
    """Packed batches without end: line after line with BOS and EOS around each, cut to size wherever it falls."""
    packed: list[int] = []
    text = lines(seed)
    while True:
        while len(packed) < BATCH * LENGTH:
            encoded = tokenizer([next(text) for _ in range(BATCH * 8)])["input_ids"]
            packed += [token for ids in encoded for token in (*ids, tokenizer.eos_token_id)]
        yield torch.tensor(packed[: BATCH * LENGTH]).view(BATCH, LENGTH)
        del packed[: BATCH * LENGTH]


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, model_dir: Path) -> None:
    with files.replacing(model_dir) as partial_dir:
        model.save_pretrained(partial_dir)
        tokenizer.save_pretrained(partial_dir)
