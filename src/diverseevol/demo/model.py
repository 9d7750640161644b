"""The made world's base model: a small Llama, pre-trained on the spot on plain text of the world, or random.

The text is the skills' knowledge without a prompt template: two lines in three state something, in every
third somebody asks and somebody else replies in the same plain words. So the model has seen the words of
questions, not the forms of answers that tuning teaches; all skills are spoken of equally often, also of what
a held-out set asks. The tokenizer is byte-level BPE, so any text comes back unchanged, and its chat template
marks what an assistant says, so that training can mask the rest. Steps are counted, not timed, and every
random number comes from the seed, so a machine makes the same model again.
Cost: about 40 s on two CPU cores for the pre-trained one, about a second for a random one.
Shape letters: B sequences of a batch, T tokens of a sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, islice
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers import get_cosine_schedule_with_warmup as cosine_schedule

from ..base import files
from ..base.progress import SILENT, Watch
from .pool import SKILLS, WORDS

BATCH, LENGTH, LEARNING_RATE, BETAS = 8, 128, 4e-3, (0.9, 0.95)
BOS, EOS, PAD = "<s>", "</s>", "<pad>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ':\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\n' }}{% endif %}"
)


def made_model(
    out_dir: Path,
    hidden_size: int = 64,
    num_layers: int = 2,
    vocab_size: int = 512,
    max_positions: int = 1024,
    seed: int = 0,
    n_steps: int = 0,
    watch: Watch = SILENT,
) -> Path:
    """Write a Llama and the made world's tokenizer to `out_dir`, whole or not at all, and return it.

    torch's global generator is left as it was.

    Args:
        out_dir: The model's folder, as transformers loads any; replaced if there is one.
        hidden_size: Width D of the hidden states, a multiple of 16; the MLP is twice as wide.
        num_layers: Number of layers.
        vocab_size: Tokens of the tokenizer and rows of the embedding, from 259 up.
        max_positions: Longest sequence that the model takes.
        seed: Decides the text, the tokenizer and the weights.
        n_steps: Optimizer steps of pre-training, 1,024 tokens each; none leaves the weights random.
        watch: Shown the steps.
    """
    tokenizer = make_tokenizer(vocab_size, seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4 if hidden_size % 64 == 0 else 2,
        max_position_embeddings=max_positions,
        tie_word_embeddings=True,
        initializer_range=0.06,  # after these few steps the loss is 1.38, against 1.40 from the usual 0.02
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).float()
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=BETAS, weight_decay=0.01)
        schedule = cosine_schedule(optimizer, n_steps // 20, n_steps)
        with watch.task("pre-train the tiny model", n_steps, "steps") as task:
            for ids_BT in islice(packed_batches(tokenizer, seed), n_steps):
                model(input_ids=ids_BT, labels=ids_BT).loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                task.advance()
    with files.replacing(out_dir) as partial_dir:
        model.save_pretrained(partial_dir)
        tokenizer.save_pretrained(partial_dir)
    return out_dir


def packed_batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[torch.Tensor]:
    """Yield batches of the text without end: lines within BOS and EOS, cut wherever a sequence ends."""
    text = lines(seed)
    encoded = (ids for _ in count() for ids in tokenizer(list(islice(text, 64)))["input_ids"])
    tokens = (token for ids in encoded for token in (*ids, tokenizer.eos_token_id))
    while True:
        yield torch.tensor(list(islice(tokens, BATCH * LENGTH))).view(BATCH, LENGTH)


def lines(seed: int = 0) -> Iterator[str]:
    """Yield lines of the text without end; the same seed gives the same lines."""
    rng = Random(f"prose {seed}")
    while True:
        exercise = rng.choice(SKILLS).exercise(rng)
        line = exercise.statement
        if rng.random() < 1 / 3:
            asks, replies = rng.sample(WORDS["names"], 2)
            question, about = exercise.record["instruction"], exercise.record["input"]
            question = f"{question} ({about})" if about else question
            line = f'{asks} asked {replies}: "{question}" {replies} told {asks}: "{line}"'
        yield line


def make_tokenizer(vocab_size: int = 1024, seed: int = 0) -> PreTrainedTokenizerFast:
    """Train the tokenizer on the text and on prompts; three special tokens and all 256 bytes are in it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(chain(WORDS["prompts"] * 100, islice(lines(seed), 6000)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    special = {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special, chat_template=CHAT_TEMPLATE)
