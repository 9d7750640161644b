"""Every command, program and configuration in README.md and docs/ works, or says why it is not tried."""

import json
import shutil
import tomllib
from collections import Counter

import pytest
import typer
import yaml
from doc_fences import FENCES, PAGES, commands_of, fences_of, inline_commands
from doc_workplace import SMALL, SMALL_DEMO
from typer.main import get_command

import diverseevol.compare
import diverseevol.config
from diverseevol import load_config
from diverseevol.cli.app import app
from diverseevol.config import SourceConfig
from diverseevol.data.formats import Reader
from diverseevol.demo import show
from diverseevol.demo.pool import make_heldout

pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")


def of(*languages):
    found = [fence for fence in FENCES if fence.language in languages and fence.mark not in ("not run", "not a config")]
    return pytest.mark.parametrize("fence", found, ids=str)


@pytest.fixture
def place(fence, workplace, made_model, monkeypatch):
    place = workplace.of(fence.page)
    monkeypatch.chdir(place)
    monkeypatch.setenv("DIVERSEEVOL_BENCHMARKS", str(place / "benchmarks"))
    monkeypatch.setenv("OPENAI_BASE_URL", workplace.url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setattr(show, "made_model", lambda out_dir, **_: shutil.copytree(made_model, out_dir))
    monkeypatch.setattr(show, "load_config", lambda file, options: load_config(file, SMALL_DEMO, options=options))
    monkeypatch.setattr(show, "make_heldout", lambda seed: make_heldout(1, seed))
    return place


@of("sh", "bash", "shell")
def test_commands_run(fence, place, workplace, monkeypatch):
    def checked(experiment, watch):
        experiment.check()
        raise typer.Exit

    monkeypatch.setattr(diverseevol.compare, "compare_strategies", checked)
    for words in commands_of(fence.text):
        workplace.call(words, fence.page)


@of("python")
def test_programs_run(fence, place, workplace, monkeypatch):
    import numpy as np

    real, experiment = load_config, diverseevol.compare.Experiment
    small = lambda file=None, overrides=(), preset=None, options=None: real(  # noqa: E731
        file, [*overrides, *SMALL, "out=runs/program"], preset, options
    )
    monkeypatch.setattr(diverseevol.config, "load_config", small)
    monkeypatch.setattr(
        diverseevol.compare, "Experiment", lambda *a, **more: experiment(*a, **{**more, "seeds": (0,), "is_one_time": False})
    )
    names = {"__name__": "fence", "chosen_rows": np.arange(200)}
    exec(compile(fence.text, str(fence), "exec"), names)


@of("yaml")
def test_configurations_load(fence, place, workplace):
    documents = list(yaml.safe_load_all(fence.text))
    if any("kind" in document for document in documents):  # Kubernetes: what its container starts
        pods = [document["spec"]["template"]["spec"] for document in documents if document["kind"] == "Job"]
        commands = [container["command"] for pod in pods for container in pod["containers"]]
        assert commands
        for words in commands:
            workplace.call(words, fence.page)
        return
    (place / "fence.yaml").write_text(fence.text)
    base = {"pool": "pool.jsonl", "model": "path/to/model", "out": "runs/fence"}
    needed = {key: value for key, value in base.items() if key not in documents[0]}
    config = load_config(place / "fence.yaml", options=needed | ({"n_new": 1} if "budget" in documents[0] else {}))
    assert config.out
    for source in config.pool.all_sources():
        Reader.of(source)


def records_of(text):
    """JSON values one after another, which may be folded over several lines."""
    while text:
        record, end = json.JSONDecoder().raw_decode(text)
        yield record
        text = text[end:].lstrip()


@of("json")
def test_records_are_read(fence):
    assert fence.mark == "format", f"{fence}: say <!-- format: NAME --> before a record"
    reader = Reader.of(SourceConfig(path="x"))
    for record in records_of(fence.text):
        name, sample = reader.read(record)
        assert name == fence.reason
        assert any(turn.is_trained for turn in sample.turns)


@of("toml")
def test_toml_is_read(fence):
    assert tomllib.loads(fence.text)


def test_every_fence_is_of_a_kind_that_is_tried_or_plain_text():
    kinds = Counter(fence.language for fence in FENCES)
    assert set(kinds) <= {"sh", "python", "yaml", "json", "toml", "text"}
    assert kinds["sh"] > 20
    assert all(fence.reason for fence in FENCES if fence.mark)
    assert not [str(fence) for fence in FENCES if fence.language == "text" and fence.text.startswith(("diverseevol ", "$ "))]


@pytest.mark.parametrize("page, code", inline_commands())
def test_commands_in_the_text_name_verbs_and_options_that_exist(page, code):
    verbs = get_command(app).commands
    verb, *words = code.split()[1:]
    if verb.startswith("-") or verb == "VERB":
        return
    assert verb in verbs, f"{page}: {code}"
    options = {name for parameter in verbs[verb].params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, f"{page}: {code}"


@pytest.mark.parametrize("verb", sorted(get_command(app).commands))
def test_the_example_in_a_verbs_help_is_understood(verb):
    command = get_command(app).commands[verb]
    examples = list(commands_of(command.epilog.removeprefix("Example: ").split(" · ")[0]))
    assert examples
    for words in examples:
        assert words[:2] == ["diverseevol", verb]
        command.make_context(verb, words[2:])


def test_marks_and_indented_commands_are_seen(tmp_path, monkeypatch):
    monkeypatch.setattr("doc_fences.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: why -->\n```sh\nvllm serve\n```\n\nText\n\n    diverseevol status x  # y\n\n```sh\na \\\n  -b  # c\n```\n"
    )
    first, second, third = fences_of(page)
    assert (first.mark, first.reason, first.line) == ("not run", "why", 2)
    assert (second.language, second.mark, list(commands_of(second.text))) == ("sh", "", [["diverseevol", "status", "x"]])
    assert list(commands_of(third.text)) == [["a", "-b"]]
    assert len(PAGES) > 15
