"""The site builds strictly, which checks its links; reading it fetches nothing; what its pages name exists."""

import importlib
import re
import subprocess
import sys

import pytest
from doc_fences import ROOT

import diverseevol
from diverseevol.config import PRESETS, RunConfig, SourceConfig

pytest.importorskip("material", reason="needs mkdocs-material (pip install 'diverseevol[docs]')")
pytest.importorskip("mkdocstrings", reason="needs mkdocstrings (pip install 'diverseevol[docs]')")
FETCHED = re.compile(
    r"""<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)="(?:https?:)?//|(?:url\(|@import)\s*["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "site"
    subprocess.run([sys.executable, ROOT / "docs/reference.py"], check=True, timeout=300)
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", out, "--config-file", ROOT / "mkdocs.yml"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    assert "WARNING" not in ended.stderr.replace("NO_MKDOCS_2_WARNING", "")
    return out


def test_reading_the_site_fetches_nothing(site):
    files = [file for file in site.rglob("*") if file.suffix in (".html", ".css") and file.name != "404.html"]
    assert site / "reference/python.html" in files
    assert [file.name for file in files if FETCHED.search(file.read_text("utf-8"))] == []
    assert FETCHED.search('<script defer src="https://cdn/x.js">')
    assert FETCHED.search("@import '//cdn/x.css'")


def test_every_key_with_its_explanation_is_in_the_configuration_reference(site):
    page = (ROOT / "docs/reference/configuration.md").read_text()
    facts = lambda key: page[page.index(f"### `{key}`") :].split("\n\n")[1]  # noqa: E731
    for name, field in RunConfig.model_fields.items():
        assert f"### `{name}`" in page
        assert field.description.split("`")[0].split("{")[0].strip() in page
    for name in SourceConfig.model_fields:
        assert f"### `pool.sources[].{name}` {{#pool.sources.{name}}}" in page
    assert facts("pool.max_bad") == "number from 0 up to 1 · default `0.05`"
    assert facts("prompt.template").startswith("`alpaca`, `chat`, `auto` · default `alpaca` · paper `alpaca` · modern `auto`")
    assert facts("n_new").startswith("whole number or list of whole numbers or `geometric` · default `100` · paper `100`")
    assert f"| `train.learning_rate` | `2.0e-05` | `{PRESETS['modern']['train']['learning_rate']}` |" in page


def test_every_verb_and_public_name_has_its_place(site):
    verbs = (ROOT / "docs/reference/cli.md").read_text()
    for verb in ("init", "plan", "run", "select", "compare"):
        assert f"## `diverseevol {verb}`" in verbs
        assert f"$ diverseevol {verb} " in verbs
    html = (site / "reference/python.html").read_text()
    for name in set(diverseevol.__all__) - {"__version__"}:
        assert f'id="{getattr(diverseevol, name).__module__}.{name}"' in html, name


def method_rows():
    """(module, name) of the table in docs/method.md, whose modules stand there without the package's name."""
    cells = re.findall(r"^\|[^|]*\| `([\w.]+)` \|(.*)\|$", (ROOT / "docs/method.md").read_text(), flags=re.MULTILINE)
    return [(f"diverseevol.{module}", name) for module, names in cells for name in re.findall(r"`([^`]+)`", names)]


@pytest.mark.parametrize("module, name", method_rows())
def test_the_methods_table_names_what_exists(module, name):
    value = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    assert name.isupper() or value.__module__ == module


def test_the_methods_table_is_read():
    assert len(method_rows()) > 20
    assert ("diverseevol.selection.k_center", "KCenter") in method_rows()


def test_paths_that_the_pages_name_exist():
    text = "".join(file.read_text("utf-8") for file in (ROOT / "docs").glob("*.md"))
    named = set(re.findall(r"\b((?:examples|benchmarks|configs|tests|src/diverseevol)/[\w./]+\.(?:py|sh|yaml))", text))
    assert "examples/custom_strategy.py" in named
    assert not [path for path in sorted(named) if not (ROOT / path).is_file()]


def test_the_papers_figures_stand_as_they_are_checked():
    """The published figures in docs/reproducing.md are those that the scoring's own tests expect."""
    page = (ROOT / "docs/reproducing.md").read_text()
    checked = "".join(
        file.read_text("utf-8") for where in ("evaluation", "acceptance") for file in (ROOT / "tests" / where).rglob("*.py")
    )
    numbers = {f"{float(number):.2f}" for number in re.findall(r"\d+\.\d+", checked)}
    shown = re.findall(r"\d\d\.\d\d", page[page.index("| K-Center |") : page.index("Full data:")])
    assert len(shown) == 22
    assert set(shown) <= numbers, sorted(set(shown) - numbers)
