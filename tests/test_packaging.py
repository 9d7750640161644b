"""What is shipped: the wheel, built from the sdist, holds the package and nothing else, and names everything that it imports."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml

from diverseevol import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODULE_OF = {"huggingface_hub": "huggingface-hub", "lm_eval": "lm-eval", "sentence_transformers": "sentence-transformers"}
MODULE_OF |= {"sklearn": "scikit-learn", "umap": "umap-learn", "yaml": "pyyaml"}
# Used by transformers, TRL and torch, which do not require it themselves: for training, for 4-bit weights, for TensorBoard's files.
FOR_OTHERS = {"accelerate", "bitsandbytes", "tensorboard"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    for name in ("build", "hatchling"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs the package {name} (the extra dev)")
    out = tmp_path_factory.mktemp("dist")
    words = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]  # the sdist, and the wheel from it
    ended = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert len(list(out.glob("*.tar.gz"))) == 1
    with zipfile.ZipFile(next(out.glob("*.whl"))) as file:
        yield file


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    here = {file.relative_to(ROOT / "src").as_posix() for file in (ROOT / "src/diverseevol").rglob("*") if file.is_file()}
    here = {name for name in here if "__pycache__" not in name}
    names = set(wheel.namelist())
    about = {name for name in names if name.startswith("diverseevol-")}
    assert names - about == here
    assert {"diverseevol/py.typed", "diverseevol/evaluation/templates/pairwise.txt"} <= names
    assert {name.split("/", 1)[1] for name in about} == {
        "METADATA",
        "WHEEL",
        "RECORD",
        "entry_points.txt",
        "licenses/LICENSE",
    }
    licence = next(name for name in about if name.endswith("LICENSE"))
    assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()


def test_its_metadata_name_python_and_the_program(wheel):
    about = next(name for name in wheel.namelist() if name.endswith("METADATA"))
    metadata = message_from_bytes(wheel.read(about))
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    base = {name_of(line) for line in metadata.get_all("Requires-Dist") if "extra ==" not in line}
    assert base == {name_of(line) for line in PROJECT["dependencies"]}
    assert "diverseevol = diverseevol.cli:main" in wheel.read(about.replace("METADATA", "entry_points.txt")).decode()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower()


def test_everything_that_is_imported_is_required_and_the_other_way_round():
    required = {name_of(line) for line in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"]
    optional = {name_of(line) for extra, lines in extras.items() if extra not in ("dev", "docs") for line in lines}
    imported = {MODULE_OF.get(name, name) for name in imported_modules()}
    assert imported - required - optional == set()
    assert required | optional == imported | FOR_OTHERS


def imported_modules():
    """Top-level modules that any file of the package imports, at whatever place in it."""
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module else []
            yield from {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"__future__"}
