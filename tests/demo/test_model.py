import shutil
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from diverseevol.demo.model import lines, made_model, make_tokenizer, packed_batches
from diverseevol.demo.pool import SKILLS, make_pool


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    return made_model(tmp_path_factory.mktemp("made") / "model", n_steps=12)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def loss_on_new_text(folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("\n".join(islice(lines(123), 40)), return_tensors="pt")["input_ids"][:, :512]
    with torch.no_grad():
        return model(input_ids=ids, labels=ids).loss.item()


def test_pretraining_teaches_and_its_folder_loads_like_any_model(model_dir, tmp_path):
    assert loss_on_new_text(model_dir) < loss_on_new_text(made_model(tmp_path / "random")) - 0.5
    assert AutoModelForCausalLM.from_pretrained(model_dir).dtype == torch.float32
    loaded, made = AutoTokenizer.from_pretrained(model_dir), make_tokenizer(512)
    text = "In Spanish dog is perro. naïve"
    assert loaded(text)["input_ids"] == made(text)["input_ids"]
    assert (loaded.eos_token, loaded.pad_token, loaded.chat_template) == (made.eos_token, made.pad_token, made.chat_template)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone(tmp_path, model_dir):
    torch.manual_seed(77)
    before = torch.get_rng_state()
    again = load_file(made_model(tmp_path / "again", n_steps=12) / "model.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(weights, again[name]) for name, weights in load_file(model_dir / "model.safetensors").items())
    zero, one = (load_file(made_model(tmp_path / f"{seed}", seed=seed) / "model.safetensors") for seed in (0, 1))
    assert not any(torch.equal(zero[name], one[name]) for name in zero if "embed" in name)


def test_an_interrupted_making_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("transformers.PreTrainedTokenizerFast.save_pretrained", stop)
    with pytest.raises(KeyboardInterrupt):
        made_model(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("width", "layers"), [(32, 1), (48, 3)])
def test_made_models_have_the_asked_for_shape(tmp_path, width, layers):
    folder = made_model(tmp_path / "made", hidden_size=width, num_layers=layers, vocab_size=400, max_positions=256)
    shutil.copytree(folder, tmp_path / "moved")
    config = AutoModelForCausalLM.from_pretrained(tmp_path / "moved").config
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size, config.max_position_embeddings) == (
        width, layers, 400, 256,
    )  # fmt: skip
    assert len(AutoTokenizer.from_pretrained(tmp_path / "moved")) == 400


def test_packed_batches_are_the_text_in_order(tokenizer):
    batches = packed_batches(tokenizer, seed=3)
    text = tokenizer.decode(torch.cat([next(batches).flatten() for _ in range(2)]).tolist())
    assert "".join(f"<s>{line}</s>" for line in islice(lines(3), 500)).startswith(text)


def test_any_text_comes_back_unchanged_and_the_worlds_words_are_short(tokenizer):
    asked = [record["instruction"] for record in make_pool(500)]
    for text in ["", "a  b\n\tc ", "naïve 東京 😀", 'He said: "3 + 4 = 7."', "do n't , he 's", *asked]:
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert sum(len(tokenizer(text)["input_ids"]) for text in asked) < 2.2 * sum(len(text.split()) for text in asked)
    assert len(tokenizer("### Instruction:")["input_ids"]) <= 6


def test_special_tokens(tokenizer):
    assert (len(tokenizer), len(make_tokenizer(300))) == (1024, 300)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1, 2)
    assert tokenizer("sun")["input_ids"][0] == 0
    assert 0 not in tokenizer("sun", add_special_tokens=False)["input_ids"]


def test_chat_template_marks_exactly_what_the_assistant_says(tokenizer):
    said = ("user", "Hello."), ("assistant", "Noted."), ("user", "Where is the dog?"), ("assistant", "At the river.")
    chat = [{"role": role, "content": content} for role, content in said]
    made = tokenizer.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    marked = [token for token, is_marked in zip(made["input_ids"], made["assistant_masks"], strict=True) if is_marked]
    assert tokenizer.decode(marked) == "Noted.</s>At the river.</s>"
    question = tokenizer.apply_chat_template(chat[:-1], tokenize=False, add_generation_prompt=True)
    assert tokenizer.apply_chat_template(chat, tokenize=False).startswith(question + "At the river.</s>")


def test_the_text_is_plain_and_speaks_of_every_skill_a_third_of_it_between_two_people():
    text = list(islice(lines(1), 3000))
    talks = [line for line in text if " asked " in line]
    assert 0.28 < len(talks) / len(text) < 0.39
    for line in talks:
        asks, replies = line.split(" asked ")[0], line.split(" asked ")[1].split(":")[0]
        assert asks != replies
        assert f'" {replies} told {asks}: "' in line
    whole = "\n".join(text)
    assert "###" not in whole and "{" not in whole
    assert all(skill.statement.split("{")[0] in whole for skill in SKILLS)
    assert text != list(islice(lines(2), 3000))
