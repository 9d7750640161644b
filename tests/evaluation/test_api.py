import asyncio
import json
import sys

import api_server as server
import pytest

from diverseevol.errors import ConfigError
from diverseevol.evaluation.api import ApiClient, Failure, Reply

pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)


def ask(url, text="worth 1 worth 2", key=None, timeout=5.0, retries=0, **sampling):
    """Send one chat request and wait."""

    async def ask():
        async with ApiClient(url, key, timeout, retries) as client:
            body = {"model": "judge", "messages": [{"role": "user", "content": text}], **sampling}
            return await client.ask("/chat/completions", body, "name-0")

    return asyncio.run(ask())


def asked_of(respond, **words):
    """(what came of a request to such a server, the server)."""
    with server.serving(respond) as judge:
        return ask(judge.url, **words), judge


def test_what_is_sent_and_what_comes_back(monkeypatch):
    reply, judge = asked_of(server.by_worth, text="worth 1 worth 2 ☃", key=KEY, temperature=0, max_completion_tokens=7)
    assert reply == Reply("1 2\nbecause", "stop", "judge-0613", 100, 10)
    (asked,) = judge.asked
    said = [{"role": "user", "content": "worth 1 worth 2 ☃"}]
    assert asked.body == {"model": "judge", "messages": said, "temperature": 0, "max_completion_tokens": 7}
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["idempotency-key"] == "name-0"
    monkeypatch.setenv("OPENAI_API_KEY", KEY)  # the client would read these by itself
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    reply, judge = asked_of(server.by_worth)
    assert isinstance(reply, Reply) and KEY not in str(judge.asked[0].headers)


STATUS = [  # status, code, tries, whether it is hopeless
    (429, None, 3, False),
    (503, None, 3, False),
    (408, None, 3, False),
    (429, "insufficient_quota", 3, True),
    (401, None, 1, True),
    (403, None, 1, True),
    (405, "content_filter", 1, True),
    (400, None, 1, False),
]


@pytest.mark.parametrize(("status", "code", "n_tries", "is_hopeless"), STATUS)
def test_what_a_status_means(status, code, n_tries, is_hopeless):
    body = json.dumps({"error": {"message": "no\n\x1b[2Jway\u202e " + "x" * 500, "code": code}})
    failure, judge = asked_of(lambda asked: server.Sent(status, body), retries=2)
    assert len(judge.asked) == n_tries
    assert failure == Failure(failure.text, status, is_hopeless)
    assert f"Error code: {status}" in failure.text and failure.text.isprintable()


def test_what_passes_is_tried_again_and_retry_after_is_kept():
    failures = [server.Sent(500, "oops"), server.Sent(429, "{}", {"Retry-After": "0.3"}), server.CUT, server.HANG]
    reply, judge = asked_of(lambda asked: failures[asked.number] if asked.number < 4 else "8 9", timeout=0.5, retries=4)
    assert reply.text == "8 9"
    assert judge.times[2] - judge.times[1] >= 0.3
    assert {asked.headers["idempotency-key"] for asked in judge.asked} == {"name-0"}


def test_what_may_have_been_charged():
    for answer, text in ((server.CUT, "RemoteProtocolError"), (server.HANG, "no reply within 0.2 s")):
        failure, judge = asked_of(lambda asked, answer=answer: answer, timeout=0.2, retries=1)
        assert (failure.n_charged, failure.is_hopeless, len(judge.asked)) == (2, False, 2)
        assert text in failure.text
    failure = ask(judge.url)  # nobody there
    assert failure.n_charged == 0 and "ConnectError" in failure.text
    for body in (
        "",
        "null",
        "[]",
        '"8 9"',
        "{}",
        '{"choices": []}',
        '{"choices": [{}]}',
        '{"choices": {"0": 1}}',
        "<html>8 9</html>",
    ):
        failure, _ = asked_of(lambda asked, body=body: server.Sent(body=body))
        assert failure == Failure(f"not a completion: {body!r}", n_charged=1)


def test_an_error_inside_a_response_is_that_error():
    failure, _ = asked_of(lambda asked: server.Sent(body='{"error": {"code": 402, "message": "no credits"}}'))
    assert (failure.status, failure.is_hopeless, failure.text[:20]) == (402, True, "no credit is left: E")


THINKS = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
MESSAGES = [  # a message, what it says, what was thought before
    ({"content": "8 9", "reasoning_content": "hm"}, "8 9", "hm"),
    ({"content": [THINKS, {"type": "text", "text": "8 9"}]}, "8 9", "hm"),
    ({"content": [{"type": "reasoning", "text": "hm"}, {"type": "output_text", "text": "8 9"}, "why"]}, "8 9\nwhy", "hm"),
    ({"content": [{"type": "thinking", "thinking": "hm"}]}, "", "hm"),
    ({"content": "", "reasoning_content": "hm", "reasoning": "hm"}, "", "hm"),
    ({"content": None, "refusal": "I won't."}, "I won't.", ""),
    ({"content": [{"type": "refusal", "refusal": "I won't."}]}, "I won't.", ""),
    ({"content": [{"type": "text"}]}, "", ""),
    ({"content": "\ud83d 8"}, "\\ud83d 8", ""),
    ({}, "", ""),
]


@pytest.mark.parametrize(("message", "text", "thinking"), MESSAGES)
def test_content_in_parts_thinking_and_refusals(message, text, thinking):
    body = {"choices": [{"message": message, "finish_reason": 7}], "usage": {"prompt_tokens": -1}, "model": None}
    reply, _ = asked_of(lambda asked: server.Sent(body=json.dumps(body)))
    assert reply == Reply(text, None, None, 0, 0, is_counted=False, thinking=thinking)


@pytest.mark.parametrize("status", [400, 403, 451])
def test_a_prompt_that_a_server_refuses_is_a_reply_without_text(status):
    for said in ({"code": "content_filter"}, {"message": "your input was flagged"}, {"message": "Content Exists Risk"}):
        reply, _ = asked_of(lambda asked, said=said: server.Sent(status, json.dumps({"error": said})))
        assert reply == Reply("", "content_filter", None, 0, 0)


def test_the_key_is_struck_out_of_all_that_comes_back_but_a_short_one_is_a_word():
    def echo(asked):
        said = f"8 9 {asked.headers['authorization']}"
        if "error" in asked.prompt:
            return server.Sent(400, json.dumps({"error": {"message": said}}))
        return server.Sent(body=server.completion(said, model=said) if "fine" in asked.prompt else said)

    outcomes = [asked_of(echo, text=text, key=KEY)[0] for text in ("error", "fine", "nonsense")]
    assert KEY not in repr(outcomes)
    assert outcomes[1].text == outcomes[1].answered_by == "8 9 Bearer [key]"
    assert all("Bearer [key]" in outcome.text for outcome in outcomes)
    assert asked_of(echo, text="fine", key="EMPTY")[0].text == "8 9 Bearer EMPTY"


def test_keys_and_addresses_are_checked_without_being_shown(monkeypatch):
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
    with pytest.raises(ConfigError, match="no key for api.openai.com"):
        of(None)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"the package openai, which is not installed: pip install 'diverseevol\[judge\]'"):
        of("http://localhost:1/v1")
