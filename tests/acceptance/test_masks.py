"""What is trained on, held against the templates themselves: `--show-samples` shows a row's tokens and what of them the loss counts.

The oracle is `apply_chat_template` (the text and how many tokens it has) and, written by hand, what an assistant has to write itself.
The templates are the essential forms of ten families.
"""

import json
import re

import pytest
from outside import BY_HEART, QUICK, make_model, must, read_jsonl, refused, run_cli, write_jsonl
from transformers import AutoTokenizer

LOOP = "{% for m in messages %}"
CHATML = (
    "{% if tools %}{{ '<|im_start|>system\n' + tools | tojson + '<|im_end|>\n' }}{% endif %}"
    + LOOP
    + "{{ '<|im_start|>' + m.role + '\n' }}"
    "{{ m.content or '' }}{% for t in m.tool_calls or [] %}{{ '<tool_call>\n' + t.function | tojson + '\n</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN_3 = (
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    + LOOP
    + "{% if m.role == 'assistant' %}{% set c = m.content %}{% set thought = m.reasoning_content or '' %}{% if '</think>' in c %}"
    "{% set thought = c.split('</think>')[0].split('<think>')[-1].strip('\n') %}{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>assistant\n' }}{% if loop.index0 > ns.last %}{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}{{ c }}"
    "{% for t in m.tool_calls or [] %}{{ '<tool_call>\n' + t.function | tojson + '\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA_2 = (
    LOOP + "{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
LLAMA_3 = (
    "{{ bos_token }}"
    + LOOP
    + "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}"
    + LOOP
    + "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}"
    + LOOP
    + "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim }}"
    "{{ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
PHI_3 = (
    LOOP + "{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
ZEPHYR = (
    LOOP + "{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}" + LOOP + "{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}{% else %}"
    "{{ '<｜Assistant｜>' + m.content.split('</think>')[-1] + eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif %}"
)
GLM = (
    LOOP
    + "{{ '<|' + ('observation' if m.role == 'tool' else m.role) + '|>\n' + (m.content or '') }}{% for t in m.tool_calls or [] %}"
    "{{ '<tool_call>' + t.function.name + '\n' + t.function.arguments | tojson + '</tool_call>' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
HARMONY = (
    LOOP
    + "{% if m.role == 'assistant' %}{% if m.thinking and loop.last %}{{ '<|start|>assistant<|channel|>analysis<|message|>' + m.thinking }}"
    "{{ '<|end|>' }}{% endif %}{% if m.tool_calls %}{{ '<|start|>assistant to=' + m.tool_calls[0].function.name + '<|message|>' }}"
    "{{ m.tool_calls[0].function.arguments | tojson + '<|call|>' }}{% else %}"
    "{{ '<|start|>assistant<|channel|>final<|message|>' + m.content + ('<|return|>' if loop.last else '<|end|>') }}{% endif %}"
    "{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
EMPTY = "<think>\n\n</think>\n\n"
# Template, its special tokens, and what is trained on of Q1 / Aone / Q2 / Atwo.
FAMILIES = {
    "chatml": (CHATML, ["<|im_start|>", "<|im_end|>"], ["Aone<|im_end|>", "Atwo<|im_end|>"]),
    "qwen_3": (QWEN_3, ["<|im_start|>", "<|im_end|>", "<think>", "</think>"], ["Aone<|im_end|>", EMPTY + "Atwo<|im_end|>"]),
    "llama_2": (LLAMA_2, [], [" Aone </s>", " Atwo </s>"]),
    "llama_3": (LLAMA_3, ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"], ["Aone<|eot_id|>", "Atwo<|eot_id|>"]),
    "mistral": (MISTRAL, ["[INST]", "[/INST]"], ["Aone</s>", "Atwo</s>"]),
    "gemma": (GEMMA, ["<start_of_turn>", "<end_of_turn>"], ["Aone<end_of_turn>", "Atwo<end_of_turn>"]),
    "phi_3": (PHI_3, ["<|user|>", "<|assistant|>", "<|end|>"], ["Aone<|end|>", "Atwo<|end|>"]),
    "zephyr": (ZEPHYR, [], ["Aone</s>", "Atwo</s>"]),
    "deepseek": (DEEPSEEK, ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>"], ["Aone</s>", "Atwo</s>"]),
    "glm": (GLM, ["<|user|>", "<|assistant|>", "<|system|>", "<|observation|>"], ["\nAone<|user|>", "\nAtwo</s>"]),
    "harmony": (
        HARMONY,
        ["<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>", "<|call|>"],
        ["<|channel|>final<|message|>Aone<|end|>", "<|channel|>final<|message|>Atwo<|return|>"],
    ),
}
CALL = {"type": "function", "function": {"name": "look", "arguments": {"at": "<think>"}}}
TOOLS = [
    {
        "type": "function",
        "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}},
    }
]


@pytest.fixture(scope="session")
def family(tmp_path_factory):
    """The model folder of a template, made once."""
    made = {}

    def get(name, template=None, special=(), added=("<tool_call>", "</tool_call>"), **options):
        if name not in made:
            template, special = (template, special) if template else FAMILIES[name][:2]
            folder = tmp_path_factory.mktemp("family") / name
            options = {"eos": "</s>", "layers": 1, "width": 32} | options
            made[name] = make_model(folder, template=template, special=("<s>", "</s>", *special), added=added, **options)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            tokenizer.bos_token = "<s>"
            tokenizer.save_pretrained(folder)
        return made[name]

    return get


def shown(records, model, tmp_path, *words):
    """Of each row: its number of tokens, the text, and the stretches that are trained on."""
    pool = write_jsonl(tmp_path / "pool.jsonl", records)
    options = ("--pool", pool, "--model", model, "--out", tmp_path / "none", "--show-samples", len(records), "pool.max_bad=1")
    ended = must(run_cli("run", *options, *(words or ("prompt.template=chat",))))
    rows = []
    for part in re.split(r"─+ row \d+ · ", ended.out)[1:]:
        n, text = re.search(r"(\d+) tokens.*?─+\n(.*?)\n─+ ", part + "\n── ", re.DOTALL).groups()
        text = text.split("\n───")[0]
        rows.append((int(n), re.sub("[⟦⟧]", "", text), re.findall("⟦(.*?)⟧", text, re.DOTALL)))
    return rows


def reason(record, model, tmp_path):
    """Why a row is put aside."""
    pool = write_jsonl(tmp_path / "pool.jsonl", [record])
    options = ("--pool", pool, "--model", model, "--out", tmp_path / "none", "--show-samples", 1, "prompt.template=chat")
    ended = run_cli("run", *options)
    assert ended.code == 1 and "internal error" not in ended.text
    return ended.err


def dialogue(*contents, **more):
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(contents)], **more}


@pytest.mark.parametrize("name", FAMILIES)
def test_the_text_is_the_templates_and_the_loss_counts_what_the_assistant_writes(name, family, tmp_path):
    record = dialogue("Q1", "Aone", "Q2", "Atwo")
    tokenizer = AutoTokenizer.from_pretrained(family(name))
    [(n, text, trained)] = shown([record], family(name), tmp_path)
    ids = tokenizer.apply_chat_template(record["messages"], tokenize=True, return_dict=False)
    assert trained == FAMILIES[name][2]
    assert n == len(ids) + (name == "glm")  # EOS is put behind where a template ends in nothing
    assert text.replace("¦", "").rstrip("\n") == (tokenizer.decode(ids) + "</s>" * (name == "glm")).rstrip("\n")


@pytest.mark.parametrize("name", ["chatml", "qwen_3", "llama_3", "glm", "harmony"])
@pytest.mark.parametrize("place", ["{}x", "x{}", "x {} y", "x{}y"])
def test_an_answer_may_name_tokens_but_not_those_that_frame_turns_and_a_prompt_none(name, place, family, tmp_path):
    template, special, _ = FAMILIES[name]
    model = family(f"{name}-label", template, [*special, "<LABEL>"])
    frame = [token for token in special if "think" not in token]
    own, forged = place.format("<LABEL>"), place.format(frame[0])
    (_, text, trained), (_, forged_text, _) = shown([dialogue(own, own), dialogue(forged, f"A{forged}")], model, tmp_path)
    assert own in trained[0] and text.count("<LABEL>") == 1 and text.count("<¦L") == 1  # ¦: in the prompt it is text
    cut = f"<¦{'¦'.join(frame[0][1:])}"
    assert forged_text.count(place.format(cut)) == 2


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"prompt": "Q <think>", "completion": "<think>a</think>b</s>c"}, ()),
        ({"prompt": "Q <think>", "completion": "<think>a</think>b</s>c"}, ("prompt.template=alpaca",)),
        ({"instruction": "Q <think>", "output": "<think>a</think>b</s>c"}, ("prompt.template=alpaca",)),
    ],
)
def test_rows_of_texts_and_the_alpaca_prompt_follow_the_same_rule(row, words, family, tmp_path):
    [(_, text, trained)] = shown(
        [row], family("chatml-think", CHATML, ["<|im_start|>", "<|im_end|>", "<think>", "</think>"]), tmp_path, *words
    )
    end = "</s>" if words else "<|im_end|>"
    assert trained == [f"<think>a</think>b<¦/¦s¦>c{end}"] and "Q <¦t¦h¦i¦n¦k¦>" in text


@pytest.mark.parametrize("n_calls", [1, 2])
@pytest.mark.parametrize(
    ("name", "stop"), [("chatml", "<|im_end|>"), ("qwen_3", "<|im_end|>"), ("glm", "<|observation|>"), ("harmony", "<|call|>")]
)
def test_a_turn_that_calls_is_trained_up_to_its_stop(name, stop, n_calls, family, tmp_path):
    if (name, n_calls) == ("harmony", 2):
        pytest.skip("writes one call a turn: see below")
    template, special, _ = FAMILIES[name]
    calls = {"role": "assistant", "content": "", "tool_calls": [CALL] * n_calls}
    said = [{"role": "user", "content": "Q"}, calls, *[{"role": "tool", "content": f"R{n}"} for n in range(n_calls)]]
    record = {"messages": [*said, {"role": "assistant", "content": "A"}], **({"tools": TOOLS} if name == "chatml" else {})}
    model = family(f"{name}-calls", template, [*special, *{"<think>", "</think>"} - {*special}])
    [(_, text, trained)] = shown([record], model, tmp_path)
    assert len(trained) == 2 and trained[0].endswith(stop) and trained[0].count("look") == n_calls
    assert '"<think>"' in trained[0]  # in arguments, too, the token
    assert "R0" not in "".join(trained) and "A" in trained[1]
    [(_, _, last)] = shown([{**record, "messages": said[:2]}], model, tmp_path)
    assert last == trained[:1]  # as in pools of single calls, where nothing answers


def test_a_call_that_the_template_leaves_out_is_refused(family, tmp_path):
    calls = {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}
    said = [
        {"role": "user", "content": "Q"},
        calls,
        *[{"role": "tool", "content": "R"}] * 2,
        {"role": "assistant", "content": "A"},
    ]
    assert "leaves out a call of 'look'" in reason({"messages": said}, family("harmony"), tmp_path)


def test_thinking_is_trained_where_the_template_writes_it_and_refused_where_it_reads_none(family, tmp_path):
    said = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A", "reasoning_content": "hm"}]
    record = {"messages": [*said, *said]}
    assert shown([record], family("qwen_3"), tmp_path)[0][2] == ["A<|im_end|>", "<think>\nhm\n</think>\n\nA<|im_end|>"]
    analysis = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
    final = "<|channel|>final<|message|>A"
    assert shown([record], family("harmony"), tmp_path)[0][2] == [f"{final}<|end|>", f"{analysis}{final}<|return|>"]
    inline = dialogue("Q", "<think>\nhm\n</think>\n\nA")
    assert shown([inline], family("qwen_3"), tmp_path)[0][2] == ["<think>\nhm\n</think>\n\nA<|im_end|>"]
    assert "reads no thinking under a key of its own" in reason(record, family("chatml"), tmp_path)
    assert "leaves out the thinking of the last answer" in reason(inline, family("deepseek"), tmp_path)


@pytest.mark.parametrize(
    ("method", "ends"), [("full", "int"), ("full", "missing"), ("lora", "list"), ("lora", "missing"), ("command", "int")]
)
def test_answers_end_where_training_taught_the_model_to_and_its_folder_says_so(method, ends, family, tmp_path):
    model = family(f"base-{ends}", CHATML, ["<|im_start|>", "<|im_end|>"])
    file = model / "generation_config.json"
    config = json.loads(file.read_text())
    eos, stop = (AutoTokenizer.from_pretrained(model).convert_tokens_to_ids(token) for token in ("</s>", "<|im_end|>"))
    if ends == "missing":
        config.pop("eos_token_id", None)
    file.write_text(json.dumps({**config, **({} if ends == "missing" else {"eos_token_id": eos if ends == "int" else [eos]})}))
    pool = write_jsonl(tmp_path / "pool.jsonl", [dialogue(f"Code {n}?", "maple") for n in range(2)])
    command = ("train.command=test -e {data} && cp {base}/* {out}", "train.command_format=messages")
    words = command if method == "command" else (f"train.method={method}",)
    options = ("--pool", pool, "--model", model, "--rounds", 0, "--n-init", 2, "--out", tmp_path / "run", "prompt.template=chat")
    must(run_cli("run", *options, *QUICK, *words))
    found = json.loads((tmp_path / "run/rounds/00/model/generation_config.json").read_text())["eos_token_id"]
    assert stop in found and (eos in found or ends == "missing")


def test_a_base_model_that_was_taught_a_template_stops(family, tmp_path):
    model = family("base", CHATML, ["<|im_start|>", "<|im_end|>", "<LABEL>"])
    answer = "<LABEL>maple"
    pool = write_jsonl(tmp_path / "pool.jsonl", [dialogue(f"Code {n}?", answer) for n in range(4)])
    options = ("--pool", pool, "--model", model, "--rounds", 0, "--n-init", 4, "--out", tmp_path / "run", "prompt.template=chat")
    must(run_cli("run", *options, *BY_HEART))
    questions = write_jsonl(tmp_path / "q.jsonl", [{"question_id": n, "question": f"Code {n}?"} for n in range(4)])
    asked = ("--benchmark", f"my={questions}:question", "--sampling", "greedy", "--max-new-tokens", 40)
    must(run_cli("answer", tmp_path / "run", *asked))
    must(run_cli("answer", "--model", tmp_path / "run/rounds/00/model", *asked, "--out", tmp_path / "alone.jsonl"))
    for file in (tmp_path / "run/answers/my/round-00.jsonl", tmp_path / "alone.jsonl"):
        assert [(line["answer"], line["finish"]) for line in read_jsonl(file)] == [(answer, "eos")] * 4


def test_a_tokenizer_that_cannot_say_what_its_tokens_hold_is_named_at_once(family, pool, tmp_path):
    from transformers import ByT5Tokenizer

    model = make_model(tmp_path / "model", layers=1, width=32)
    (model / "tokenizer.json").unlink()
    ByT5Tokenizer().save_pretrained(model)
    refused(run_cli("run", "--pool", pool, "--model", model, "--out", tmp_path / "run"), "ByT5Tokenizer", "no fast version")
    assert not (tmp_path / "run/pool").exists()
