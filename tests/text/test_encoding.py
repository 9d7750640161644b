"""Ids and masks, against the tokenizer's own call, brute force over offsets, and one row at a time."""

import itertools
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from diverseevol.config import PromptConfig
from diverseevol.data.sample import Sample, Turn
from diverseevol.errors import PromptError
from diverseevol.text.tokens import Encoder

ANY_KIND = pytest.mark.parametrize("kind", ["plain", "trims", "adds_eos", "prepend", "first"])
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
WORDS = st.sampled_from(
    ["cat", " ", "  ", "\n", "é", "e\u0301", "😀", "👩‍👩‍👧", "中文", "</s>", "<|im_end|>", ":", "(", "▁", "Ġ", "\x00", "\ufffd"]
)
TEXTS = st.one_of(st.text(max_size=30), st.lists(WORDS, max_size=8).map("".join))
WITHOUT_CONTROL = TEXTS.filter(lambda text: not re.search(r"</?s>|<\|im_\w+\|>|<unk>", text))
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def sample(question: str, answer: str, is_trained: bool = True) -> Sample:
    return Sample((Turn("user", question), Turn("assistant", answer, is_trained=is_trained)))


def dialogue(*texts: str) -> Sample:
    pairs = itertools.batched(texts, 2) if hasattr(itertools, "batched") else zip(texts[::2], texts[1::2], strict=True)
    return Sample(tuple(turn for one, two in pairs for turn in sample(one, two).turns))


def prompt_of(question: str) -> str:
    return (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
        f"\n\n### Instruction:\n{question}\n\n### Response:"
    )


def with_chat(tokenizer, template: str = CHATML):
    other = type(tokenizer)(
        tokenizer_object=Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()), bos_token="<s>", eos_token="</s>"
    )
    other.chat_template = template
    return other


def plain_ids(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]


def brute_mask(tokenizer, text: str, start: int) -> list[bool]:
    """For every token, whether it holds a character from `start` on; offsets as they are before any post-processor."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.post_processor = None
    backend.encode_special_tokens = True
    characters = [range(first, last) for first, last in backend.encode(text, add_special_tokens=False).offsets]
    return [any(character >= start for character in held) for held in characters]


@ANY_KIND
@RELAXED
@given(question=WITHOUT_CONTROL, answer=WITHOUT_CONTROL)
def test_ids_are_the_tokenizers_own_and_the_mask_is_brute_force(tokenizers_by_kind, kind, question, answer):
    tokenizer = tokenizers_by_kind[kind]
    (row,) = Encoder(tokenizer, PromptConfig(max_length=4096)).encode([sample(question, answer)])
    front = [tokenizer.bos_token_id] if kind in ("adds_eos", "prepend", "first") else []
    prompt = prompt_of(question)
    assert row.ids == [*front, *plain_ids(tokenizer, prompt + answer), tokenizer.eos_token_id]
    expected = brute_mask(tokenizer, prompt + answer, len(prompt))
    assert row.mask.tolist() == [False] * len(front) + expected + [True]
    assert row.ids.count(tokenizer.eos_token_id) == 1
    assert row.refused is None and row.n_full == len(row.ids)


@ANY_KIND
@pytest.mark.parametrize("template", ["alpaca", "chat"])
def test_tokens_that_an_answer_may_name_are_those_that_do_not_frame_turns(tokenizers_by_kind, kind, template):
    tokenizer = with_chat(tokenizers_by_kind[kind])
    tokenizer.add_tokens([AddedToken("<think>", special=True, normalized=False), AddedToken("<TAG>", normalized=False)])
    named = "<think>a</s>b<|im_end|>c<TAG>"
    (row,) = Encoder(tokenizer, PromptConfig(template=template)).encode([sample(f"{named}?", named)])
    trained = [token for token, is_on in zip(row.ids, row.mask.tolist(), strict=True) if is_on]
    ids = {text: tokenizer.convert_tokens_to_ids(text) for text in ("<think>", "<TAG>", "</s>", "<|im_end|>")}
    assert [trained.count(ids[text]) for text in ("<think>", "<TAG>")] == [1, 1]
    assert row.ids.count(ids["<think>"]) == 1  # in the prompt it is text
    assert trained.count(ids["</s>"]) + trained.count(ids["<|im_end|>"]) == 1 and trained[-1] in (ids["</s>"], ids["<|im_end|>"])
    assert tokenizer.decode(trained[:-1]).replace(" ", "") == named


@pytest.mark.parametrize("template", ["alpaca", "chat"])
def test_tokens_that_take_in_blanks_are_trained_where_their_own_text_stands(tokenizers_by_kind, template):
    tokenizer = with_chat(tokenizers_by_kind["plain"], CHATML.replace("<|im_start|>", "<B>").replace("<|im_end|>", "<E>"))
    greedy = {"special": True, "normalized": False, "lstrip": True, "rstrip": True}
    tokenizer.add_tokens([AddedToken(token, **greedy) for token in ("<B>", "<E>", "<I>")])
    (row,) = Encoder(tokenizer, PromptConfig(template=template)).encode([sample("Hi", " hello <I> cat ")])
    trained = tokenizer.convert_ids_to_tokens([token for token, on in zip(row.ids, row.mask.tolist(), strict=True) if on])
    assert trained[-1] == ("<E>" if template == "chat" else "</s>") and trained.count("<I>") == 1 and "<B>" not in trained


@RELAXED
@given(question=TEXTS, answer=TEXTS)
@example(question="", answer="\x1b\n\x1b")
def test_dropped_characters_do_not_shift_the_mask(tinystories, question, answer):
    (row,) = Encoder(tinystories, PromptConfig(max_length=4096)).encode([sample(question, answer)])
    kept = "".join(c for c in answer if c in tinystories.get_vocab())
    if answer.strip() and not kept.strip():
        assert row.refused == "the tokenizer has no token for any character of the response"
        return
    ids = tinystories(prompt_of(question) + answer, split_special_tokens=True)["input_ids"]
    assert row.ids == [*ids, tinystories.eos_token_id]
    # The tokens, written one behind the other, are the text less what is dropped; so they say themselves what they hold.
    alphabet = {token for token in tinystories.get_vocab() if len(token) == 1}
    prompt = [c for c in prompt_of(question).replace(" ", "▁") if c in alphabet]
    held = "".join(tinystories.convert_ids_to_tokens(row.ids[1:-1]))
    assert held.removeprefix("▁").startswith("".join(prompt).removeprefix("▁"))
    ends = list(itertools.accumulate(len(token) for token in tinystories.convert_ids_to_tokens(row.ids[1:-1])))
    n_front = len(held) - sum(c in alphabet for c in (prompt_of(question) + answer).replace(" ", "▁"))
    assert row.mask.tolist() == [False, *(end > len(prompt) + n_front for end in ends), True]


@ANY_KIND
@pytest.mark.parametrize("template", ["alpaca", "chat"])
def test_a_batch_is_its_rows_one_at_a_time(tokenizers_by_kind, kind, template):
    encoder = Encoder(with_chat(tokenizers_by_kind[kind]), PromptConfig(template=template))
    samples = [
        sample("Hi", "there"),
        dialogue("a", "b", "c", "<|im_end|>d"),
        sample("\ud800", "x"),
        sample("q", "a", False),
        sample("", ""),
    ]
    assert encoder.encode(samples) == [encoder.encode([one])[0] for one in samples]
    assert encoder.encode([]) == []


@pytest.mark.parametrize("kind", ["plain", "first"])
@pytest.mark.parametrize("template", ["alpaca", "chat"])
def test_cut_at_every_length(tokenizers_by_kind, kind, template):
    tokenizer = with_chat(tokenizers_by_kind[kind])
    one = dialogue("Say hello.", "hello 😀", "Again, please.", "hello")
    (whole,) = Encoder(tokenizer, PromptConfig(template=template, max_length=4096)).encode([one])
    for max_length in range(8, len(whole.ids) + 3):
        (row,) = Encoder(tokenizer, PromptConfig(template=template, max_length=max_length)).encode([one])
        assert row.ids == whole.ids[:max_length]
        assert row.mask.tolist() == whole.mask.tolist()[:max_length]
        assert row.n_full == len(whole.ids)
        assert sum(end - start for start, end in row.spans) == row.mask.sum()


@ANY_KIND
def test_dialogue_has_eos_as_an_id_behind_every_answer(tokenizers_by_kind, kind):
    tokenizer = tokenizers_by_kind[kind]
    turns = (
        *sample("One", "</s>a cat").turns,
        *sample("Two", "hello", is_trained=False).turns,
        *sample("Three", "the mat").turns,
    )
    (row,) = Encoder(tokenizer, PromptConfig()).encode([Sample(turns)])
    where = [number for number, value in enumerate(row.ids) if value == tokenizer.eos_token_id]
    assert len(where) == 3 and where[-1] == len(row.ids) - 1
    assert [bool(row.mask[number]) for number in where] == [True, False, True]
    trained = [tokenizer.decode(row.ids[start:end]).strip() for start, end in row.spans if end - start > 1]
    assert trained == ["</s>a cat", "the mat"]
    assert tokenizer.decode(row.ids[where[0] + 1 : where[1]]) == "\n\n### Instruction:\nTwo\n\n### Response:hello"


@ANY_KIND
def test_chat_template_writes_bos_itself(tokenizers_by_kind, kind):
    for template, n_bos in ((CHATML, 0), ("{{ bos_token }}" + CHATML, 1)):
        tokenizer = with_chat(tokenizers_by_kind[kind], template)
        (row,) = Encoder(tokenizer, PromptConfig(template="chat")).encode([sample("Hi", "hello")])
        rendered = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "hello"}], return_dict=False
        )
        assert row.ids == rendered
        assert row.ids.count(tokenizer.bos_token_id) == n_bos
        trained = [value for value, is_trained in zip(row.ids, row.mask, strict=True) if is_trained]
        assert tokenizer.decode(trained).strip() == "hello<|im_end|>"


@ANY_KIND
@RELAXED
@given(question=TEXTS, answer=TEXTS)
def test_control_tokens_of_a_chat_are_the_templates_alone(tokenizers_by_kind, kind, question, answer):
    tokenizer = with_chat(tokenizers_by_kind[kind])
    (row,) = Encoder(tokenizer, PromptConfig(template="chat", max_length=4096)).encode([sample(question, answer)])
    start, end = (tokenizer.convert_tokens_to_ids(token) for token in ("<|im_start|>", "<|im_end|>"))
    assert [value for value in row.ids if value in (start, end, 0, tokenizer.eos_token_id)] == [start, end, start, end]
    if kind in ("plain", "trims", "adds_eos"):
        text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
        assert tokenizer.decode(row.ids) == text
        trained = [value for value, is_trained in zip(row.ids, row.mask, strict=True) if is_trained]
        assert tokenizer.decode(trained).endswith(f"{answer}<|im_end|>")


@ANY_KIND
@pytest.mark.parametrize("template", ["alpaca", "chat"])
def test_generation_prompt_is_the_beginning_of_the_training_ids(tokenizers_by_kind, kind, template):
    encoder = Encoder(with_chat(tokenizers_by_kind[kind]), PromptConfig(template=template))
    for one in (sample("Say hello.", "hello"), dialogue("a </s>", "b", "c", "d"), sample("中文", "😀")):
        (row,) = encoder.encode([one])
        prompt = encoder.encode_prompt(one)
        start = [start for start, end in row.spans][-2 if template == "alpaca" else -1]
        assert prompt == row.ids[: len(prompt)] and len(prompt) == start
        assert encoder.encode_prompt(Sample(one.turns[:-1])) == prompt


def test_half_a_surrogate_pair_is_refused(tokenizers_by_kind):
    rows = Encoder(tokenizers_by_kind["plain"], PromptConfig()).encode(
        [sample("a", "b"), sample("a", "\udc00"), sample("c", "d")]
    )
    assert [row.refused is None for row in rows] == [True, False, True]
    assert "half a surrogate pair" in rows[1].refused
    assert rows[1].ids == [] and rows[1].mask.tolist() == [] and rows[1].n_full == 0


def test_a_response_without_any_character_that_the_tokenizer_knows_is_refused(tinystories):
    rows = Encoder(tinystories, PromptConfig()).encode(
        [sample("東京", "yes"), sample("What?", "東京"), sample("What?", "東 京\n"), sample("What?", "東京 a")]
    )
    assert [row.refused for row in rows] == [None, *["the tokenizer has no token for any character of the response"] * 2, None]
    assert rows[1].ids == []


def test_tokenizer_without_eos_is_refused(tokenizers_by_kind):
    tokenizer = type(tokenizers_by_kind["plain"])(tokenizer_object=tokenizers_by_kind["plain"].backend_tokenizer)
    with pytest.raises(PromptError, match="has no EOS token, so a model could not learn to stop"):
        Encoder(tokenizer, PromptConfig())


def test_the_tokenizer_is_not_changed(tokenizers_by_kind):
    tokenizer = tokenizers_by_kind["adds_eos"]
    tokenizer.backend_tokenizer.enable_truncation(5)
    before = tokenizer.backend_tokenizer.to_str(), tokenizer.backend_tokenizer.encode_special_tokens
    (row,) = Encoder(tokenizer, PromptConfig()).encode([sample("Say </s>hello.", "hello")])
    assert (tokenizer.backend_tokenizer.to_str(), tokenizer.backend_tokenizer.encode_special_tokens) == before
    assert row.n_full > 20
    tokenizer.backend_tokenizer.no_truncation()


def test_tags_that_the_tokenizer_cannot_represent_are_named(tinystories):
    (row,) = Encoder(tinystories, PromptConfig(template="alpaca")).encode([sample("Hi", "<think>one</think>two")])
    assert row.refused == "the tokenizer cannot represent '</think>': it would read '<think>'"
    tokenizer = type(tinystories)(tokenizer_object=Tokenizer.from_str(tinystories.backend_tokenizer.to_str()), eos_token="</s>")
    tokenizer.chat_template = CHATML.replace("<|im_end|>", "</think>")
    with pytest.raises(PromptError, match="cannot represent '</think>', which its chat template writes"):
        Encoder(tokenizer, PromptConfig(template="chat"))
