import gc
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from diverseevol.base.progress import SILENT, LineWatch
from diverseevol.config import load_config
from diverseevol.errors import ModelError
from diverseevol.models import train
from diverseevol.models.load import load_model, load_tokenizer
from diverseevol.models.train import StepSampler
from diverseevol.models.train_arguments import sft_config


class FakeTokens:
    """Rows of random ids; the first four tokens of each are masked."""

    def __init__(self, n=20):
        self.rows = [np.random.default_rng(row).integers(5, 300, 10 + row) for row in range(n)]
        self.n_tokens = np.array([len(row) for row in self.rows])

    def ids(self, row):
        return self.rows[row]

    def mask(self, row):
        return np.arange(len(self.rows[row])) >= 4


def train_config(*words):
    words = ("train.learning_rate=1e-3", "train.total_batch_size=8", "train.per_device_train_batch_size=4", *words)
    return load_config(None, words, options={"pool.path": "p", "model": "m", "out": "o"}).train


def fit(tmp_path, made_model, *words, rows=range(20), name="a", seed=3, watch=SILENT):
    tokens = FakeTokens()
    folder = tmp_path / name
    return train.fit(
        str(made_model),
        list(rows),
        tokens,
        load_tokenizer(str(made_model)),
        train_config(*words),
        folder / "model",
        folder / "checkpoints",
        seed,
        watch,
    )


def weights(model):
    """Of a model, or of the one that was saved below a folder."""
    model = (
        load_model(str(model / "model" if (model / "model").is_dir() else model / "a/model"))
        if isinstance(model, Path)
        else model
    )
    return {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(value.cpu(), other[name].cpu()) for name, value in one.items())


def plain_training(made_model, seed, epochs=3, step=8):
    """The definition: AdamW over seeded steps, mean loss over a step's trained tokens, cosine with 3 % warm-up."""
    from torch.nn.functional import cross_entropy
    from transformers import get_cosine_schedule_with_warmup

    model = AutoModelForCausalLM.from_pretrained(made_model, dtype=torch.float32)
    tokens, sampler = FakeTokens(), StepSampler(20, step, step, seed)
    n_steps = epochs * 3
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    schedule = get_cosine_schedule_with_warmup(optimizer, int(np.ceil(0.03 * n_steps)), n_steps)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        order = [row for row in sampler if row < 20]
        for start in range(0, 20, step):
            total, n = 0.0, 0
            for row in order[start : start + step]:
                ids = torch.tensor(tokens.ids(row))[None]
                losses = cross_entropy(model(input_ids=ids).logits[0, :-1], ids[0, 1:], reduction="none")
                kept = torch.tensor(tokens.mask(row))[1:]
                total, n = total + losses[kept].sum(), n + int(kept.sum())
            (total / n).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return model


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU trains in bfloat16, the definition here in float32")
def test_training_equals_its_definition(tmp_path, made_model):
    cost = fit(tmp_path, made_model)
    expected = plain_training(made_model, seed=3).state_dict()
    for name, value in weights(tmp_path).items():
        assert torch.allclose(value, expected[name], atol=2e-5), name
    assert cost.extra["steps"] == 9 and cost.extra["loss_first"] > cost.extra["loss_last"]
    assert cost.tokens == 3 * FakeTokens().n_tokens.sum()


METHODS = {
    "full": ("train.method=full",),
    "lora": ("train.method=lora", "train.lora={r: 4, target_modules: all-linear}"),
    "4 bits": ("train.method=qlora",),
}


@pytest.mark.parametrize("words", METHODS.values(), ids=METHODS)
def test_what_is_saved_is_what_was_trained(words, tmp_path, made_model, monkeypatch):
    if "qlora" in words[0]:
        pytest.importorskip("bitsandbytes", reason="needs the extra qlora")
    trained = {}
    save = train._save

    def watched(trainer, *arguments):
        trained.update(weights(trainer.model))
        save(trainer, *arguments)

    monkeypatch.setattr(train, "_save", watched)
    fit(tmp_path, made_model, *words)
    assert same(trained, weights(tmp_path))
    assert "training_args.bin" not in {file.name for file in (tmp_path / "a" / "model").iterdir()}


@pytest.mark.parametrize(("bits", "dtype"), [("load_in_4bit", torch.uint8), ("load_in_8bit", torch.int8)])
def test_a_base_that_is_quantised_by_itself_stays_so(bits, dtype, tmp_path, made_model):
    pytest.importorskip("bitsandbytes", reason="needs the extra qlora")
    quantised = load_model(str(made_model), quantization_config={bits: True})
    quantised.save_pretrained(tmp_path / "base")
    load_tokenizer(str(made_model)).save_pretrained(tmp_path / "base")
    fit(tmp_path, tmp_path / "base", "train.method=lora")
    assert any(weight.dtype == dtype for weight in weights(tmp_path).values())


def test_tuning_leaves_no_model_in_memory(tmp_path, made_model):
    def n_layers():
        gc.collect()
        return sum(issubclass(type(item), torch.nn.Linear) for item in gc.get_objects())

    before = n_layers()  # of other tests in this process
    fit(tmp_path, made_model)
    assert n_layers() <= before


def test_a_killed_training_ends_like_one_left_alone(tmp_path, made_model, monkeypatch):
    fit(tmp_path, made_model, "train.checkpoint_minutes=0")

    class Killed(BaseException):
        pass

    def kill(self, args, state, control, **_):
        if state.global_step == 4:  # its checkpoint is written
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(train._Callback, "on_step_begin", kill)
        with pytest.raises(Killed):
            fit(tmp_path, made_model, "train.checkpoint_minutes=0", name="b")
    last = train.last_checkpoint(tmp_path / "b" / "checkpoints")
    assert last and last.endswith("checkpoint-4")
    (tmp_path / "b" / "checkpoints" / "checkpoint-7").mkdir()  # a checkpoint that was being written
    assert train.last_checkpoint(tmp_path / "b" / "checkpoints") == last
    fit(tmp_path, made_model, "train.checkpoint_minutes=0", name="b")
    assert same(weights(tmp_path / "b"), weights(tmp_path / "a"))


def test_a_tuning_of_a_few_steps_says_so(tmp_path, made_model):
    said = []
    fit(tmp_path, made_model, "train.num_train_epochs=2", rows=range(16), watch=LineWatch(said.append, 1e9))  # 2 × 16 / 8
    (line,) = [text for text in said if text.startswith("tuned")]  # a busy machine also says how far it is
    assert line == (
        "tuned in 4 steps, which hardly move a model. Lower train.total_batch_size (now 8), "
        "or raise train.num_train_epochs, n_init or n_new."
    )
    fit(tmp_path, made_model, "train.num_train_epochs=3", rows=range(16), name="b", watch=LineWatch(said.append, 1e9))
    assert [text for text in said if text.startswith("tuned")] == [line]


def test_a_loss_that_is_not_finite_is_an_error(tmp_path, made_model):
    with pytest.raises(ModelError, match="training loss is not finite"):
        fit(tmp_path, made_model, "train.learning_rate=1e30", "train.max_grad_norm=0", "train.num_train_epochs=6")


def test_keys_pass_through_and_accumulation_follows_the_batch(tmp_path):
    args = sft_config(train_config("train.adam_beta2=0.95", "train.weight_decay=0.1"), tmp_path, 5)
    assert (args.adam_beta2, args.weight_decay, args.seed, args.gradient_accumulation_steps) == (0.95, 0.1, 5, 2)
    args = sft_config(train_config("train.gradient_accumulation_steps=7"), tmp_path, 5)
    assert args.gradient_accumulation_steps == 7


def test_the_watch_sees_steps_and_losses_of_this_process_alone(tmp_path):
    said = []
    task = SimpleNamespace(total=None, skip=lambda n: said.append(("skip", n)), advance=lambda n=1: said.append(n))
    config = train_config()
    callback = train._Callback(sft_config(config, tmp_path, 5), config, task, lambda logs, step: said.append((logs, step)))
    state = SimpleNamespace(max_steps=9, global_step=4, is_world_process_zero=True)
    callback.on_train_begin(None, state, None)
    callback.on_step_end(None, state, SimpleNamespace(should_save=False))
    callback.on_log(None, state, None, logs={"loss": 1.25})
    assert (task.total, task.about) == (9, "loss 1.2500")
    assert said == [("skip", 4), 1, ({"loss": 1.25}, 4)]


@pytest.mark.parametrize("n_rows", [1, 16, 17, 100])
@pytest.mark.parametrize("width", [4, 6, 16, 20])
def test_every_step_holds_the_same_rows_for_any_width(n_rows, width):
    step = 16
    capacity = -(-step // width) * width
    reference = StepSampler(n_rows, step, step, seed=3)
    sampler = StepSampler(n_rows, step, width, seed=3)
    for epoch in range(2):
        reference.set_epoch(epoch)
        sampler.set_epoch(epoch)
        order, expected = list(sampler), [row for row in reference if row != n_rows]
        assert len(order) == len(sampler)
        assert len(order) % width == 0
        for index in range(-(-n_rows // step)):
            got = [row for row in order[index * capacity : (index + 1) * capacity] if row != n_rows]
            assert got == expected[index * step : (index + 1) * step]
        assert Counter(row for row in order if row != n_rows) == Counter(range(n_rows))


def test_epochs_and_seeds_differ_and_repeat():
    def order(seed, epoch):
        sampler = StepSampler(50, 10, 10, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) != order(1, 1)
    assert order(0, 0) != sorted(order(0, 0))
