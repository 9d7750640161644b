"""The site builds strictly; its links lead somewhere; reading it fetches nothing."""

import ast
import importlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from doc_fences import ROOT

import diverseevol
from diverseevol.config import PRESETS, RunConfig, SourceConfig

pytest.importorskip("material", reason="needs mkdocs-material (pip install 'diverseevol[docs]')")
pytest.importorskip("mkdocstrings", reason="needs mkdocstrings (pip install 'diverseevol[docs]')")


class Page(HTMLParser):
    """What a page can be linked to by, and what it links to or loads."""

    def __init__(self, html):
        super().__init__()
        self.names, self.links, self.loaded = {""}, [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.names |= {given[name] for name in ("id", "name") if given.get(name)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag in ("link", "script", "img", "iframe", "source") and (given.get("href") or given.get("src")):
            self.loaded.append(given.get("href") or given["src"])


def broken(site):
    """(page, link) of every link inside the site that leads nowhere, and of everything that a page would fetch from outside."""
    pages = {file: Page(file.read_text("utf-8")) for file in site.rglob("*.html") if file.name != "404.html"}
    found = []
    for file, page in pages.items():
        outside = [link for link in page.loaded if urlsplit(link).scheme not in ("", "data") or link.startswith("//")]
        inside = [link for link in (*page.links, *page.loaded) if not urlsplit(link).scheme and not link.startswith("//")]
        for link in inside:
            parts = urlsplit(link)
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            names = pages[target].names if target in pages else {""}
            if not target.is_file() or unquote(parts.fragment) not in names:
                found.append((file.name, link))
        found += [(file.name, link) for link in outside]
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site").resolve() / "site"
    subprocess.run([sys.executable, ROOT / "docs/reference.py"], check=True, timeout=300)
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", out, "--config-file", ROOT / "mkdocs.yml"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    assert "WARNING" not in ended.stderr.replace("NO_MKDOCS_2_WARNING", "")
    return out


def test_links_inside_the_site_lead_somewhere_and_nothing_is_fetched(site):
    assert len(list(site.rglob("*.html"))) > 20
    assert broken(site) == []
    styles = "".join(file.read_text("utf-8") for file in site.rglob("*.css"))
    assert not re.search(r"""(url\(|@import)\s*["']?(https?:)?//""", styles)


def test_the_link_check_sees_what_is_broken(tmp_path):
    (tmp_path / "a.html").write_text(
        '<p id="x"><a href="b.html#y">1</a><a href="#x">2</a><a href="https://elsewhere">3</a><img src="i.png">'
    )
    (tmp_path / "b.html").write_text('<a href="a.html#x">4</a><a href="a.html#z">5</a><script src="https://cdn/x.js"></script>')
    assert sorted(broken(tmp_path.resolve())) == [
        ("a.html", "b.html#y"), ("a.html", "i.png"), ("b.html", "a.html#z"), ("b.html", "https://cdn/x.js"),
    ]  # fmt: skip


def test_every_key_with_its_explanation_is_in_the_configuration_reference(site):
    page = (ROOT / "docs/reference/configuration.md").read_text()
    for name, field in RunConfig.model_fields.items():
        assert f"### `{name}`" in page
        assert field.description.split("`")[0].split("{")[0].strip() in page
    for name in SourceConfig.model_fields:
        assert f"### `pool.sources[].{name}` {{#pool.sources.{name}}}" in page
    block = page[page.index("### `pool.max_bad`") :].split("### ")[1]
    assert block.splitlines()[2] == "number from 0 up to 1 · default `0.05`"
    block = page[page.index("### `prompt.template`") :].split("### ")[1]
    assert (
        block.splitlines()[2] == "`alpaca`, `chat`, `auto` · default `alpaca` · paper `alpaca` · modern `auto` · thrifty `auto`"
    )
    block = page[page.index("### `n_new`") :].split("### ")[1]
    assert block.splitlines()[2].startswith("whole number or list of whole numbers or `geometric` · default `100` · paper `100`")
    assert f"| `train.learning_rate` | `2.0e-05` | `{PRESETS['modern']['train']['learning_rate']}` |" in page


def test_every_verb_and_public_name_has_its_place(site):
    verbs = (ROOT / "docs/reference/cli.md").read_text()
    for verb in ("init", "plan", "run", "select", "compare"):
        assert f"## `diverseevol {verb}`" in verbs
        assert f"$ diverseevol {verb} " in verbs.split("**Example**")[-1] or f"$ diverseevol {verb} " in verbs
    html = (site / "reference/python.html").read_text()
    for name in set(diverseevol.__all__) - {"__version__"}:
        home = getattr(diverseevol, name).__module__
        assert f'id="{home}.{name}"' in html, name


def method_rows():
    lines = (ROOT / "docs/method.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "`diverseevol." in line]
    return [(module.strip("`"), name) for _, module, names in cells for name in re.findall(r"`([^`]+)`", names)]


@pytest.mark.parametrize("module, name", method_rows())
def test_the_methods_table_names_what_exists(module, name):
    value = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    if not name.isupper():
        assert value.__module__ == module


def test_the_methods_table_is_read_and_covers_the_paper():
    rows = method_rows()
    assert len(rows) > 25
    assert ("diverseevol.selection.k_center", "KCenter") in rows


def test_paths_that_the_pages_name_exist():
    named = set()
    for file in (ROOT / "docs").glob("*.md"):
        named |= set(re.findall(r"`((?:examples|benchmarks|configs|src/diverseevol)/[\w./]+\.\w+)`", file.read_text("utf-8")))
    assert "examples/custom_strategy.py" in named
    assert not [path for path in sorted(named) if not (ROOT / path).is_file()]


def test_the_papers_figures_stand_as_they_are_checked():
    """The published figures in docs/reproducing.md are those that the scoring's own test expects."""
    page = (ROOT / "docs/reproducing.md").read_text()
    tree = ast.parse((ROOT / "tests/evaluation/test_verdict.py").read_text())
    numbers = {f"{node.value:.2f}" for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, float)}
    shown = re.findall(r"\d\d\.\d\d", page[page.index("| K-Center |") : page.index("Full data:")])
    assert len(shown) == 22
    assert set(shown) <= numbers, sorted(set(shown) - numbers)
