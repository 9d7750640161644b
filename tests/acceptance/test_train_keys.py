"""Keys of `train:` and models: each works, or is refused by its name before a step is trained."""

import json
import shutil

import pytest
import yaml
from outside import QUICK, must, read_jsonl, refused, run_cli


@pytest.fixture
def tune(model, pool, tmp_path):
    """Round 0 on eight rows with further words; returns how it ended."""

    def run(*words, base=model):
        options = ("--pool", pool, "--model", base, "--out", tmp_path / "run", "--rounds", 0, "--n-init", 8)
        return run_cli("run", *options, *QUICK, *words)

    return run


def test_packing_trains_on_rows_of_the_prompts_length(tune, tmp_path):
    must(tune("train.packing=true", "train.total_batch_size=1", "train.per_device_train_batch_size=1"))
    metrics = json.loads((tmp_path / "run/rounds/00/metrics.json").read_text())
    assert metrics["stages"]["train"]["steps"] < 8
    assert list((tmp_path / "run/rounds/00/model").glob("*.safetensors"))


LORA = ("train.method=lora", "train.lora.target_modules=all-linear")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        # what the run does itself, or what would do nothing here
        ("train.assistant_only_loss", ["train.assistant_only_loss=true"]),
        ("train.completion_only_loss", ["train.completion_only_loss=false"]),
        ("train.eval_on_start", ["train.eval_on_start=true"]),
        ("train.per_device_eval_batch_size", ["train.per_device_eval_batch_size=2"]),
        ("train.hub_model_id", ["train.hub_model_id=me/mine"]),
        ("train.chat_template_path", ["train.chat_template_path=none.jinja"]),
        ("train.save_only_model", ["train.save_only_model=true"]),
        ("train.model_init_kwargs.trust_remote_code", ["train.model_init_kwargs={trust_remote_code: true}"]),
        # what a library refuses while it is configured
        ("train.lr_scheduler_type", ["train.lr_scheduler_type=cosin", "train.neftune_noise_alpha=1.0"]),
        ("train.optim", ["train.optim=schedule_free_adamw", "train.neftune_noise_alpha=1.0"]),
        ("train.lora.layers_to_transform", [*LORA, "train.lora.layers_to_transform=[0]"]),
        # what it refuses on the model, or at the first step
        ("train.torch_compile_backend", ["train.torch_compile_backend=none_such", "train.neftune_noise_alpha=1.0"]),
        ("train.lr_scheduler_kwargs", ["train.lr_scheduler_kwargs={foo: 2}", "train.neftune_noise_alpha=1.0"]),
        ("train.adam_beta1", ["train.adam_beta1=2"]),
        ("train.lora.bias", [*LORA, "train.lora.bias=nonsense"]),
        ("train.lora.trainable_token_indices", [*LORA, "train.lora.trainable_token_indices=[99999]"]),
        # adapters that are not the tuned model
        ("train.lora.init_lora_weights", [*LORA, "train.lora.init_lora_weights=pissa"]),
        ("train.lora.init_lora_weights", [*LORA, "train.lora.init_lora_weights=eva"]),
        ("train.lora.inference_mode", [*LORA, "train.lora.inference_mode=true"]),
    ],
)
def test_a_key_that_cannot_work_is_named_before_a_step_is_trained(tune, tmp_path, key, words):
    error = refused(tune(*words), key)
    assert "neftune_noise_alpha" not in error.err  # only the key at fault is named
    assert not list(tmp_path.glob("run/rounds/00/model*"))


def test_keys_that_say_what_holds_anyway_are_let_pass(tune):
    must(
        tune(
            "train.save_strategy='no'",
            "train.eval_strategy='no'",
            "train.push_to_hub=false",
            "train.load_best_model_at_end=false",
        )
    )


def _with_generation(model, folder, values):
    shutil.copytree(model, folder)
    file = folder / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))
    return folder


@pytest.mark.parametrize("values", [{"temperature": 0.9, "top_p": 0.6}, {"length_penalty": 0.5, "output_scores": True}])
def test_a_generation_config_that_is_only_read_with_a_warning_is_saved(tune, model, tmp_path, values):
    must(tune(base=_with_generation(model, tmp_path / "base", values)))
    saved = json.loads((tmp_path / "run/rounds/00/model/generation_config.json").read_text())
    if "temperature" in values:
        assert saved["do_sample"] is True and values.items() <= saved.items()
    assert saved["eos_token_id"]


def test_a_generation_config_that_cannot_be_saved_is_found_before_a_step_is_trained(tune, model, tmp_path):
    base = _with_generation(model, tmp_path / "base", {"num_return_sequences": 3})
    refused(tune(base=base), "num_return_sequences")


TOKENIZER = """
from transformers import PreTrainedTokenizer

class CharTokenizer(PreTrainedTokenizer):
    def __init__(self, **kwargs):
        self.words = ["<e>", *map(chr, range(32, 127))]
        super().__init__(**{"eos_token": "<e>", "unk_token": "<e>", **kwargs})

    vocab_size = property(lambda self: len(self.words))
    get_vocab = lambda self: {word: index for index, word in enumerate(self.words)}
    _tokenize = lambda self, text: list(text)
    _convert_token_to_id = lambda self, token: self.get_vocab().get(token, 0)
    _convert_id_to_token = lambda self, index: self.words[index]
"""


@pytest.mark.parametrize(
    ("files", "part"),
    [
        ({"tokenizer_config.json": '{"tokenizer_class": "LlamaTokenizer"}', "tokenizer.model": "no model"}, "tokenizer.json"),
        ({"tokenizer_config.json": '{"tokenizer_class": "ByT5Tokenizer"}'}, "ByT5Tokenizer"),
        (
            {
                "tokenizer_config.json": '{"auto_map": {"AutoTokenizer": ["tokens.CharTokenizer", null]}}',
                "tokens.py": TOKENIZER,
            },
            "CharTokenizer",
        ),
    ],
    ids=["sentencepiece-only", "bytes", "own-python"],
)
def test_a_tokenizer_without_a_fast_version_is_refused(tune, model, tmp_path, files, part):
    base = tmp_path / "base"
    shutil.copytree(model, base, ignore=shutil.ignore_patterns("tokenizer*", "chat_template*"))
    for name, text in files.items():
        (base / name).write_text(text)
    refused(tune("trust_remote_code=true", base=base), part)


def test_a_run_goes_on_from_its_own_config(model, pool, tmp_path):
    out = tmp_path / "run"
    common = ("--out", out, "--preset", "modern")
    must(run_cli("run", "--pool", pool, "--model", model, *common, "--rounds", 0, "--n-init", 8, *QUICK))
    saved = out / "config.yaml"
    for words in (common, ("--out", out)):  # the same command, and without its preset
        must(run_cli("run", saved, *words))
    assert "weight_decay" not in yaml.safe_load(saved.read_text())["train"]
    must(run_cli("run", saved, *common, "--rounds", 1, "--n-new", 2))
    assert len(read_jsonl(out / "rounds/01/chosen.jsonl")) == 2
    refused(run_cli("run", saved, *common, "seed=7"), "seed")
