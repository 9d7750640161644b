"""Every command, program and configuration in README.md and docs/ works, or says why it is not tried."""

import json
import shutil
import tomllib

import pytest
import typer
import yaml
from api_server import serving
from doc_fences import FENCES, INLINE, commands_of, parts_of
from doc_workplace import SMALL, Workplace, prepare
from typer.main import get_command

import diverseevol.compare
import diverseevol.config
from diverseevol import load_config
from diverseevol.cli.app import app
from diverseevol.config import SourceConfig
from diverseevol.data.formats import Reader
from diverseevol.demo import show

pytest.importorskip("openai", reason="needs the package openai (pip install 'diverseevol[judge]')")
VERBS = {name: verb for name, verb in get_command(app).commands.items() if not verb.hidden}


def of(language):
    found = [fence for fence in FENCES if fence.language == language and fence.mark not in ("not run", "not a config")]
    return pytest.mark.parametrize("fence", found, ids=str)


@pytest.fixture(scope="module")
def workplace(made_model, tmp_path_factory):
    """The place in which documented commands run, with a server that answers and judges."""
    root = tmp_path_factory.mktemp("docs")
    prepare(root / "prepared", made_model)
    with serving(lambda asked: "8 6\nbecause" if "answer 2]" in asked.prompt else "7") as server:
        yield Workplace(root, server.url)


@pytest.fixture
def place(fence, workplace, made_model, monkeypatch):
    place = workplace.of(fence.page)
    monkeypatch.chdir(place)
    monkeypatch.setenv("DIVERSEEVOL_BENCHMARKS", str(place / "benchmarks"))
    monkeypatch.setenv("OPENAI_BASE_URL", workplace.url)
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setattr(show, "made_model", lambda out_dir, **_: shutil.copytree(made_model, out_dir))
    return place


@of("sh")
def test_commands_run(fence, place, workplace, monkeypatch):
    def checked(experiment, watch):
        experiment.check()
        raise typer.Exit

    monkeypatch.setattr(diverseevol.compare, "compare_strategies", checked)
    for words in commands_of(fence.text):
        workplace.call(words, fence.page)


@of("python")
def test_programs_run(fence, place, monkeypatch):
    import numpy as np

    small = lambda options: load_config(None, [*SMALL, "out=runs/program"], None, options)  # noqa: E731
    monkeypatch.setattr(diverseevol.config, "load_config", small)
    exec(compile(fence.text, str(fence), "exec"), {"__name__": "fence", "chosen_rows": np.arange(200)})


@of("yaml")
def test_configurations_load(fence, place):
    (place / "fence.yaml").write_text(fence.text)
    base = {"pool": "pool.jsonl", "model": "path/to/model", "out": "runs/fence"}
    given = yaml.safe_load(fence.text)
    config = load_config(place / "fence.yaml", options={key: value for key, value in base.items() if key not in given})
    for source in config.pool.all_sources():
        Reader.of(source)


@of("json")
def test_records_are_read(fence):
    assert fence.mark == "format", f"{fence}: say <!-- format: NAME --> before a record"
    name, sample = Reader.of(SourceConfig(path="x")).read(json.loads(fence.text))
    assert name == fence.reason
    assert any(turn.is_trained for turn in sample.turns)


def test_every_fence_is_of_a_kind_that_is_tried_or_plain_text():
    assert all(tomllib.loads(fence.text) for fence in FENCES if fence.language == "toml")
    assert {fence.language for fence in FENCES} <= {"sh", "python", "yaml", "json", "toml", "text", ""}
    assert sum(fence.language == "sh" for fence in FENCES) > 20
    assert not [
        str(fence) for fence in FENCES if fence.language in ("text", "") and fence.text.startswith(("diverseevol ", "$ "))
    ]


@pytest.mark.parametrize("page, code", INLINE)
def test_commands_in_the_text_name_verbs_and_options_that_exist(page, code):
    verb, *words = code.split()[1:]
    options = {name for parameter in VERBS[verb].params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, f"{page}: {code}"


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_the_example_in_a_verbs_help_is_understood(verb):
    examples = list(commands_of(VERBS[verb].epilog.removeprefix("Example: ").split(" · ")[0]))
    assert examples
    for words in examples:
        assert words[:2] == ["diverseevol", verb]
        VERBS[verb].make_context(verb, words[2:])


def test_marks_and_continued_lines_are_seen():
    text = "<!-- not run: why -->\n```sh\nvllm serve\n```\n\n`b c`\n\n```sh\na \\\n  -b  # c\n```\n"
    (first, second), inline = parts_of(text)
    assert (first, inline) == ((2, "sh", "vllm serve\n", "not run", "why"), ["b c"])
    assert (second[1:2], list(commands_of(second[2]))) == (("sh",), [["a", "-b"]])
