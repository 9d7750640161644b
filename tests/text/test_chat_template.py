"""Chat templates: what is trained on in each turn, for the essential forms of the templates in use.

The oracle is written out by hand for each template: the words of the assistant and the end of turn that the model must emit.
"""

import importlib.util
import json
import re
from pathlib import Path

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

from diverseevol.data.sample import Sample, Turn
from diverseevol.errors import PromptError
from diverseevol.text.chat_template import ChatPrompter

LOOP = "{% for m in messages %}"
CHATML = (
    LOOP + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CHATML_WITHOUT_PROMPT = CHATML[: CHATML.index("{% if add")]
GENERATION = (
    LOOP
    + "{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}{% generation %}{{ m.content[::-1] + '<|im_end|>' }}"
    "{% endgeneration %}{% else %}{{ m.content + '<|im_end|>' }}{% endif %}{{ '\n' }}{% endfor %}"
)
LLAMA_2 = (
    "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% set sys = messages[0].content %}{% else %}"
    "{% set rest = messages %}{% set sys = false %}{% endif %}{% for m in rest %}"
    "{% if loop.index0 == 0 and sys %}{% set c = '<<SYS>>\n' + sys + '\n<</SYS>>\n\n' + m.content %}"
    "{% else %}{% set c = m.content %}{% endif %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + c.strip() + ' [/INST]' }}"
    "{% elif m.role == 'assistant' %}{{ ' ' + c.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{{ bos_token }}" + LOOP + "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + LOOP
    + "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}" + LOOP + "{% if m.role == 'user' %}{{ '<｜User｜>' + m.content }}{% elif m.role == 'assistant' %}"
    "{% set c = m.content %}{% if '</think>' in c %}{% set c = c.split('</think>')[-1] %}{% endif %}"
    "{{ '<｜Assistant｜>' + c + '<｜end▁of▁sentence｜>' }}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif %}"
)
QWEN_3 = (
    "{% set ns = namespace(last=messages|length - 1, seeking=true) %}{% for m in messages[::-1] %}"
    "{% if ns.seeking and m.role == 'user' %}{% set ns.seeking = false %}{% set ns.last = messages|length - 1 - loop.index0 %}{% endif %}"
    "{% endfor %}{% if tools %}{{ '<|im_start|>system\n' }}{% for t in tools %}{{ t | tojson }}{% endfor %}{{ '<|im_end|>\n' }}{% endif %}"
    + LOOP
    + "{% if m.role == 'assistant' %}{% set c = m.content %}{% set thought = m.reasoning_content or '' %}"
    "{% if '</think>' in c %}"
    "{% set thought = c.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}"
    "{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}{{ '<|im_start|>assistant\n' }}"
    "{% if loop.index0 > ns.last and (loop.last or thought) %}{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}{{ c }}"
    '{% for t in m.tool_calls or [] %}{{ \'<tool_call>\n{"name": "\' + t.function.name + \'", "arguments": \' }}'
    "{{ t.function.arguments | tojson }}{{ '}\n</tool_call>' }}{% endfor %}{{ '<|im_end|>\n' }}"
    "{% elif m.role == 'tool' %}{{ '<|im_start|>user\n<tool_response>\n' + m.content + '\n</tool_response><|im_end|>\n' }}"
    "{% else %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
GPT_OSS = (
    LOOP + "{% if m.role == 'assistant' %}{{ '<|start|>assistant' }}{% for t in m.tool_calls or [] %}"
    "{{ ' to=' + t.function.name + '<|message|>' + t.function.arguments | tojson + '<|call|>' }}"
    "{% else %}{{ '<|channel|>final<|message|>' + m.content + ('<|return|>' if loop.last else '<|end|>') }}{% endfor %}"
    "{% else %}{{ '<|start|>' + m.role + '<|message|>' + m.content + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
)
GLM = (
    LOOP + "{{ '<|' + m.role + '|>\n' + m.content }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
VICUNA = (
    LOOP + "{{ m.role.upper() + ': ' + m.content + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)

ROLES = ["<|user|>", "<|assistant|>", "<|system|>"]
SPECIAL = {
    "chatml": (CHATML, ["<|im_start|>", "<|im_end|>"]),
    "chatml_without_prompt": (CHATML_WITHOUT_PROMPT, ["<|im_start|>", "<|im_end|>"]),
    "chatml_unregistered": (CHATML, []),
    "generation": (GENERATION, ["<|im_start|>", "<|im_end|>"]),
    "llama_2": (LLAMA_2, []),
    "mistral": (MISTRAL, ["[INST]", "[/INST]"]),
    "gemma": (GEMMA, ["<start_of_turn>", "<end_of_turn>"]),
    "deepseek": (DEEPSEEK, ["<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"]),
    "qwen_3": (QWEN_3, ["<|im_start|>", "<|im_end|>"]),
    "gpt_oss": (GPT_OSS, ["<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>", "<|call|>"]),
    "glm": (GLM, ROLES),
    "vicuna": (VICUNA, []),
}
THINK = "<think>\n\n</think>\n\n"
# What is trained on in the dialogue Q1 / Aone / Q2 / Atwo; "</s>" at the very end stands for EOS as an id.
TRAINED = {
    "chatml": ["Aone<|im_end|>", "Atwo<|im_end|>"],
    "chatml_without_prompt": ["Aone<|im_end|>", "Atwo<|im_end|>"],
    "chatml_unregistered": ["Aone<|im_end|>", "Atwo<|im_end|>\n</s>"],
    "generation": ["enoA<|im_end|>", "owtA<|im_end|>"],
    "llama_2": [" Aone </s>", " Atwo </s>"],
    "mistral": ["Aone</s>", "Atwo</s>"],
    "gemma": ["Aone<end_of_turn>", "Atwo<end_of_turn>"],
    "deepseek": ["Aone<｜end▁of▁sentence｜>", "Atwo<｜end▁of▁sentence｜>"],
    "qwen_3": ["Aone<|im_end|>", THINK + "Atwo<|im_end|>"],
    "gpt_oss": ["<|channel|>final<|message|>Aone<|end|>", "<|channel|>final<|message|>Atwo<|return|>"],
    "glm": ["Aone<|user|>", "Atwo</s>"],
    "vicuna": [" Aone", " Atwo\n</s>"],
}
TOOLS = json.dumps([{"name": "add", "description": "Adds.", "parameters": {"type": "object"}}])
CALL = '[{"name": "add", "arguments": {"a": 1}}]'
CALLED = (Turn("user", "Add"), Turn("assistant", "", is_trained=True, tool_calls=CALL), Turn("tool", "2"))


def make_tokenizer(template: str, special: list[str], added: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={character: number for number, character in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in added])
    tokenizer.chat_template = template
    return tokenizer


def prompter(name: str, added: tuple[str, ...] = ()) -> ChatPrompter:
    return ChatPrompter.of(make_tokenizer(*SPECIAL[name], added))


def said(text: str, is_trained: bool = True) -> Turn:
    return Turn("assistant", text, is_trained=is_trained)


def dialogue(one: str = "Aone", two: str = "Atwo", trained: str = "12") -> Sample:
    return Sample((Turn("user", "Q1"), said(one, "1" in trained), Turn("user", "Q2"), said(two, "2" in trained)))


def runs(segments) -> list[str]:
    """The trained text, one string a stretch, with an EOS that is an id written out."""
    written = [(segment.is_trained, segment.text + ("</s>" if segment.ends_turn else "")) for segment in segments]
    marked = "".join(f"\1{text}\2" if is_trained else text for is_trained, text in written).replace("\2\1", "")
    return re.findall("\1(.*?)\2", marked, re.DOTALL)


@pytest.mark.parametrize("name", SPECIAL)
def test_trained_text_is_the_answer_and_its_end(name):
    assert runs(prompter(name).segments(dialogue())) == TRAINED[name]


@pytest.mark.parametrize("name", SPECIAL)
@pytest.mark.parametrize("turn", [0, 1])
def test_only_the_turns_that_are_to_be_trained_are(name, turn):
    assert runs(prompter(name).segments(dialogue(trained="12"[turn]))) == [TRAINED[name][turn]]


@pytest.mark.parametrize("name", sorted(set(SPECIAL) - {"generation"}))
def test_generation_prompt_is_the_beginning_of_the_training_text(name):
    chat = prompter(name)
    prompt = "".join(segment.text for segment in chat.generation_segments(dialogue()))
    whole = "".join(segment.text for segment in chat.segments(dialogue()))
    assert whole.startswith(prompt)
    assert whole[len(prompt) :].startswith(TRAINED[name][1].removesuffix("</s>"))
    unanswered = Sample(dialogue().turns[:-1])
    assert "".join(segment.text for segment in chat.generation_segments(unanswered)) == prompt


@pytest.mark.parametrize("name", sorted(set(SPECIAL) - {"generation"}))
@pytest.mark.parametrize("blanks", ["  {} \n", "{}\n\n", "\n{}", "{} "])
def test_blanks_around_an_answer_are_the_templates_business(name, blanks):
    chat = prompter(name)
    strips = name in ("llama_2", "gemma")
    texts = [blanks.format(word) for word in ("Aone", "Atwo")]
    expected = [
        whole.replace(word, word if strips else text)
        for whole, word, text in zip(TRAINED[name], ("Aone", "Atwo"), texts, strict=True)
    ]
    assert runs(chat.segments(dialogue(*texts))) == expected


@pytest.mark.parametrize("name", sorted(set(SPECIAL) - {"vicuna"}))
def test_empty_answer_trains_its_end(name):
    trained = runs(prompter(name).segments(dialogue(two="", trained="2")))
    end = TRAINED[name][1].replace("Atwo", "").replace("owtA", "")
    assert trained == [end]


@pytest.mark.parametrize("name", ["chatml", "llama_2", "deepseek", "qwen_3", "gpt_oss", "glm"])
def test_system_turn_is_there_and_not_trained(name):
    sample = Sample((Turn("system", "Be brief."), *dialogue().turns))
    segments = prompter(name).segments(sample)
    assert runs(segments) == TRAINED[name]
    assert "Be brief." in "".join(segment.text for segment in segments)


def test_thinking_under_a_key_of_its_own_is_trained_where_the_template_writes_it():
    one, two = (Turn("assistant", f"A{n}", is_trained=True, thinking=f"hm {n}") for n in ("one", "two"))
    sample = Sample((Turn("user", "Q1"), one, Turn("user", "Q2"), two))
    assert runs(prompter("qwen_3").segments(sample)) == ["Aone<|im_end|>", "<think>\nhm two\n</think>\n\nAtwo<|im_end|>"]
    assert prompter("qwen_3").generation_segments(sample)[-1].text.endswith("<|im_start|>assistant\n")
    with pytest.raises(PromptError, match="reads no thinking under a key of its own"):  # a template that knows no thinking
        prompter("chatml").segments(sample)


def test_control_tokens_in_thinking_stay_text():
    answer = Turn("assistant", "a", is_trained=True, thinking="x<|im_end|>y")
    pieces = [piece for piece in prompter("qwen_3").segments(Sample((Turn("user", "q"), answer))) if piece.is_trained]
    assert [piece.text for piece in pieces] == ["<think>\nx<", "|im_end|>y\n</think>\n\na<|im_end|>"]


def test_thinking_dropped_behind_a_prompt_that_begins_it():
    sample = dialogue("<think>\nhm\n</think>\n\nAone")
    assert runs(prompter("deepseek").segments(sample)) == ["\n\nAone<｜end▁of▁sentence｜>", "Atwo<｜end▁of▁sentence｜>"]


def test_calls_are_trained_and_their_results_are_not():
    segments = prompter("qwen_3").segments(Sample((*CALLED, said("It is 2")), TOOLS))
    call = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call><|im_end|>'
    assert runs(segments) == [call, THINK + "It is 2<|im_end|>"]
    assert '"description": "Adds."' in segments[0].text


def test_arguments_are_given_as_text_to_templates_that_add_them_up():
    template = CHATML.replace(
        "m.content +",
        "m.content + (m.tool_calls[0].function.name + m.tool_calls[0].function.arguments if m.tool_calls else '') +",
    )
    chat = ChatPrompter.of(make_tokenizer(template, SPECIAL["chatml"][1]))
    for call in (CALL, '{"type": "function", "function": {"name": "add", "arguments": "{\\"a\\": 1}"}}'):
        turns = (CALLED[0], Turn("assistant", "", is_trained=True, tool_calls=call), *CALLED[2:], said("2"))
        assert runs(chat.segments(Sample(turns))) == ['add{"a": 1}<|im_end|>', "2<|im_end|>"]


def test_calls_get_ids_of_nine_characters_and_answers_take_them():
    template = (
        LOOP + "{{ m.role }}{% for t in m.tool_calls or [] %}{{ t.id + t.function.name }}{% endfor %}"
        "{{ m.tool_call_id or '' }}{{ m.name or '' }}{{ m.content + '</s>' }}{% endfor %}"
    )
    calls = '[{"name": "add"}, {"name": "sub", "id": "mine"}]'
    turns = (
        Turn("user", "Q"),
        Turn("assistant", "", is_trained=True, tool_calls=calls),
        Turn("tool", "1"),
        Turn("tool", "2"),
        said("3"),
        Turn("assistant", "", tool_calls='{"name": "mul"}'),
        Turn("tool", "4"),
    )
    text = "".join(segment.text for segment in ChatPrompter.of(make_tokenizer(template, [])).segments(Sample(turns)))
    assert (
        text
        == "userQ</s>assistantcall00000addminesub</s>toolcall00000add1</s>toolminesub2</s>assistant3</s>assistantcall00002mul</s>toolcall00002mul4</s>"
    )


@pytest.mark.parametrize(
    ("name", "sample", "reason"),
    [
        ("gemma", Sample((Turn("system", "Be"), *dialogue().turns)), "refuses the sample: System role not supported"),
        ("mistral", Sample((Turn("user", "a"), Turn("user", "b"), said("c"))), "roles must alternate"),
        ("chatml", Sample(dialogue().turns, TOOLS), "leaves out the tool 'add'"),
        ("chatml", Sample((*CALLED, said("2"))), "leaves out the call of 'add'"),
        (
            "llama_2",
            Sample((Turn("user", "a"), said("b"), Turn("tool", "odd"), said("c"))),
            "leaves out or rewrites turn 2, of role tool",
        ),
        ("chatml", dialogue(trained=""), "no assistant turn of the sample is trained on"),
        ("chatml", dialogue(one="a\ufdd0b"), r"noncharacters U\+FDD0 to U\+FDD3"),
        ("qwen_3", Sample(dialogue().turns, "{nonsense"), "tools: not JSON: '{nonsense'"),
        ("qwen_3", Sample(dialogue().turns, "[1]"), "tools: expected a JSON list of objects"),
        ("qwen_3", Sample(dialogue().turns, '[{"x": 1}]'), "tools: a tool has no name"),
        (
            "qwen_3",
            Sample((CALLED[0], Turn("assistant", "", is_trained=True, tool_calls='{"x": 1}'))),
            "tool_calls: a call has no name",
        ),
        (
            "qwen_3",
            Sample((CALLED[0], Turn("assistant", "", is_trained=True, tool_calls='{"name": "f", "arguments": "x"}'))),
            "arguments of 'f' are not JSON",
        ),
    ],
)
def test_what_a_template_cannot_say_is_refused(name, sample, reason):
    with pytest.raises(PromptError, match=reason):
        prompter(name).segments(sample)


def test_answer_rewritten_by_a_template_without_markers_is_refused():
    template = CHATML.replace("m.content +", "m.content[::-1] +")
    with pytest.raises(PromptError, match="leaves out or rewrites turn 0"):
        ChatPrompter.of(make_tokenizer(template, SPECIAL["chatml"][1])).segments(dialogue())


def test_template_that_looks_at_how_an_answer_begins():
    template = CHATML.replace("m.content +", "('!' if m.content.startswith('A') else '') + m.content +")
    chat = ChatPrompter.of(make_tokenizer(template, SPECIAL["chatml"][1]))
    assert runs(chat.segments(dialogue())) == ["!Aone<|im_end|>", "!Atwo<|im_end|>"]


def test_an_answer_is_whole_though_the_generation_prompt_begins_it():
    template = CHATML.replace("assistant\n' }}{% endif", "assistant\n<think>\n' }}{% endif")
    answer = "<think>\nhm\n</think>A"
    chat = ChatPrompter.of(make_tokenizer(template, SPECIAL["chatml"][1]))
    assert runs(chat.segments(dialogue(answer, answer))) == [answer + "<|im_end|>"] * 2


def test_a_call_that_only_its_own_syntax_closes_ends_with_what_begins_the_next_turn():
    call = "(m.content + '<|im_end|>' if not m.tool_calls else '<tool_call>' + m.tool_calls[0].function.name + '</tool_call>')"
    template = CHATML.replace("m.content + '<|im_end|>' + '\n'", call)
    chat = ChatPrompter.of(make_tokenizer(template, SPECIAL["chatml"][1], ("<tool_call>", "</tool_call>")))
    assert runs(chat.segments(Sample((*CALLED, said("2")))))[0] == "<tool_call>add</tool_call><|im_start|>"


def test_control_tokens_in_a_record_are_cut_in_two():
    chat = prompter("chatml", added=("<think>",))
    sample = Sample((Turn("user", "a<|im_end|>b</s><think>"), said("<think>c<|im_end|>d")))
    pieces = [segment.text for segment in chat.segments(sample)]
    assert pieces == [
        "<|im_start|>user\na<",
        "|im_end|>b<",
        "/s><think><|im_end|>\n<|im_start|>assistant\n",
        "<think>c<",
        "|im_end|>d<|im_end|>",
        "\n",
    ]
    assert [segment.is_apart for segment in chat.segments(sample)] == [False, True, True, False, True, False]
    assert runs(chat.segments(sample)) == ["<think>c<|im_end|>d<|im_end|>"]


def test_added_tokens_that_the_template_writes_are_cut_in_what_is_not_the_assistants():
    chat = prompter("qwen_3", added=("<think>", "<tool_call>"))
    pieces = [segment.text for segment in chat.segments(Sample((Turn("user", "<tool_call>"), said("<think>\nx\n</think>\n\ny"))))]
    assert pieces[:2] == ["<|im_start|>user\n<", "tool_call><|im_end|>\n<|im_start|>assistant\n"]
    assert pieces[2].startswith("<think>")


def stock_templates() -> list[Path]:
    """The templates that TRL ships twice; three vision models' take lists of blocks only."""
    found = importlib.util.find_spec("trl")
    folder = Path(found.origin).parent / "chat_templates" if found and found.origin else Path("absent")
    files = [folder / file.name.replace("_training", "") for file in folder.glob("*_training.jinja")]
    return sorted(file for file in files if file.is_file() and file.stem not in ("idefics3", "llava_next", "smolvlm"))


@pytest.mark.parametrize("file", stock_templates(), ids=lambda file: file.stem)
def test_stock_templates_agree_with_markers_that_others_put_into_them(file):
    """TRL ships templates as their makers do and again with generation markers; ours must find the same turns without."""
    source, marked_source = file.read_text("utf-8"), file.with_stem(file.stem + "_training").read_text("utf-8")
    tokens = set(re.findall(r"<\|?[\w▁|]+\|?>|<｜[^｜]+｜>", source))
    tokenizer = make_tokenizer(source, sorted(token for token in tokens if "|" in token or "｜" in token or "turn" in token))
    ours = runs(ChatPrompter.of(tokenizer).segments(dialogue()))
    messages = [{"role": turn.role, "content": turn.text} for turn in dialogue().turns]
    texts, spans = render_jinja_template(
        [messages], chat_template=marked_source, return_assistant_tokens_mask=True, **tokenizer.special_tokens_map
    )
    theirs = "".join(texts[0][start:end] for start, end in spans[0])
    for answer, text in zip(("Aone", "Atwo"), ours, strict=True):
        # Some markers begin at the header and end behind the newline; between them the two must be the same.
        before, found, behind = text.replace("</s>", "").partition(answer)
        assert found
        assert theirs.partition(answer)[0].endswith(before)
        assert theirs.partition(answer)[2].startswith(behind)
