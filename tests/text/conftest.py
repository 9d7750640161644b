"""Tokenizers of every kind that has a trap of its own, trained in a moment on a few sentences."""

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

CORPUS = [
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.",
    "### Instruction: ### Input: ### Response: The cat sat on the mat, and then it said hello to the other cat.",
    "Grüße aus Köln, 中文字符, emoji 😀😃 and (brackets) in 1,234 places.",
    "One.\n\n\n\nTwo.\n\nThree.\n",
]
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def wrapped(backend: Tokenizer) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def front_and_back(backend: Tokenizer, template: str) -> processors.TemplateProcessing:
    return processors.TemplateProcessing(
        single=template, special_tokens=[(name, backend.token_to_id(name)) for name in ("<s>", "</s>")]
    )


def byte_level() -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(CORPUS * 20, trainer)
    return backend


def sentencepiece(scheme: str) -> Tokenizer:
    """Metaspace and byte fallback; `prepend` puts a blank in front of every stretch, `first` in front of the text only."""
    # Characters that are not in the vocabulary become bytes.
    trained = Tokenizer(models.BPE(fuse_unk=True, byte_fallback=True, unk_token="<unk>"))
    trained.normalizer = normalizers.Replace(" ", "▁")
    special = ["<unk>", *SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trained.train_from_iterator(CORPUS * 20, trainers.BpeTrainer(vocab_size=460, special_tokens=special, show_progress=False))
    model = models.BPE(trained.get_vocab(), merges_of(trained), fuse_unk=True, byte_fallback=True, unk_token="<unk>")
    backend = Tokenizer(model)
    backend.add_special_tokens(["<unk>", *SPECIAL])
    if scheme == "prepend":
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return backend


def merges_of(backend: Tokenizer) -> list[tuple[str, str]]:
    import json

    return [tuple(pair) for pair in json.loads(backend.to_str())["model"]["merges"]]


def make(kind: str) -> PreTrainedTokenizerFast:
    backend = sentencepiece(kind) if kind in ("prepend", "first") else byte_level()
    if kind == "trims":
        backend.post_processor = processors.ByteLevel(trim_offsets=True)
    elif kind == "adds_eos":
        backend.post_processor = front_and_back(backend, "<s> $A </s>")
    elif kind in ("prepend", "first"):
        backend.post_processor = front_and_back(backend, "<s> $A")
    return wrapped(backend)


KINDS = ["plain", "trims", "adds_eos", "prepend", "first"]


@pytest.fixture(scope="session")
def tokenizers_by_kind() -> dict[str, PreTrainedTokenizerFast]:
    """plain, trims, adds_eos: byte-level; prepend, first: SentencePiece-like."""
    return {kind: make(kind) for kind in KINDS}


@pytest.fixture(scope="session")
def tinystories(shared_data):
    """A real tokenizer that drops most characters."""
    return AutoTokenizer.from_pretrained(shared_data / "models" / "tinystories-656k")
