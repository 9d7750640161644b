"""Bad configurations as people write them: each message names the key, the value found and what would be right."""

import pytest

from diverseevol.config import load_config
from diverseevol.errors import ConfigError

BASE = {"pool.path": "pool.jsonl", "model": "m", "out": "o"}
KNOWN = "Known here: pool, model, out, seed"

BAD = {
    # misspelt, or in the wrong place
    "modle=x": f"unknown key modle. Did you mean 'model'? {KNOWN}",
    "round=3": "unknown key round. Did you mean 'rounds'?",
    "learning_rate=1e-4": f"unknown key learning_rate. Did you mean train.learning_rate? {KNOWN}",
    "strategy=random": "unknown key strategy. Did you mean selection.strategy?",
    "max_length=100": "unknown key max_length. Did you mean prompt.max_length?",
    "lora={r: 8}": "unknown key lora. Did you mean train.lora?",
    "nonsense=1": f"unknown key nonsense. {KNOWN}",
    "pool.pth=x": "unknown key pool.pth. Did you mean 'path'? Known here: path, format",
    "pool.sources=[{path: a, wieght: 2}]": "unknown key pool.sources.0.wieght. Did you mean 'weight'? Known here: path, format",
    "heldout={pth: a}": "unknown key heldout.pth. Did you mean 'path'?",
    "embed.poling=mean": "unknown key embed.poling. Did you mean 'pooling'?",
    "selector={model: s, rounds: 3} final=true": "unknown key selector.rounds. Known here: train, model.",
    "selector={train: {}} final=true": "selector.model is not set. Set it in the config file, or as selector.model=…",
    "preset=modern": "preset=modern is too late, for other keys change what a preset sets: give --preset modern.",
    # wrong types and values
    "rounds=-1": "rounds is -1: it should be greater than or equal to 0.",
    "rounds=many": "rounds is 'many': it should be a valid integer, unable to parse string as an integer.",
    "rounds=2.5": "rounds is 2.5: it should be a valid integer, got a number with a fractional part.",
    "n_init=0": "n_init is 0: it should be greater than or equal to 1.",
    "seed=-1": "seed is -1: it should be greater than or equal to 0.",
    "n_new=foo": "n_new is 'foo': it should be a valid integer, unable to parse string as an integer or a valid tuple or 'geometric'.",
    "n_new=0": "every round must add at least one sample",
    "out=": "out is empty: it should be a valid string.",
    "model=[a]": "model is ['a']: it should be a valid string.",
    "trust_remote_code=maybe": "trust_remote_code is 'maybe': it should be a valid boolean",
    "train.method=LoRA": "train.method is 'LoRA': give 'full', 'lora' or 'qlora'. Did you mean 'lora'?",
    "train.start=scratch": "train.start is 'scratch': give 'base' or 'previous'.",
    "train.lora=16": "train.lora is 16: it should be a valid dictionary.",
    "train.command=echo": "train.command must contain {data} and {out}, found 'echo'.",
    "final={train: {method: dora}}": "train.method is 'dora': Input should be 'full', 'lora' or 'qlora'.",
    "embed.tokens_per_batch=0": "embed.tokens_per_batch is 0: it should be greater than or equal to 1 or 'auto'.",
    "embed.tokens_per_batch=lots": "embed.tokens_per_batch is 'lots': it should be a valid integer",
    "selection.candidates=10": "selection.candidates is 10: it should be less than or equal to 1.",
    "selection.candidates=10%": "selection.candidates is '10%': it should be a valid number",
    "stop.share=1": "stop.share is 1: it should be less than 1.",
    "stop.flops=0": "stop.flops is 0: it should be greater than 0.",
    "pool.dedup=true": "pool.dedup is True: give 'exact', 'near' or false.",
    "pool.holdout=1.5": "pool.holdout is 1.5: give a whole number of rows, or a share of the pool below 1.",
    "pool.sources=a.jsonl": "pool.sources is 'a.jsonl': it should be a valid tuple.",
    "budget=12 apples": "budget is '12 apples': give a number of samples (1100) or of tokens",
    # a word where a section is
    "selection=random": "selection is 'random', but it is a section of several keys: strategy, candidates",
    "prompt=chat": "prompt is 'chat', but it is a section of several keys: template, max_length.",
    "pool=[a.jsonl, b.jsonl]": "but it is a section of several keys: path, format",
    "model.x=3": "cannot set model.x: model is 'm', not a section.",
    # what cannot go together
    "selector=small": "selector 'small' does the rounds, and nothing tunes model 'm': set final=true, or final=false to tune it yourself.",
    "train.lora={r: 16}": "train.lora is {'r': 16}, but train.method is full, which tunes all weights: set train.method=lora, or",
    "budget=50": "budget is 50, less than round 0 draws (n_init 100): raise budget or lower n_init.",
    "n_new=[1, 2]": "n_new names 2 rounds, rounds is 10: give one number a round.",
    "n_new=geometric": "n_new: geometric grows from n_init (100) to a budget in samples (found None)",
    "n_new=geometric budget=101": "n_new is geometric, which gives [100, ",
    "n_new=geometric budget=100": "n_new: geometric grows from n_init (100) to a budget in samples (found 100)",
    "pool.sources=[a.jsonl]": "pool.path is 'pool.jsonl' and pool.sources names 1 more: give one of them, not both.",
    "pool.holdout_by=skill": "set pool.holdout, too.",
    "keep=best": "keep: best needs a yardstick: set heldout.path or pool.holdout, or keep: last.",
    "keep=none train.start=previous": "train.start: previous needs the last round's weights: set keep: last.",
    "stop.measure=heldout": "stop.measure: heldout needs held-out rows: set heldout.path or pool.holdout.",
    "heldout=a.jsonl pool.holdout=5": "heldout.path and pool.holdout both name held-out rows: set one of them.",
    # not readable
    "rounds": "override 'rounds' is not of the form key=value, such as train.learning_rate=1e-4.",
    "rounds=[": "the value of rounds is not valid YAML",
}


def split(line):
    """The words of a line; a space inside brackets, or before what has no key, does not part them."""
    words = []
    for part in line.split(" "):
        is_open = words and any(words[-1].count(a) > words[-1].count(b) for a, b in ("{}", "[]"))
        if words and (is_open or "=" not in part):
            words[-1] += f" {part}"
        else:
            words.append(part)
    return words


@pytest.mark.parametrize("line", BAD)
def test_the_message_names_the_key_the_value_and_the_way_out(line):
    with pytest.raises(ConfigError) as caught:
        load_config(None, split(line), options=BASE)
    said = str(caught.value)
    assert BAD[line] in said
    assert len(said.splitlines()) == (2 if line.startswith("heldout={pth") else 1)  # path is missing, too
    assert len(said) < 400


def test_every_wrong_key_has_its_line_five_at_most():
    with pytest.raises(ConfigError) as caught:
        load_config(None, ["rounds=-1", "seed=x", *(f"wrong_{i}=1" for i in range(5))], options=BASE)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("unknown key wrong_0. Known here: ")
    assert len(lines) == 6
    assert lines[5] == "(2 more)"


@pytest.mark.parametrize(
    "words",
    [
        ("final=false", "selector=small"),
        ("final=yes",),
        ("n_new=geometric", "budget=1e3"),
        ("embed.tokens_per_batch=auto",),
        ("embed.tokens_per_batch=1",),
        ("train.bf16=null", "train.learning_rate=1", "train.max_steps=-1", "train.warmup_steps=0.03"),
        ("train.method=lora", "train.lora={r: 4, target_modules: [a], lora_dropout: 0, use_dora: true}"),
        ("train.command=t {data} {out}", "train.lora={r: 4}"),
    ],
)
def test_what_is_right_is_taken(words):
    load_config(None, words, options=BASE)
