import json
import re
import subprocess
import sys

import pytest
import yaml
from typer.testing import CliRunner

from diverseevol.cli.app import app


@pytest.fixture(scope="module")
def run_dir(made_model, pool_file, tmp_path_factory):
    """A real run of two rounds whose trainer hands the base model back, so that it takes seconds."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "trainer.sh").write_text('cp "$2"/* "$3"/\n')
    values = {
        "pool": {"path": str(pool_file), "holdout": 20}, "model": str(made_model), "out": str(folder / "r"), "rounds": 1, "n_init": 8, "n_new": 4,
        "prompt": {"max_length": 256},
        "train": {"command": f"sh {folder}/trainer.sh {{data}} {{base}} {{out}}"}, "keep_signals": "all",
    }  # fmt: skip
    (folder / "r.yaml").write_text(yaml.safe_dump(values))
    ended = CliRunner().invoke(app, ["run", str(folder / "r.yaml")])
    assert ended.exit_code == 0, ended.output
    return folder / "r"


def test_a_real_runs_page_without_torch(run_dir, tmp_path):
    script = (
        "import sys; from typer.testing import CliRunner; from diverseevol.cli.app import app; "
        "ended = CliRunner().invoke(app, sys.argv[1:]); assert ended.exit_code == 0, ended.output; assert 'torch' not in sys.modules; print(ended.stdout)"
    )
    out = tmp_path / "page.html"
    done = subprocess.run(
        [sys.executable, "-c", script, "report", str(run_dir), "--out", str(out)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert f"Wrote {out} (1." in done.stdout and list(tmp_path.iterdir()) == [out]
    page = out.read_text("utf-8")
    assert "k_center chose 12 of 200 rows" in page and "Held-out loss at 12 samples: " in page
    heldout = (run_dir / "heldout" / "ids.txt").read_text().split()
    picks = json.loads(re.search(r'id="page-data">(.*?)</script>', page, re.DOTALL)[1])["picks"]
    assert len(picks) == 12 and not set(heldout) & {pick["id"] for pick in picks}


def test_what_compare_leaves(made_model, pool_file, tmp_path):
    (tmp_path / "trainer.sh").write_text('cp "$2"/* "$3"/\n')
    words = [
        "--pool",
        pool_file,
        "--model",
        made_model,
        "--out",
        tmp_path / "c",
        "--rounds",
        1,
        "--n-init",
        8,
        "--n-new",
        4,
        "--seeds",
        "0,1",
        "--full",
    ]
    keys = ["pool.holdout=20", "prompt.max_length=256", f"train.command=sh {tmp_path}/trainer.sh {{data}} {{base}} {{out}}"]
    ended = CliRunner().invoke(app, [str(word) for word in ("compare", *words, *keys)])
    assert ended.exit_code == 0, ended.output
    ended = CliRunner().invoke(app, ["report", str(tmp_path / "c"), "--out", str(tmp_path / "c.html")])
    assert ended.exit_code == 0, ended.output
    page = (tmp_path / "c.html").read_text("utf-8")
    assert '<h1 dir="auto">c: k_center against random against full</h1>' in page
    assert "k_center (12 samples) against random (12):" in page and "equal response tokens: " in page
    assert "2 seeds are few" in page
    names = ("k_center, mean of 2 seeds", "random, mean of 2 seeds", "the whole pool")
    assert all(f'"name":"{name}"' in page for name in names)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nowhere", "--out", "a.html"), 1, "nowhere is neither a run folder (it has no config.yaml) nor a finished comparison"),
        (("RUN", "--out", "a.pdf"), 1, "--out is 'a.pdf', which is no page's name. Give a name that ends in .html."),
        (("RUN", "--out", "a.html", "--labels", "nope"), 1, "--labels needs a column 'nope', which no record has."),
        (("--out", "a.html"), 2, "Missing argument"),
        (("RUN", "--out", "a.html", "--map", "tsne"), 2, "'tsne' is not one of"),
    ],
)
def test_what_is_wrong_is_said(run_dir, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["report", *(str(run_dir) if word == "RUN" else word for word in words)])
    said = str(ended.exception) if code == 1 else " ".join(ended.output.replace("│", " ").split())
    assert message in said
    assert code == 1 or ended.exit_code == 2
    assert list(tmp_path.iterdir()) == []
