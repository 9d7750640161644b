"""A small server with the OpenAI completions and chat APIs, whose answers tell what was asked; and whose faults are on order."""

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class AnswerServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, reply, delay=0.0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.reply, self.delay = reply, delay
        self.bodies, self.keys = [], []
        self.lock = threading.Lock()
        self.n_open = self.most_open = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with server.lock:
            number = len(server.bodies)
            server.bodies.append((self.path, body))
            server.keys.append(self.headers.get("Authorization"))
            server.n_open += 1
            server.most_open = max(server.most_open, server.n_open)
        time.sleep(server.delay)
        status, value, headers = server.reply(self.path, body, number)
        with server.lock:
            server.n_open -= 1
        if status is None:  # cut off
            self.connection.close()
            return
        text = value if isinstance(value, str) else json.dumps(value)
        self.send_response(status)
        for name, said in {"Content-Type": "application/json", "Content-Length": str(len(text.encode())), **headers}.items():
            self.send_header(name, said)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *words):
        pass


def completion(path, text, finish="stop", n_tokens=3):
    usage = {"prompt_tokens": 5, "completion_tokens": n_tokens, "total_tokens": 5 + n_tokens}
    inner = {"message": {"role": "assistant", "content": text}} if "chat" in path else {"text": text}
    return {
        "id": "x",
        "object": "chat.completion" if "chat" in path else "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": finish, **inner}],
        "usage": usage,
    }


def asked(body):
    """The prompt, or the last message."""
    return body["prompt"] if "prompt" in body else body["messages"][-1]["content"]


def echo(path, body, number):
    return 200, completion(path, f"you said: {asked(body)}"), {}


@contextmanager
def serving(reply=echo, delay=0.0):
    server = AnswerServer(reply, delay)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
