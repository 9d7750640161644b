import pytest

from diverseevol.demo.pool import make_pool
from diverseevol.demo.tokenizer import make_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def test_any_text_comes_back_unchanged(tokenizer):
    texts = ["", "a  b\n\tc ", "naïve 東京 😀", 'He said: "3 + 4 = 7."', *(record["instruction"] for record in make_pool(200))]
    for text in texts:
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text


def test_special_tokens(tokenizer):
    assert len(tokenizer) == 1024
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, 2)
    assert tokenizer("sun")["input_ids"][0] == 0
    assert 0 not in tokenizer("sun", add_special_tokens=False)["input_ids"]


def test_the_worlds_words_are_short(tokenizer):
    rows = make_pool(500)
    n_tokens = sum(len(tokenizer(row["instruction"])["input_ids"]) for row in rows)
    assert n_tokens < 2.2 * sum(len(row["instruction"].split()) for row in rows)


def test_the_same_seed_gives_the_same_tokenizer(tokenizer):
    assert make_tokenizer().get_vocab() == tokenizer.get_vocab()
    assert len(make_tokenizer(300)) == 300


def test_chat_template_marks_exactly_what_the_assistant_says(tokenizer):
    chat = [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": "Noted."},
        {"role": "user", "content": "Where is the dog?"},
        {"role": "assistant", "content": "At the river."},
    ]
    made = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    marked = [token for token, is_marked in zip(made["input_ids"], made["assistant_masks"], strict=True) if is_marked]
    assert tokenizer.decode(marked) == "Noted.</s>At the river.</s>"
    question = tokenizer.apply_chat_template(chat[:-1], tokenize=False, add_generation_prompt=True)
    assert tokenizer.apply_chat_template(chat, tokenize=False).startswith(question + "At the river.</s>")
