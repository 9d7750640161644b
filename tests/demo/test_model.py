import contextlib
from itertools import islice

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from diverseevol.demo import model as model_module
from diverseevol.demo.model import made_model, tiny_model
from diverseevol.demo.prose import lines

FEW = 12


class CountingWatch:
    def __init__(self):
        self.tasks = []

    @contextlib.contextmanager
    def task(self, name, total, unit):
        self.tasks.append([total, 0])
        yield self

    def advance(self, n=1):
        self.tasks[-1][1] += n

    def note(self, text):
        pass


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model_dir(cache_dir):
    return tiny_model(cache_dir, n_steps=FEW)


def loss_on_new_text(folder):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("\n".join(islice(lines(123), 40)), return_tensors="pt")["input_ids"][:, :512]
    with torch.no_grad():
        return model(input_ids=ids, labels=ids).loss.item()


def test_loads_like_any_model_and_has_learnt(model_dir, tmp_path):
    untrained = tiny_model(tmp_path, n_steps=0)
    assert loss_on_new_text(model_dir) < loss_on_new_text(untrained) - 0.5
    assert AutoModelForCausalLM.from_pretrained(model_dir).dtype == torch.float32


def test_the_tokenizer_survives_the_folder(model_dir):
    loaded, made = AutoTokenizer.from_pretrained(model_dir), model_module.make_tokenizer(model_module.VOCAB_SIZE)
    text = "In Spanish dog is perro. naïve"
    assert loaded(text)["input_ids"] == made(text)["input_ids"]
    assert (loaded.eos_token, loaded.pad_token, loaded.chat_template) == (made.eos_token, made.pad_token, made.chat_template)


def test_a_second_call_takes_the_cached_folder(cache_dir, model_dir):
    before = (model_dir / "model.safetensors").stat().st_mtime_ns
    watch = CountingWatch()
    assert tiny_model(cache_dir, n_steps=FEW, watch=watch) == model_dir
    assert (model_dir / "model.safetensors").stat().st_mtime_ns == before
    assert watch.tasks == []


def test_seed_steps_and_version_have_folders_of_their_own(cache_dir, model_dir, monkeypatch):
    watch = CountingWatch()
    made = {model_dir, tiny_model(cache_dir, n_steps=1, watch=watch), tiny_model(cache_dir, seed=1, n_steps=1, watch=watch)}
    monkeypatch.setattr(model_module, "VERSION", -1)
    made.add(tiny_model(cache_dir, n_steps=1, watch=watch))
    assert len(made) == 4
    assert watch.tasks == [[1, 1]] * 3


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone(tmp_path, model_dir):
    torch.manual_seed(77)
    before = torch.get_rng_state()
    again = tiny_model(tmp_path, n_steps=FEW)
    assert torch.equal(torch.get_rng_state(), before)
    ours, theirs = load_file(model_dir / "model.safetensors"), load_file(again / "model.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    other = load_file(tiny_model(tmp_path, seed=1, n_steps=0) / "model.safetensors")
    assert not torch.equal(
        other["model.embed_tokens.weight"],
        load_file(tiny_model(tmp_path, n_steps=0) / "model.safetensors")["model.embed_tokens.weight"],
    )


def test_an_interrupted_making_leaves_nothing_that_looks_finished(tmp_path, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("transformers.PreTrainedTokenizerFast.save_pretrained", stop)
        tiny_model(tmp_path, n_steps=0)
    assert list(tmp_path.iterdir()) == []
    assert (tiny_model(tmp_path, n_steps=0) / "tokenizer.json").is_file()


def test_packed_batches_are_the_text_in_order():
    tokenizer = model_module.make_tokenizer()
    batches = model_module._batches(tokenizer, seed=3)
    ids = torch.cat([next(batches).flatten() for _ in range(2)]).tolist()
    text = tokenizer.decode(ids)
    expected = "".join(f"<s>{line}</s>" for line in islice(lines(3), 500))
    assert expected.startswith(text)


@pytest.mark.parametrize(("width", "layers"), [(32, 1), (64, 2), (48, 3)])
def test_made_models_have_the_asked_for_shape(tmp_path, width, layers):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    folder = made_model(tmp_path / "made", hidden_size=width, num_layers=layers, vocab_size=400, max_positions=256, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = model.config
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size, config.max_position_embeddings) == (
        width,
        layers,
        400,
        256,
    )
    assert len(AutoTokenizer.from_pretrained(folder)) == 400
    with torch.no_grad():
        hidden = model.model(torch.tensor([[0, 5, 6]])).last_hidden_state
    assert hidden.shape == (1, 3, width)
