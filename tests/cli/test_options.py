"""The way from words and options to a configuration."""

import pytest

from diverseevol.cli.options import NOWHERE, config_from
from diverseevol.errors import ConfigError

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
