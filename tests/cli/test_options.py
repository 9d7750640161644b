"""Settings: keys of a section as options or words, explained in --help, refused in words."""

import subprocess
import sys

import pytest
import typer
from pydantic import Field

from diverseevol.cli.options import NOWHERE, as_words, config_from, read_settings
from diverseevol.config.schema import PathText, Section
from diverseevol.errors import ConfigError


class Tea(Section):
    """A cup."""

    sort: str = "green"
    """Leaves."""
    n_minutes: int | None = Field(default=None, ge=1)
    """How long it draws."""
    milk: bool = False
    """With milk."""
    shelf: PathText | None = None
    """Where it lies."""


def words(*args, declared=("--out",)):
    return list(as_words(args, Tea.model_fields, set(declared)))


def test_options_of_a_section_become_words():
    assert words("a", "--n-minutes", "3", "--milk", "--sort=a=b", "x=1") == ["a", "n_minutes=3", "milk=true", "sort=a=b", "x=1"]
    assert words("--out", "o", "--sorts", "x", "--n_minutes", "4") == ["--out", "o", "--sorts", "x", "n_minutes=4"]
    assert words("--milk", "--sort", "1e5", declared=("--milk",)) == ["--milk", "sort=1e5"]
    with pytest.raises(typer.BadParameter, match="--n-minutes needs a value"):
        words("--n-minutes")


def test_words_are_checked_and_the_others_left():
    tea, others = read_settings(Tea, ["runs/a", "sort=1e5", "n_minutes=3", "top_k=5"])
    assert (tea.sort, tea.n_minutes, tea.milk, others) == ("1e5", 3, False, ["runs/a", "top_k=5"])
    assert read_settings(Tea, None) == (Tea(), [])
    assert [read_settings(Tea, [f"shelf={path}"])[0].shelf for path in ("2024", "[a]: b")] == ["2024", "[a]: b"]
    with pytest.raises(ConfigError, match="n_minutes is 0: it should be greater than or equal to 1"):
        read_settings(Tea, ["n_minutes=0"])
    with pytest.raises(ConfigError, match="milk is 'maybe': it should be a valid boolean"):
        read_settings(Tea, ["milk=maybe"])


def test_help_explains_them():
    said = subprocess.run([sys.executable, "-m", "diverseevol", "run", "--help"], capture_output=True, text=True).stdout
    assert "--n-init" in said and "Samples of round 0. [default: 100]" in said
    said = subprocess.run([sys.executable, "-m", "diverseevol", "run", "--ronds", "3"], capture_output=True, text=True)
    assert (said.returncode, "--ronds" in said.stderr) == (2, True)


GIVEN = {"pool.path": "p", "model": "m", "out": None}


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("out: runs/mine\n")
    return str(file)


def test_the_run_folder_is_the_options_then_the_files_and_otherwise_nowhere(file):
    assert config_from([file], None, GIVEN, needs_out=False).out == "runs/mine"
    assert config_from([file], None, GIVEN | {"out": "o"}, needs_out=False).out == "o"
    assert config_from([file, "out=w"], None, GIVEN, needs_out=False).out == "w"
    assert config_from([], None, GIVEN, needs_out=False).out == NOWHERE
    with pytest.raises(ConfigError, match="out is not set. Set it in the config file, as --out, or as out="):
        config_from([], None, GIVEN)
