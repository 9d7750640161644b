"""A real server: `transformers serve` with the TinyStories model, whose verdicts are nonsense, so all of them are unreadable."""

import json
import shutil

import api_server as server
import pytest
from transformers_server import skip_without_it, transformers_serve


@pytest.fixture(scope="module")
def tiny_model(shared_data, tmp_path_factory):
    """The TinyStories model with the chat template that it lacks: the messages, one after the other."""
    skip_without_it()
    model = tmp_path_factory.mktemp("served") / "tiny"
    shutil.copytree(shared_data / "models" / "tinystories-656k", model)
    model.chmod(0o755)
    (model / "chat_template.jinja").write_text("{% for message in messages %}{{ message['content'] }} {% endfor %}")
    return model


def test_nonsense_is_kept_as_unreadable(tiny_model, tmp_path):
    from diverseevol.cli.app import app

    ours = server.answer_lines(2, lambda i: 3, tmp_path / "ours.jsonl")
    theirs = server.answer_lines(2, lambda i: 8, tmp_path / "theirs.jsonl")
    words = ["judge", "--answers", ours, "--opponent", theirs, "--out", tmp_path / "v.jsonl", "--model", tiny_model, "--yes"]
    with transformers_serve(tiny_model) as url:
        words += ["--base-url", url, "--attempts", 2, "max_tokens=8"]
        app(list(map(str, words)), standalone_mode=False)
    verdicts = [json.loads(line) for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert [(v["question_id"], v["order"]) for v in verdicts] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(v["score"] is None and v["problem"] for v in verdicts)
    assert all(v["reply"] for v in verdicts)
    assert {v["answered_by"].partition("@")[0] for v in verdicts} == {str(tiny_model)}
