import asyncio
import json
import sys
from types import SimpleNamespace

import api_server as server
import pytest

from diverseevol.errors import ConfigError
from diverseevol.evaluation.api import ApiClient, Failure, Reply

pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


def client_of(url, key=None, timeout=5.0, retries=0):
    """A client; `ask` sends one chat request and waits."""

    async def ask(text="worth 1 worth 2", **sampling):
        async with ApiClient(url, key, timeout, retries) as client:
            body = {"model": "judge", "messages": [{"role": "user", "content": text}], **sampling}
            return await client.ask("/chat/completions", body, "name-0")

    return SimpleNamespace(ask=lambda *words, **sampling: asyncio.run(ask(*words, **sampling)))


def test_what_is_sent_and_what_comes_back():
    with server.serving() as judge:
        reply = client_of(judge.url, KEY).ask("worth 1 worth 2 ☃", temperature=0, max_completion_tokens=7)
        (asked,) = judge.asked
    assert reply == Reply("1 2\nbecause", "stop", "judge-0613", 100, 10)
    assert asked.body == {
        "model": "judge",
        "messages": [{"role": "user", "content": "worth 1 worth 2 ☃"}],
        "temperature": 0,
        "max_completion_tokens": 7,
    }
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["idempotency-key"] == "name-0"


def test_a_server_without_a_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)  # the client would read these by itself
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    with server.serving() as judge:
        assert isinstance(client_of(judge.url).ask(), Reply)
        assert KEY not in str(judge.asked[0].headers)


STATUS = [  # status, code, tries, whether it is hopeless
    (429, None, 3, False),
    (503, None, 3, False),
    (500, None, 3, False),
    (408, None, 3, False),
    (429, "insufficient_quota", 3, True),
    (401, None, 1, True),
    (403, None, 1, True),
    (404, None, 1, True),
    (405, "content_filter", 1, True),
    (400, None, 1, False),
    (422, None, 1, False),
]


@pytest.mark.parametrize(("status", "code", "n_tries", "is_hopeless"), STATUS)
def test_what_a_status_means(status, code, n_tries, is_hopeless):
    body = json.dumps({"error": {"message": "no\n\x1b[2Jway\u202e " + "x" * 500, "code": code}})
    with server.serving(lambda asked: server.Sent(status, body)) as judge:
        failure = client_of(judge.url, retries=2).ask()
        assert len(judge.asked) == n_tries
    assert failure == Failure(failure.text, status, is_hopeless)
    assert f"Error code: {status}" in failure.text
    assert "no" in failure.text
    assert failure.text.isprintable()


def test_what_passes_is_tried_again_and_retry_after_is_kept():
    failures = [server.Sent(500, "oops"), server.Sent(429, "{}", {"Retry-After": "0.3"}), server.CUT, server.HANG]
    with server.serving(lambda asked: failures[asked.number] if asked.number < 4 else "8 9") as judge:
        assert client_of(judge.url, timeout=0.5, retries=4).ask().text == "8 9"
        assert judge.times[2] - judge.times[1] >= 0.3
    assert {asked.headers["idempotency-key"] for asked in judge.asked} == {"name-0"}


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", '"8 9"', "{}", '{"choices": []}', '{"choices": [{}]}', '{"choices": {"0": 1}}', "<html>8 9</html>"],
)
def test_a_response_that_is_no_completion_may_have_cost(body):
    with server.serving(lambda asked: server.Sent(body=body)) as judge:
        assert client_of(judge.url).ask() == Failure(f"not a completion: {body!r}", n_charged=1)


def test_what_may_have_been_charged():
    for answer, text in ((server.CUT, "RemoteProtocolError"), (server.HANG, "no reply within 0.2 s")):
        with server.serving(lambda asked, answer=answer: answer) as judge:
            failure = client_of(judge.url, timeout=0.2, retries=1).ask()
            assert len(judge.asked) == 2
        assert (failure.n_charged, failure.is_hopeless) == (2, False)
        assert text in failure.text
    failure = client_of(judge.url).ask()  # nobody there
    assert failure.n_charged == 0
    assert "ConnectError" in failure.text


def test_an_error_inside_a_response_is_that_error():
    with server.serving(lambda asked: server.Sent(body='{"error": {"code": 402, "message": "no credits"}}')) as judge:
        failure = client_of(judge.url).ask()
    assert (failure.status, failure.is_hopeless, failure.text[:20]) == (402, True, "no credit is left: E")


@pytest.mark.parametrize(
    ("content", "text"), [("8 9", "8 9"), (None, ""), ([{"type": "text"}], ""), ("\ud83d 8", "\\ud83d 8"), ("\x00", "\x00")]
)
def test_content_of_any_kind(content, text):
    body = json.dumps(
        {"choices": [{"message": {"content": content}, "finish_reason": 7}], "usage": {"prompt_tokens": -1}, "model": None}
    )
    with server.serving(lambda asked: server.Sent(body=body)) as judge:
        assert client_of(judge.url).ask() == Reply(text, None, None, 0, 0, is_counted=False)


MESSAGES = [  # a message, what it says, what was thought before
    (
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "8 9"}]},
        "8 9",
        "hm",
    ),
    ({"content": [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "8 9"}, "why"]}, "8 9\nwhy", "hm"),
    ({"content": [{"type": "thinking", "thinking": "hm"}]}, "", "hm"),
    ({"content": "", "reasoning_content": "hm", "reasoning": "hm"}, "", "hm"),
    ({"content": None, "reasoning": "hm"}, "", "hm"),
    ({"content": "8 9", "reasoning_content": "hm"}, "8 9", "hm"),
    ({"content": None, "refusal": "I won't."}, "I won't.", ""),
    ({"content": [{"type": "refusal", "refusal": "I won't."}]}, "I won't.", ""),
    ({}, "", ""),
]


@pytest.mark.parametrize(("message", "text", "thinking"), MESSAGES)
def test_content_in_parts_thinking_and_refusals(message, text, thinking):
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})
    with server.serving(lambda asked: server.Sent(body=body)) as judge:
        assert client_of(judge.url).ask() == Reply(text, "stop", None, 0, 0, is_counted=False, thinking=thinking)


@pytest.mark.parametrize("status", [400, 403, 451])
@pytest.mark.parametrize(
    "said", ['{"code": "content_filter"}', '{"message": "your input was flagged"}', '{"message": "Content Exists Risk"}']
)
def test_a_prompt_that_a_server_refuses_is_a_reply_without_text(status, said):
    with server.serving(lambda asked: server.Sent(status, f'{{"error": {said}}}')) as judge:
        assert client_of(judge.url).ask() == Reply("", "content_filter", None, 0, 0)


def test_the_key_is_struck_out_of_all_that_comes_back():
    def echo(asked):
        said = f"8 9 {asked.headers['authorization']}"
        if "error" in asked.prompt:
            return server.Sent(400, json.dumps({"error": {"message": said}}))
        return server.Sent(body=server.completion(said, model=said) if "fine" in asked.prompt else said)

    with server.serving(echo) as judge:
        client = client_of(judge.url, KEY)
        outcomes = [client.ask(text) for text in ("error", "fine", "nonsense")]
    assert KEY not in repr(outcomes)
    assert outcomes[1].text == "8 9 Bearer [key]"
    assert outcomes[1].answered_by == "8 9 Bearer [key]"
    assert all("Bearer [key]" in outcome.text for outcome in outcomes)


def test_a_short_key_is_a_word_and_stays():
    with server.serving(lambda asked: "8 9 EMPTY") as judge:
        assert client_of(judge.url, "EMPTY").ask().text == "8 9 EMPTY"


def test_keys_and_addresses_are_checked_without_being_shown():
    def of(url, key=None):
        return ApiClient(url, key, 1.0, 0)

    for key in (f"{KEY}\n", f" {KEY}", "sk-schlüssel", "a\x00b"):
        with pytest.raises(ConfigError, match="the key in the environment holds spaces, line breaks") as error:
            of("http://localhost:1/v1", key)
        assert key.strip() not in str(error.value)
    wrong = ["http://user:secret@host/v1", "https://secret@host", "http://host/v1?key=secret", "localhost:8000"]
    for url in (*wrong, "ftp://host", "http://", "http://host:99999", "file:///etc/passwd"):
        with pytest.raises(ConfigError, match="--base-url is no http address, or holds a password or a query") as error:
            of(url)
        assert "secret" not in str(error.value)
    assert of("http://localhost:8000/v1/").url == "http://localhost:8000/v1"
    assert of(None, KEY).url == "https://api.openai.com/v1"


def test_openai_itself_needs_a_key():
    with pytest.raises(ConfigError, match="no key for api.openai.com"):
        ApiClient(None, None, 1.0, 0)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(
        ConfigError, match=r"needs the package openai, which is not installed: pip install 'diverseevol\[judge\]'"
    ):
        ApiClient("http://localhost:1/v1", None, 1.0, 0)
