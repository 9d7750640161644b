import re
import subprocess
import sys

import pytest

from diverseevol.cli.embed import SIGNALS_HELP, asked_signals
from diverseevol.errors import ConfigError
from diverseevol.selection import Signal


def test_signals_by_name():
    assert asked_signals("embedding") == {Signal.EMBEDDING}
    assert asked_signals("loss, paper_margin") == {Signal.LOSS, Signal.PAPER_MARGIN}
    with pytest.raises(ConfigError, match="no signal is called 'los'. Known: embedding, paper_confidence, .*, answer_loss."):
        asked_signals("loss,los")
    with pytest.raises(ConfigError, match="no signal is called ''"):
        asked_signals("loss,")


def test_the_help_names_every_signal():
    assert set(Signal) <= set(re.findall(r"\w+", SIGNALS_HELP))


def test_names_are_checked_without_torch():
    code = "import sys; from diverseevol.cli.embed import asked_signals; asked_signals('loss'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
