import json
import socket

import pytest
from api_server import CUT, Sent, completion, echo, serving

from diverseevol.config.verbs import AnswerConfig
from diverseevol.errors import ConfigError, ModelError
from diverseevol.evaluation.answer_served import ServedModel
from diverseevol.evaluation.questions import Question

pytest.importorskip("openai", reason="needs the openai client: pip install 'diverseevol[judge]'")
KEY = "sk-very-secret-key"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


@pytest.fixture
def served(prompts):
    usual = prompts(max_new=9)

    def served(server, prompts=usual, is_chat=False, **settings):
        made = {"base_url": getattr(server, "url", server), "served_model": "m", "max_new_tokens": 9, **settings}
        return ServedModel(AnswerConfig(**made), KEY, prompts, is_chat)

    return served


def test_the_completions_api_gets_the_training_prompt(served, ask, questions, prompts, tokenizer):
    long = Question("long", (" ".join(f"word{n}" for n in range(400)),))
    with serving(echo) as server:
        lines = ask(served(server, prompts=prompts(256, 9)), [*questions, long])
    by_prompt = {asked.prompt: asked.body for asked in server.asked}
    assert {asked.path for asked in server.asked} == {"/v1/completions"}
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}
    for question in questions:
        line = lines[question.id]
        text = line["answer"].removeprefix("you said: ")
        assert tokenizer(text)["input_ids"] == prompts().make(question).ids
        body = {"model": "m", "max_tokens": 9, "temperature": 0.7, "top_k": 50, "prompt": text}
        assert by_prompt[text] == {**body, "seed": by_prompt[text]["seed"]}
        assert (line["n_tokens"], line["finish"], line["is_cut"], line["model"]) == (10, "eos", False, "m")
    assert len({body["seed"] for body in by_prompt.values()}) == len(questions) + 1
    assert lines["long"]["is_cut"]
    assert "word399" in lines["long"]["answer"] and "word100 " not in lines["long"]["answer"]


def test_the_chat_api_gets_the_turn(served, ask):
    both = [Question(1, ("One?", "Two?"), category="c"), Question(2, ("Sum up.",), input="A text.")]
    with serving(echo) as server:
        lines = ask(served(server, is_chat=True, prompts=None), both)
    asked = [asked.body["messages"] for asked in server.asked if asked.path == "/v1/chat/completions"]
    assert sorted(messages[0]["content"] for messages in asked) == ["One?", "Sum up.\nA text."]
    assert [(len(messages), messages[0]["role"]) for messages in asked] == [(1, "user")] * 2
    assert lines[1]["answer"] == "you said: One?"


@pytest.mark.parametrize(("sampling", "fields"), [("greedy", {"temperature": 0.0}), ("model", {})])
def test_other_samplings(served, ask, questions, sampling, fields):
    with serving(echo) as server:
        ask(served(server, sampling=sampling), questions[:1])
    body = server.asked[0].body
    assert {key: body[key] for key in body if key not in ("model", "prompt", "max_tokens", "seed")} == fields


def test_a_server_that_does_not_know_top_k_gets_a_generation_config(served, ask, questions):
    def reply(asked):
        refused = Sent(422, json.dumps({"detail": "Unexpected fields in the request: {'top_k'}"}))
        return refused if "top_k" in asked.body else echo(asked)

    with serving(reply) as server:
        assert len(ask(served(server, concurrency=1), questions)) == len(questions)
    bodies = [asked.body for asked in server.asked]
    configs = [json.loads(body["generation_config"]) for body in bodies if "generation_config" in body]
    assert configs == [{"do_sample": True, "temperature": 0.7, "top_k": 50, "max_new_tokens": 9}] * len(questions)
    assert len(bodies) == len(questions) + 1


TROUBLES = [
    (Sent(401, json.dumps({"error": {"message": f"bad key {KEY}"}})), r"Error code: 401 .*bad key \[key\].*Check --served-model"),
    (Sent(404, "no such model"), r"404 - no such model. Check --served-model and --base-url"),
    (Sent(400, '{"error": "maximum context length is 5"}'), "maximum context length is 5.*whose tokenizer cuts long"),
    (Sent(422, '{"detail": "no top_k and no generation_config"}'), "give --sampling model or greedy"),
    (Sent(200, '{"choices": []}'), r"not a completion: '{\"choices\": \[\]}'. Start the server or correct --base-url"),
    (Sent(429, "slow down", {"Retry-After": "7200"}), "Error code: 429 - slow down"),
]


@pytest.mark.parametrize(("sent", "message"), TROUBLES)
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


def test_passing_failures_are_asked_again_and_what_a_server_sends_is_no_more_than_text(served, ask, questions):
    failures = {0: Sent(429, "slow down", {"Retry-After": "0.01"}), 2: Sent(503, "busy"), 4: CUT}
    texts = {1: f"I know {KEY}", 3: "half \ud800 pair", 5: None, 6: "", 7: "\u2028\n"}

    def reply(asked):
        finish = "length" if asked.number == 7 else "stop"
        said = Sent(body=completion(texts.get(asked.number), finish=finish, usage=asked.number > 1, is_chat=False))
        return failures.get(asked.number, said)

    with serving(reply) as server:
        lines = list(ask(served(server, concurrency=1), questions[:5]).values())
    assert [line["answer"] for line in lines] == ["I know [key]", "half \\ud800 pair", "", "", "\u2028\n"]
    assert [line["finish"] for line in lines] == ["eos"] * 4 + ["length"]
    assert [line["n_tokens"] for line in lines] == [None, 10, 10, 10, 10]
    json.dumps(lines, ensure_ascii=False).encode()
