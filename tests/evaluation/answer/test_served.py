import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from diverseevol.config import PromptConfig
from diverseevol.errors import ConfigError, ModelError
from diverseevol.evaluation.answer.local import LocalModel
from diverseevol.evaluation.answer.prompts import Prompts
from diverseevol.evaluation.answer.sampling import SAMPLINGS
from diverseevol.evaluation.answer.served import ServedModel
from diverseevol.evaluation.questions import Question
from diverseevol.models import load_model, load_tokenizer
from diverseevol.tokens import Encoder

_spec = importlib.util.spec_from_file_location("answer_server", Path(__file__).parents[1] / "answer_server.py")
answer_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(answer_server)
completion, echo, serving = answer_server.completion, answer_server.echo, answer_server.serving

pytest.importorskip("openai", reason="needs the openai client: pip install 'diverseevol[judge]'")
KEY = "sk-very-secret-key"


@pytest.fixture
def served(prompts):
    def served(server, sampling="paper", **fields):
        made = {"prompts": prompts(max_new=9), "is_chat": False, "max_new": 9, "seed": 0, "n_turns": 1, "key": KEY, **fields}
        return ServedModel(base_url=getattr(server, "url", server), model="m", sampling=SAMPLINGS[sampling], **made)

    return served


def test_the_completions_api_gets_the_training_prompt(served, ask, questions, prompts, tokenizer):
    with serving() as server:
        lines = ask(served(server), questions)
    by_prompt = {body["prompt"]: body for path, body in server.bodies}
    assert {path for path, _ in server.bodies} == {"/v1/completions"}
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
        assert (line["n_tokens"], line["finish"], line["is_cut"], line["model"]) == (3, "eos", False, "m")
    assert len({body["seed"] for body in by_prompt.values()}) == len(questions)
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_the_chat_api_gets_the_turns(served, ask):
    both = [Question(1, ("One?", "Two?"), category="c"), Question(2, ("Sum up.",), input="A text.")]
    with serving() as server:
        lines = ask(served(server, is_chat=True, prompts=None, n_turns=2), both)
    asked = {json.dumps(body["messages"]) for path, body in server.bodies if path == "/v1/chat/completions"}
    assert asked == {
        json.dumps([{"role": "user", "content": "One?"}]),
        json.dumps([{"role": "user", "content": "Sum up.\nA text."}]),
        json.dumps(
            [
                {"role": "user", "content": "One?"},
                {"role": "assistant", "content": "you said: One?"},
                {"role": "user", "content": "Two?"},
            ]
        ),
    }
    assert lines[1]["turns"] == ["you said: One?", "you said: Two?"]
    assert lines[1]["answer"] == "you said: Two?"


def test_earlier_answers_end_with_eos_in_the_text(served, ask, prompts, tokenizer):
    question = Question(1, ("One?", "Two?"))
    with serving() as server:
        lines = ask(served(server, n_turns=2), [question])
    text = server.bodies[1][1]["prompt"]
    assert tokenizer(text)["input_ids"] == prompts(max_new=9).make(question, (lines[1]["turns"][0],)).ids


def test_a_long_question_is_cut_before_it_is_sent(served, ask, prompts):
    long = Question(1, (" ".join(f"word{n}" for n in range(400)),))
    with serving() as server:
        line = ask(served(server, prompts=prompts(256, 9)), [long])[1]
    assert line["is_cut"]
    assert long.turns[0].endswith(line["asked"][0]["content"])
    assert line["asked"][0]["content"] in server.bodies[0][1]["prompt"]
    assert long.turns[0] not in server.bodies[0][1]["prompt"]


@pytest.mark.parametrize(("sampling", "fields"), [("greedy", {"temperature": 0.0}), ("model", {})])
def test_other_samplings(served, ask, questions, sampling, fields):
    with serving() as server:
        ask(served(server, sampling), questions[:1])
    body = server.bodies[0][1]
    assert {key: body[key] for key in body if key not in ("model", "prompt", "max_tokens", "seed")} == fields


def test_a_server_that_does_not_know_top_k_gets_a_generation_config(served, ask, questions):
    def reply(path, body, number):
        if "top_k" in body:
            return 422, {"detail": "Unexpected fields in the request: {'top_k'}"}, {}
        return echo(path, body, number)

    with serving(reply) as server:
        assert len(ask(served(server, n_parallel=1), questions)) == len(questions)
    configs = [json.loads(body["generation_config"]) for _, body in server.bodies if "generation_config" in body]
    assert configs == [{"do_sample": True, "temperature": 0.7, "top_k": 50, "max_new_tokens": 9}] * len(questions)
    assert len(server.bodies) == len(questions) + 1


def test_passing_troubles_are_asked_again(served, ask, questions):
    def reply(path, body, number):
        if number % 4 < 3 and number < 12:
            return [(429, {"error": "slow down"}, {"Retry-After": "0"}), (503, "busy", {"Retry-After-Ms": "1"}), (None, "", {})][
                number % 4
            ]
        return echo(path, body, number)

    with serving(reply) as server:
        lines = ask(served(server, n_parallel=4), questions)
    assert sorted(lines) == [question.id for question in questions]
    assert len(server.bodies) == len(questions) + 9


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            (401, {"error": {"message": f"bad key {KEY}"}}, {}),
            r"refused question \d+: 401 .*bad key \[key\].*Check --served-model",
        ),
        ((404, "no such model", {}), r"refused question \d+: 404 no such model. Check --served-model and --base-url"),
        (
            (400, {"error": "this model's maximum context length is 5"}, {}),
            "maximum context length is 5.*whose tokenizer cuts long",
        ),
        ((422, {"detail": "no top_k and no generation_config"}, {}), "give --sampling model or greedy"),
        ((200, {"choices": []}, {}), r"did not send an answer to question \d+ but \w+. Is it the right API"),
        ((200, "<html>hello</html>", {"Content-Type": "text/html"}), "did not send an answer to question"),
        ((200, {"detail": "x"}, {}), "did not send an answer to question"),
    ],
)
def test_lasting_troubles_end_it_without_showing_the_key(served, ask, questions, reply, message):
    with serving(lambda *words: reply) as server, pytest.raises(ModelError, match=message) as caught:
        ask(served(server), questions)
    assert KEY not in str(caught.value)


def test_no_server_at_all(served, ask, questions, monkeypatch):
    monkeypatch.setattr("diverseevol.evaluation.answer.served.RETRIES", 0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(ModelError, match=f"no answer from {url}: .*Start the server or correct --base-url"):
            ask(served(url), questions[:1])
    with pytest.raises(ConfigError, match="password"):
        ask(served("http://me:pass@host/v1"), questions[:1])


def test_so_many_requests_at_once_and_no_more(served, ask, questions):
    with serving(delay=0.05) as server:
        ask(served(server, n_parallel=3), questions)
    assert server.most_open == 3


def test_what_a_server_sends_is_no_more_than_text(served, ask, questions):
    texts = [f"I know {KEY}", "half \ud800 pair", None, "", "\u2028\n"]

    def reply(path, body, number):
        return 200, completion(path, texts[number], "length" if number == 4 else "stop"), {}

    with serving(reply) as server:
        lines = list(ask(served(server, n_parallel=1), questions[:5]).values())
    assert [line["answer"] for line in lines] == ["I know [key]", "half \\ud800 pair", "", "", "\u2028\n"]
    assert [line["finish"] for line in lines] == ["eos"] * 4 + ["length"]
    json.dumps(lines, ensure_ascii=False).encode()


def can_serve():
    return all(importlib.util.find_spec(name) for name in ("openai", "fastapi", "uvicorn", "pydantic"))


@pytest.fixture(scope="module")
def transformers_serve(shared_data, tmp_path_factory):
    """`transformers serve` with the TinyStories model, on a port that was free a moment ago."""
    if not can_serve():
        pytest.skip("needs pip install 'transformers[serving]'")
    model = str(shared_data / "models" / "tinystories-656k")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(Path(sys.executable).with_name("transformers")),
        "serve",
        model,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--device",
        "cpu",
    ]
    log = tmp_path_factory.mktemp("serve") / "log"
    with (
        log.open("w") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "OMP_NUM_THREADS": "1"}) as process,
    ):
        try:
            for _ in range(600):
                assert process.poll() is None, log.read_text()[-2000:]
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1", model
        finally:
            process.kill()


def test_transformers_serve_answers_as_the_model_does_here(transformers_serve, ask):
    url, name = transformers_serve
    tokenizer = load_tokenizer(name)
    prompts = Prompts(Encoder(tokenizer, PromptConfig()), tokenizer, 512, 10)
    questions = [
        Question(n, (text,))
        for n, text in enumerate(("Who was the cat?", "Why did Tim go to the park?", "Tell a story of a big dog."))
    ]
    options = {"seed": 0, "n_turns": 1}
    there = ServedModel(url, name, None, prompts, False, SAMPLINGS["greedy"], 10, **options)
    here = LocalModel(load_model(name), tokenizer, prompts, SAMPLINGS["greedy"], name=name, **options)
    expected, found = ask(here, questions), ask(there, questions)
    assert [found[n]["answer"] for n in range(3)] == [expected[n]["answer"] for n in range(3)]
    assert [found[n]["n_tokens"] for n in range(3)] == [10] * 3
    sampled = ServedModel(url, name, None, prompts, False, SAMPLINGS["paper"], 10, **options)
    assert [line["finish"] for line in ask(sampled, questions).values()] == ["length"] * 3
    assert not sampled._takes_top_k
