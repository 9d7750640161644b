import os
import sys

import pytest

from diverseevol.errors import ModelError
from diverseevol.models.command import run_command

PLACES = {"data": "/a b/data.json", "base": "base model", "round": "2", "seed": "7"}


class Notes:
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


def run(tmp_path, script, arguments="{data} {base} {out} {round} {seed}"):
    file = tmp_path / "trainer.py"
    file.write_text(
        "import sys\nfrom pathlib import Path\ndata, base, out, round_, seed = sys.argv[1:]\nout = Path(out)\n" + script
    )
    notes = Notes()
    bills = []

    def on_tuned(cost):
        assert not (tmp_path / "model").exists()  # what is killed later has its bill
        bills.append(cost)

    run_command(f"{sys.executable} {file} {arguments}", PLACES, tmp_path / "model", tmp_path / "train.log", notes, on_tuned)
    return bills[0], notes.lines


def test_the_command_gets_its_places_quoted_and_leaves_a_model(tmp_path):
    cost, lines = run(tmp_path, "print(data, '|', base, '|', round_, seed)\n(out / 'config.json').write_text('{}')\n")
    assert "  /a b/data.json | base model | 2 7" in lines
    assert "/a b/data.json | base model | 2 7" in (tmp_path / "train.log").read_text()
    assert os.listdir(tmp_path / "model") == ["config.json"]
    assert cost.seconds > 0


def test_a_failing_command_says_status_and_last_words_and_leaves_nothing(tmp_path):
    with pytest.raises(ModelError, match=r"ended with status 3: loading / no such adapter\. Log: .*train\.log"):
        run(tmp_path, "print('loading')\nprint('no such adapter', file=sys.stderr)\nsys.exit(3)\n")
    assert not (tmp_path / "model").exists()
    assert not list(tmp_path.glob("model*"))


def test_a_command_that_leaves_no_model_is_an_error(tmp_path):
    with pytest.raises(ModelError, match=r"left no model: \{out\} holds notes\.txt"):
        run(tmp_path, "(out / 'notes.txt').write_text('x')\n")
    assert not (tmp_path / "model").exists()


def test_the_command_does_not_see_our_launcher(tmp_path, monkeypatch):
    monkeypatch.setenv("MASTER_PORT", "29500")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("LOCAL_RANK", "0")
    script = (
        "import os\nprint(sorted(k for k in os.environ if k in ('MASTER_PORT', 'LOCAL_RANK') or k.startswith('TORCHELASTIC')))\n"
    )
    _, lines = run(tmp_path, script + "(out / 'adapter_config.json').write_text('{}')\n")
    assert "  []" in lines
