"""The made world's tokenizer: byte-level BPE, so any text goes in and comes out unchanged, with about a thousand tokens.

It is trained on the spot, on the same text as the model and on a few sentences of the kind that prompts are made of. BOS is
added in front by itself, as Llama's tokenizers do; the chat template marks what an assistant says as generated, so that
training can mask the rest.
Cost: about half a second.
"""

from __future__ import annotations

from itertools import chain, islice

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from .prose import lines

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
N_LINES = 6000
"""Lines of prose that the merges are learnt from."""
PROMPT_LIKE = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "Below is an instruction that describes a task, paired with an input that provides further context.",
    "### Instruction:\n### Input:\n### Response:\nuser:\nassistant:\nsystem:\n",
)
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'] + ':\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}{{ '\n' }}"
    "{% else %}{{ message['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\n' }}{% endif %}"
)


def make_tokenizer(vocab_size: int = 1024, seed: int = 0) -> PreTrainedTokenizerFast:
    """Train the tokenizer on the made world's text; the same arguments give the same tokenizer.

    Args:
        vocab_size: Tokens at most, special ones and the 256 bytes among them.
        seed: Decides which text it learns from.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),  # all 256 bytes, whatever the text
        show_progress=False,
    )
    tokenizer.train_from_iterator(chain(PROMPT_LIKE * 100, islice(lines(seed), N_LINES)), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, eos_token=EOS, pad_token=PAD, clean_up_tokenization_spaces=False
    )
    made.chat_template = CHAT_TEMPLATE
    return made
