"""A real server on loopback: `transformers serve` with a model."""

import importlib.util
import re
import subprocess
import sys
from contextlib import contextmanager

import pytest

SERVING = ("fastapi", "uvicorn", "openai")
SERVE = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"


def skip_without_it():
    absent = [name for name in SERVING if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"needs {', '.join(absent)} for `transformers serve`: pip install 'transformers[serving]'")


@contextmanager
def transformers_serve(model):
    """The address of `transformers serve` with a model, for as long as the block lasts; the system picks the port."""
    words = [sys.executable, "-c", SERVE, "serve", str(model), "--device", "cpu", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"running on (http://[\d.]+:\d+)", line):
                    break
            else:
                raise AssertionError("".join(said[-20:]))
            yield f"{found[1]}/v1"
        finally:
            process.kill()
            process.stderr.close()
