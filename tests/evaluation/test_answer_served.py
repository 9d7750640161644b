import json
import socket

import pytest
from api_server import CUT, Sent, completion, echo, serving
from transformers_server import skip_without_it, transformers_serve

from diverseevol.config import PromptConfig
from diverseevol.errors import ConfigError, ModelError
from diverseevol.evaluation.answer_choose import SAMPLINGS
from diverseevol.evaluation.answer_local import LocalModel
from diverseevol.evaluation.answer_prompts import Prompts
from diverseevol.evaluation.answer_served import ServedModel
from diverseevol.evaluation.questions import Question
from diverseevol.models.load import load_model, load_tokenizer
from diverseevol.text.tokens import Encoder

pytest.importorskip("openai", reason="needs the openai client: pip install 'diverseevol[judge]'")
KEY = "sk-very-secret-key"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


@pytest.fixture
def served(prompts):
    def served(server, sampling="paper", **fields):
        made = {
            "prompts": prompts(max_new=9),
            "is_chat": False,
            "max_new": 9,
            "seed": 0,
            "key": KEY,
            **fields,
        }
        return ServedModel(base_url=getattr(server, "url", server), model="m", sampling=SAMPLINGS[sampling], **made)

    return served


def test_the_completions_api_gets_the_training_prompt(served, ask, questions, prompts, tokenizer):
    with serving(echo) as server:
        lines = ask(served(server), questions)
    by_prompt = {asked.prompt: asked.body for asked in server.asked}
    assert {asked.path for asked in server.asked} == {"/v1/completions"}
    for question in questions:
        line = lines[question.id]
        assert line["answer"].startswith("you said: ")
        text = line["answer"].removeprefix("you said: ")
        assert tokenizer(text)["input_ids"] == prompts().make(question).ids
        assert by_prompt[text]["model"] == "m"
        assert {key: by_prompt[text][key] for key in ("max_tokens", "temperature", "top_k")} == {
            "max_tokens": 9,
            "temperature": 0.7,
            "top_k": 50,
        }
        assert (line["n_tokens"], line["finish"], line["is_cut"], line["model"]) == (10, "eos", False, "m")
    assert len({body["seed"] for body in by_prompt.values()}) == len(questions)
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


def test_a_long_question_is_cut_before_it_is_sent(served, ask, prompts):
    long = Question(1, (" ".join(f"word{n}" for n in range(400)),))
    with serving(echo) as server:
        line = ask(served(server, prompts=prompts(256, 9)), [long])[1]
    assert line["is_cut"]
    assert "word399" in server.asked[0].prompt and "word100 " not in server.asked[0].prompt


@pytest.mark.parametrize(("sampling", "fields"), [("greedy", {"temperature": 0.0}), ("model", {})])
def test_other_samplings(served, ask, questions, sampling, fields):
    with serving(echo) as server:
        ask(served(server, sampling), questions[:1])
    body = server.asked[0].body
    assert {key: body[key] for key in body if key not in ("model", "prompt", "max_tokens", "seed")} == fields


def test_a_server_that_does_not_know_top_k_gets_a_generation_config(served, ask, questions):
    def reply(asked):
        if "top_k" in asked.body:
            return Sent(422, json.dumps({"detail": "Unexpected fields in the request: {'top_k'}"}))
        return echo(asked)

    with serving(reply) as server:
        assert len(ask(served(server, n_parallel=1), questions)) == len(questions)
    bodies = [asked.body for asked in server.asked]
    configs = [json.loads(body["generation_config"]) for body in bodies if "generation_config" in body]
    assert configs == [{"do_sample": True, "temperature": 0.7, "top_k": 50, "max_new_tokens": 9}] * len(questions)
    assert len(bodies) == len(questions) + 1


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (
            Sent(401, json.dumps({"error": {"message": f"bad key {KEY}"}})),
            r": Error code: 401 .*bad key \[key\].*Check --served-model",
        ),
        (Sent(404, "no such model"), r"404 - no such model. Check --served-model and --base-url"),
        (
            Sent(400, '{"error": "this model\'s maximum context length is 5"}'),
            "maximum context length is 5.*whose tokenizer cuts long",
        ),
        (Sent(422, '{"detail": "no top_k and no generation_config"}'), "give --sampling model or greedy"),
        (Sent(200, '{"choices": []}'), r"not a completion: '{\"choices\": \[\]}'. Start the server or correct --base-url"),
        (Sent(200, "<html>hello</html>"), "not a completion: '<html>hello</html>'"),
        (Sent(429, "slow down", {"Retry-After": "7200"}), "Error code: 429 - slow down"),
    ],
)
def test_lasting_troubles_end_it_without_showing_the_key(served, ask, questions, sent, message):
    with serving(lambda asked: sent) as server, pytest.raises(ModelError, match=message) as caught:
        ask(served(server), questions)
    assert str(caught.value).startswith("no answer to question ")
    assert KEY not in str(caught.value)


def test_no_server_at_all(served, ask, questions):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(ModelError, match=f"from {url}: .*Start the server or correct --base-url. The same command goes on."):
            ask(served(url), questions[:1])
    with pytest.raises(ConfigError, match="password"):
        ask(served("http://me:pass@host/v1"), questions[:1])


def test_what_a_server_sends_is_no_more_than_text(served, ask, questions):
    texts = [f"I know {KEY}", "half \ud800 pair", None, "", "\u2028\n"]

    def reply(asked):
        finish = "length" if asked.number == 4 else "stop"
        return Sent(body=completion(texts[asked.number], finish=finish, usage=asked.number > 0, is_chat=False))

    with serving(reply) as server:
        lines = list(ask(served(server, n_parallel=1), questions[:5]).values())
    assert [line["answer"] for line in lines] == ["I know [key]", "half \\ud800 pair", "", "", "\u2028\n"]
    assert [line["finish"] for line in lines] == ["eos"] * 4 + ["length"]
    assert [line["n_tokens"] for line in lines] == [None, 10, 10, 10, 10]
    json.dumps(lines, ensure_ascii=False).encode()


def test_transformers_serve_answers_as_the_model_does_here(shared_data, ask):
    skip_without_it()
    name = str(shared_data / "models" / "tinystories-656k")
    tokenizer = load_tokenizer(name)
    prompts = Prompts(Encoder(tokenizer, PromptConfig()), tokenizer, 512, 10)
    questions = [
        Question(n, (text,))
        for n, text in enumerate(("Who was the cat?", "Why did Tim go to the park?", "Tell a story of a big dog."))
    ]
    here = LocalModel(load_model(name), prompts, SAMPLINGS["greedy"], 0, name)
    expected = ask(here, questions)
    with transformers_serve(name) as url:
        there = ServedModel(url, name, None, prompts, False, SAMPLINGS["greedy"], 10, 0)
        found = ask(there, questions)
        sampled = ServedModel(url, name, None, prompts, False, SAMPLINGS["paper"], 10, 0)
        drawn = ask(sampled, questions)
    assert [found[n]["answer"] for n in range(3)] == [expected[n]["answer"] for n in range(3)]
    assert [found[n]["n_tokens"] for n in range(3)] == [10] * 3
    assert [line["finish"] for line in drawn.values()] == ["length"] * 3
    assert not sampled._takes_top_k


def test_the_chat_api_gets_the_turn(served, ask):
    both = [Question(1, ("One?", "Two?"), category="c"), Question(2, ("Sum up.",), input="A text.")]
    with serving(echo) as server:
        lines = ask(served(server, is_chat=True, prompts=None), both)
    asked = [asked.body["messages"] for asked in server.asked if asked.path == "/v1/chat/completions"]
    assert sorted(messages[0]["content"] for messages in asked) == ["One?", "Sum up.\nA text."]
    assert [(len(messages), messages[0]["role"]) for messages in asked] == [(1, "user")] * 2
    assert lines[1]["answer"] == "you said: One?"


def test_passing_failures_are_asked_again(served, ask, questions):
    failures = [Sent(429, "slow down", {"Retry-After": "0.01"}), Sent(503, "busy"), CUT]

    def reply(asked):
        return failures[asked.number % 4] if asked.number % 4 < 3 and asked.number < 12 else echo(asked)

    with serving(reply) as server:
        lines = ask(served(server, n_parallel=4), questions)
    assert sorted(lines) == [question.id for question in questions]
    assert len(server.asked) == len(questions) + 9
