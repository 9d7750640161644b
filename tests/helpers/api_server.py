"""A small OpenAI-compatible server on loopback, as bad as a test wants it, that counts what it was asked and what it was paid for.

By default it is a judge that scores an answer by the number in its text ("… worth 7"), so a verdict must say the same whatever the order.
"""

import json
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CUT = object()  # close the connection without a word
HANG = object()  # say nothing for longer than anybody waits


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    body: dict
    headers: dict
    number: int  # 0 for the first request of all
    again: int  # how many times the same was asked before

    @property
    def prompt(self):
        return self.body.get("prompt") or "\n".join(message["content"] for message in self.body["messages"])

    @property
    def is_chat(self):
        return self.path.endswith("/chat/completions")


@dataclass(frozen=True)
class Sent:
    """A response other than an ordinary reply."""

    status: int = 200
    body: str = "{}"
    headers: dict = field(default_factory=dict)
    cut_at: int | None = None  # send so many bytes of the body, then close


def by_worth(asked):
    return " ".join(re.findall(r"worth (\d+)", asked.prompt)) + "\nbecause"


def completion(text, model="judge-0613", usage=True, tokens=(100, 10), finish="stop", is_chat=True):
    body = {"id": "x", "object": "chat.completion" if is_chat else "text_completion", "created": 1, "model": model}
    said = {"message": {"role": "assistant", "content": text}} if is_chat else {"text": text}
    body["choices"] = [{"index": 0, "finish_reason": finish, **said}]
    if usage:
        body["usage"] = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    return json.dumps(body)


def echo(asked):
    """What was asked last, whichever API asked it."""
    return "you said: " + (asked.body["prompt"] if "prompt" in asked.body else asked.body["messages"][-1]["content"])


class ApiServer:
    def __init__(self, respond=by_worth, delay=0.0):
        self.respond, self.delay = respond, delay
        self.asked, self.paid, self.times = [], Counter(), []
        self.n_now = self.most_at_once = 0
        self.lock = threading.Lock()
        self.is_ending = threading.Event()

    def take(self, path, body, headers):
        with self.lock:
            self.times.append(time.monotonic())
            self.n_now += 1
            self.most_at_once = max(self.most_at_once, self.n_now)
            again = sum(earlier.body == body for earlier in self.asked) if self.respond is not by_worth else 0
            asked = Asked(path, body, headers, len(self.asked), again)
            self.asked.append(asked)
        time.sleep(self.delay)
        return asked

    def prompts(self):
        return Counter(asked.prompt for asked in self.asked)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self):
        judge = self.server.judge
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = judge.take(self.path, body, {name.lower(): value for name, value in self.headers.items()})
        try:
            self.send(judge, asked, judge.respond(asked))
        finally:
            with judge.lock:
                judge.n_now -= 1

    def send(self, judge, asked, answer):
        if answer is HANG:
            judge.is_ending.wait(30)
        if answer is CUT or answer is HANG:
            self.close_connection = True
            return
        sent = answer if isinstance(answer, Sent) else Sent(body=completion(answer, is_chat=asked.is_chat))
        content = sent.body.encode()
        head = f"HTTP/1.1 {sent.status} X\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in sent.headers.items())
        self.wfile.write(head.encode() + b"\r\n" + content[: sent.cut_at])
        self.close_connection = self.close_connection or sent.cut_at is not None
        if sent.status == 200 and sent.cut_at is None:
            with judge.lock:
                judge.paid[asked.prompt] += 1

    def log_message(self, *words):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that was killed in the middle


@contextmanager
def serving(respond=by_worth, delay=0.0):
    """A server at its `url` for as long as the block lasts."""
    server = Server(("127.0.0.1", 0), Handler)
    judge = server.judge = ApiServer(respond, delay)
    judge.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield judge
    finally:
        judge.is_ending.set()
        server.shutdown()
        thread.join()
        server.server_close()


def answer_lines(n, worth, path):
    """A file of n answers, each worth what `worth(i)` says; no two files hold the same answers."""
    lines = [
        {
            "question_id": i,
            "question": f"Question {i}?",
            "category": "even" if i % 2 == 0 else None,
            "answer": f"{path.stem} {i}, worth {worth(i)}",
        }
        for i in range(n)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
