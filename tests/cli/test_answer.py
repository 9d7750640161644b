import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from api_server import echo, serving
from typer.testing import CliRunner

from diverseevol import evolve, load_config
from diverseevol.cli.app import app
from diverseevol.errors import ConfigError, EvaluationError, ModelError, RunFolderError
from diverseevol.models.load import load_model, load_tokenizer

N = 9


@pytest.fixture(scope="module")
def question_file(tmp_path_factory):
    file = tmp_path_factory.mktemp("questions") / "q.jsonl"
    texts = [f"What is {'really ' * (5 * n % 7)}number {n}?" for n in range(N)]
    file.write_text(
        "".join(json.dumps({"id": f"q{n}", "question": text, "category": "c"}) + "\n" for n, text in enumerate(texts))
    )
    return file


@pytest.fixture(scope="module")
def run_dir(lively_model, pool_file, tmp_path_factory):
    """Two rounds with adapters, of which the last is kept."""
    out = tmp_path_factory.mktemp("run") / "r"
    options = {"pool.path": str(pool_file), "model": str(lively_model), "out": str(out), "rounds": 1, "n_init": 8, "n_new": 4}
    options |= {"train.num_train_epochs": 1, "train.learning_rate": 1e-1, "train.total_batch_size": 8, "train.method": "lora"}
    assert len(list(evolve(load_config(options=options | {"prompt.max_length": 256})))) == 2
    return out


def answer(*words):
    """Call the verb in this process; what it raises is raised."""
    ended = CliRunner().invoke(app, ["answer", *map(str, words), "--max-new-tokens", "6"], catch_exceptions=False)
    return ended


def lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_round_and_the_base_model(run_dir, question_file):
    word = f"my={question_file}:question"
    assert answer(run_dir, "--benchmark", word, "--sampling", "greedy", "--round", "all").exit_code == 0
    folder = run_dir / "answers" / "my"
    assert sorted(item.name for item in folder.glob("*.jsonl")) == ["base.jsonl", "round-01.jsonl"]
    base, tuned = lines(folder / "base.jsonl"), lines(folder / "round-01.jsonl")
    assert [line["question_id"] for line in base] == [line["question_id"] for line in tuned] == [f"q{n}" for n in range(N)]
    assert {line["model"] for line in base} == {"base model"}
    assert {line["model"] for line in tuned} == {"round 1"}
    assert [line["answer"] for line in base] != [line["answer"] for line in tuned]
    settings = json.loads((folder / "round-01.settings.json").read_text())
    assert settings["sampling"] == "greedy"
    assert settings["model"] != json.loads((folder / "base.settings.json").read_text())["model"]


def test_the_adapter_answers_not_its_base(run_dir, question_file):
    """Against the library, for one question."""
    from diverseevol.config import PromptConfig
    from diverseevol.evaluation.answer_local import Prompts
    from diverseevol.evaluation.questions import Question
    from diverseevol.text.tokens import Encoder

    name = str(run_dir / "rounds/01/model")
    model = load_model(name).eval()
    tokenizer = load_tokenizer(name)
    (text,) = (line["question"] for line in lines(run_dir / "answers/my/round-01.jsonl")[:1])
    ids = torch.tensor([Prompts(Encoder(tokenizer, PromptConfig()), tokenizer, 512, 6).make(Question(0, (text,))).ids])
    new = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
    assert lines(run_dir / "answers/my/round-01.jsonl")[0]["answer"] == tokenizer.decode(new, skip_special_tokens=True)


def test_the_same_command_again_does_nothing_and_another_is_refused(run_dir, question_file):
    words = (run_dir, "--benchmark", f"my={question_file}:question", "--sampling", "greedy")
    file = run_dir / "answers" / "my" / "round-01.jsonl"
    before = file.stat().st_mtime_ns
    answer(*words)
    assert file.stat().st_mtime_ns == before
    with pytest.raises(EvaluationError, match=r"another seed \(0 then, 3 now\). Give --overwrite"):
        answer(*words, "--seed", "3")
    answer(*words, "--batch-size", "1", "--overwrite")
    assert file.stat().st_mtime_ns != before


def test_rounds_that_are_not_there(run_dir, question_file):
    words = (run_dir, "--benchmark", f"my={question_file}:question", "--round")
    with pytest.raises(
        RunFolderError, match="round 0's model was not kept in .* Run with keep: all, or answer with --round last or base"
    ):
        answer(*words, "0")
    with pytest.raises(RunFolderError, match="round 7 of"):
        answer(*words, "7")
    with pytest.raises(ConfigError, match="give a round's number, last or best"):
        answer(*words, "newest")


@pytest.mark.parametrize("name", ["../up", "a/b", "..", ".hidden", "-x", "a\\b", "a\0b", "x" * 300, "/etc"])
def test_hostile_names_are_no_folders(run_dir, question_file, name):
    before = sorted(run_dir.rglob("*"))
    with pytest.raises(ConfigError, match="is no name for a file"):
        answer(run_dir, "--benchmark", f"{name}={question_file}:question")
    assert sorted(run_dir.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "m"], "give a RUN, whose folder takes the answers, or --out FILE"),
        (["--out", "a.jsonl"], "no model to ask"),
        (["run", "--model", "m"], "a RUN has its own models"),
        (["run", "--out", "a.jsonl"], "give a RUN"),
        (["run", "--base-url", "http://x/v1"], "--base-url and --served-model belong together"),
        (["run", "--base-url", "http://x/v1", "--served-model", "m", "--round", "all"], "a server has one model"),
        (["run", "--benchmark", "vicuna"], "name each once"),
        (["--model", "m", "--out", "a", "--benchmark", "koala"], "only one with --out"),
    ],
)
def test_options_that_do_not_fit(words, message):
    with pytest.raises(ConfigError, match=message):
        answer("--benchmark", "vicuna", *words)


@pytest.mark.parametrize("words", [["--sampling", "beam"], ["--dtype", "int8"], ["template=x"]])
def test_words_that_a_setting_does_not_know(words):
    value = words[-1].removeprefix("template=")
    with pytest.raises(ConfigError, match=f"is '{value}': give "):
        answer("run", "--benchmark", "vicuna", *words)


def test_a_mistake_is_found_without_torch(tmp_path):
    code = (
        "import sys; from typer.testing import CliRunner; from diverseevol.cli.app import app;"
        "found = CliRunner().invoke(app, ['answer', 'none', '--benchmark', 'my=none.jsonl:q']);"
        "sys.exit(type(found.exception).__name__ != 'EvaluationError' or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
    with pytest.raises(EvaluationError, match="no questions at"):
        answer(tmp_path, "--benchmark", "my=none.jsonl:q")


def test_a_model_without_a_run(made_model, question_file, tmp_path):
    file = tmp_path / "new" / "a.jsonl"
    answer("--model", made_model, "--benchmark", f"my={question_file}:question", "--out", file)
    assert len(lines(file)) == N
    with pytest.raises(ModelError, match="no such folder"):
        answer("--model", tmp_path / "none", "--benchmark", f"my={question_file}:question", "--out", tmp_path / "b.jsonl")


def command(made_model, question_file, file, n_processes=1, *words):
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(n_processes)] if n_processes > 1 else []
    options = ["--model", made_model, "--benchmark", f"my={question_file}:question", "--out", file, "--batch-size", "2", *words]
    return [sys.executable, *launcher, "-m", "diverseevol", "answer", *map(str, options)]


def test_killed_and_resumed_on_two_ranks_is_as_if_left_alone(lively_model, question_file, tmp_path):
    """kill -9 in the middle; then two processes answer the rest."""
    long = ("--max-new-tokens", "100")
    killed, alone = tmp_path / "killed.jsonl", tmp_path / "alone.jsonl"
    parts = killed.with_suffix(".unfinished")
    with subprocess.Popen(command(lively_model, question_file, killed, 1, *long), stderr=subprocess.PIPE, text=True) as process:
        while not any(part.stat().st_size for part in parts.glob("*.jsonl")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    n_before = sum(len(part.read_text().splitlines()) for part in parts.glob("*.jsonl"))
    assert 0 < n_before < N and not killed.exists()
    ended = subprocess.run(command(lively_model, question_file, killed, 2, *long), capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr
    assert f"{n_before} of {N} questions are answered already" in ended.stderr
    CliRunner().invoke(app, command(lively_model, question_file, alone, 1, *long)[3:], catch_exceptions=False)
    assert lines(killed) == lines(alone)
    assert not parts.exists()


def test_the_key_is_taken_from_the_environment_and_shown_nowhere(question_file, tmp_path, monkeypatch):
    pytest.importorskip("openai", reason="needs the openai client: pip install 'diverseevol[judge]'")
    monkeypatch.setenv("MY_KEY", "sk-very-secret-key")
    file = tmp_path / "a.jsonl"
    with serving(echo) as server:
        words = ("--base-url", server.url, "--served-model", "m", "--key-variable", "MY_KEY", "--out", file)
        ended = answer("--benchmark", f"my={question_file}:question", *words)
    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer sk-very-secret-key"}
    assert {asked.path for asked in server.asked} == {"/v1/chat/completions"}
    assert [line["answer"] for line in lines(file)][:1] == ["you said: What is number 0?"]
    written = "".join(item.read_text() for item in tmp_path.rglob("*") if item.is_file())
    assert "very-secret" not in written + ended.output
    assert "served_model" in (tmp_path / "a.settings.json").read_text()
    assert os.environ["MY_KEY"] == "sk-very-secret-key"
