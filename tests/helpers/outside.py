"""What the acceptance tests share: the program as a user starts it, models and pools made on the spot, JSONL read back.

Nothing here knows the inside of the package: the program is found by its console script, as the shell finds it.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import NamedTuple

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TOOLS = """{% if tools %}{{ '<|im_start|>tools\\n' + tools | tojson + '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['role'] == 'tool' %}{{ message['tool_call_id'] ~ ' ' ~ message['name'] ~ ': ' }}{% endif %}
{{- message['content'] or '' }}
{%- for call in message['tool_calls'] or [] %}{{ '<tool_call>' + call | tojson + '</tool_call>' }}{% endfor %}
{{- '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
QUICK = ("train.num_train_epochs=1", "train.learning_rate=1e-3", "train.total_batch_size=8", "prompt.max_length=512")
"""Keys that make a tuning of a tiny model a matter of a second."""
BY_HEART = ("train.learning_rate=2e-2", "train.num_train_epochs=100", "prompt.max_length=512")
"""Keys that teach a tiny model a few rows by heart."""


class Ended(NamedTuple):
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"{self.out}\n{self.err}"

    @property
    def json(self):
        return json.loads(self.out)


def run_cli(*words) -> Ended:
    """The program within this process: what the console script does, some seconds faster than to start it."""
    (script,) = {entry.value: entry for entry in entry_points(group="console_scripts", name="diverseevol")}.values()
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["diverseevol", *map(str, words)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = script.load()()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = argv
    return Ended(int(code or 0), out.getvalue(), err.getvalue())


def program(*words) -> list[str]:
    """The words that start the program as a process of its own."""
    return [sys.executable, "-m", "diverseevol", *map(str, words)]


def run_process(*words, cwd=None, timeout=120, **environment) -> Ended:
    """The program as a process of its own: for what depends on it (kills, signals, working directory, environment)."""
    env = os.environ | {"NO_COLOR": "1", "COLUMNS": "1000"} | {name: str(value) for name, value in environment.items()}
    done = subprocess.run(program(*words), cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout)
    return Ended(done.returncode, done.stdout, done.stderr)


def must(ended: Ended) -> Ended:
    """The same, which must have succeeded."""
    assert ended.code == 0, ended.text
    return ended


def refused(ended: Ended, *parts: str, n_lines: int = 2) -> Ended:
    """The same, which must be an error of at most `n_lines` lines that holds each of the parts, and no traceback."""
    assert ended.code in (1, 2), ended.text
    assert "internal error" not in ended.text and "Traceback" not in ended.text, ended.text
    for part in parts:
        assert part in ended.text, ended.text
    if ended.code == 1:
        error = ended.err[ended.err.index("Error:") :].strip()
        assert len(error.splitlines()) <= n_lines, error
    return ended


def trained_parts(shown: str) -> list[str]:
    """What `--show-samples` marks as trained on, part by part."""
    return re.findall("⟦(.+?)⟧", shown.rpartition("─── green")[0], flags=re.DOTALL)


def read_jsonl(file) -> list:
    return [json.loads(line) for line in Path(file).read_text("utf-8").split("\n") if line]


def write_jsonl(file, records) -> Path:
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return file


def pool_rows(n: int) -> list[dict]:
    """`n` different rows in the Alpaca layout; every third has an input; two groups by `kind`."""
    towns = ["Oslo", "Rome", "Lima", "Cairo", "Quito", "Seoul", "Turin", "Perth"]
    rows = []
    for index in range(n):
        town = towns[index % len(towns)]
        rows.append(
            {
                "instruction": f"Name the number of bridges in {town}, please, case {index}.",
                "input": f"Counted in {1900 + index}." if index % 3 == 0 else "",
                "output": f"{town} has {index * 7 % 97} bridges" + " and some boats" * (index % 5) + ".",
                "kind": "even" if index % 2 == 0 else "odd",
            }
        )
    return rows


def make_model(
    folder: Path,
    *,
    template: str | None = CHATML,
    eos: str = "<|im_end|>",
    special: tuple[str, ...] = ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    added: tuple[str, ...] = (),
    more_eos: tuple[str, ...] = (),
    layers: int = 2,
    width: int = 48,
) -> Path:
    """A random Llama with a byte-level tokenizer that can represent any text; the same each time.

    `special` and `added` are tokens of the tokenizer that `skip_special_tokens` drops and keeps; `more_eos` are ends beside `eos`
    in generation_config.json.
    """
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bare.train_from_iterator([], trainers.BpeTrainer(vocab_size=256, initial_alphabet=alphabet, show_progress=False))
    bare.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    bare.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bare, eos_token=eos)
    tokenizer.chat_template = template
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(list(more_eos))]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
