"""The pool as one fixed model sees it: equal to a pass over the same file, made once, and never another model's."""

import json
import shutil

import numpy as np
import pytest

from diverseevol import embed_pool, load_config
from diverseevol.base.progress import SILENT
from diverseevol.errors import RunFolderError
from diverseevol.evaluation import base_embedding
from diverseevol.evaluation.base_embedding import fixed_embedding as embedded
from diverseevol.loop.setup import open_rounds
from diverseevol.run import locked

N = 40


@pytest.fixture(scope="module")
def pool_file(pool_file, tmp_path_factory):
    """Some rows, one of which is too long to be in the pool: rows of the tokens' store are not the pool's."""
    lines = pool_file.read_text().splitlines()[:N]
    record = json.loads(lines[5])
    too_long = json.dumps(record | {"instruction": "long " * 3000})
    file = tmp_path_factory.mktemp("pool") / "pool.jsonl"
    file.write_text("\n".join([*lines[:5], too_long, *lines[5:]]) + "\n")
    return file


def start_run(model, pool_file, out, **options):
    """A run whose pool is ready, and nothing trained."""
    given = {"pool.path": str(pool_file), "model": str(model), "out": str(out), "rounds": 0, "n_init": 1}
    config = load_config(options=given | options)
    with locked(out) as run:
        open_rounds(run, config, frozenset(), SILENT)
    return run


@pytest.fixture(scope="module")
def run(made_model, pool_file, tmp_path_factory):
    return start_run(made_model, pool_file, tmp_path_factory.mktemp("fixed") / "run")


@pytest.fixture(scope="module")
def other_model(tmp_path_factory):
    """Another width, and a tokenizer that cuts otherwise."""
    from diverseevol.demo.model import made_model

    return made_model(tmp_path_factory.mktemp("other") / "o ther", hidden_size=16, num_layers=1, vocab_size=300)


def expected(model, pool_file, tmp_path):
    return embed_pool(str(model), pool_file, tmp_path / "expected")


def no_model(*_):
    raise AssertionError("the model was loaded")


def test_is_the_untuned_base_model_and_made_once(run, made_model, pool_file, tmp_path, monkeypatch):
    found = embedded(run, None, SILENT)
    assert found.model == str(made_model)
    assert found.file == run.root / "signals" / "base" / "embeddings.npy"
    np.testing.assert_array_equal(np.load(found.file), expected(made_model, pool_file, tmp_path))
    monkeypatch.setattr(base_embedding, "load_model", no_model)
    assert embedded(run, None, SILENT) == found
    assert embedded(run, str(made_model), SILENT) == found  # the same model by its name


def test_another_model_cuts_the_pool_with_its_own_tokenizer(run, other_model, pool_file, tmp_path):
    found = embedded(run, str(other_model), SILENT)
    assert found.file.parent.parent == run.root / "signals"
    assert found.file.parent.name.startswith("o_ther-")
    vectors = np.load(found.file)
    assert vectors.shape == (N, 16)
    np.testing.assert_array_equal(vectors, expected(other_model, pool_file, tmp_path))
    assert np.load(embedded(run, None, SILENT).file).shape == (N, 32)


def test_a_base_model_that_has_changed_is_refused(made_model, pool_file, tmp_path):
    model = shutil.copytree(made_model, tmp_path / "model")
    run = start_run(model, pool_file, tmp_path / "run")
    settings = json.loads((model / "generation_config.json").read_text()) if (model / "generation_config.json").exists() else {}
    (model / "generation_config.json").write_text(json.dumps({**settings, "max_new_tokens": 7}))
    with pytest.raises(RunFolderError, match="is not, or no longer, the model that .*run was started with. Put that back"):
        embedded(run, None, SILENT)


def test_a_base_model_that_has_moved_is_named_by_its_new_place(made_model, pool_file, tmp_path):
    model = shutil.copytree(made_model, tmp_path / "model")
    run = start_run(model, pool_file, tmp_path / "run")
    model.rename(tmp_path / "moved")
    with pytest.raises(RunFolderError, match="name its new place"):
        embedded(run, None, SILENT)
    found = embedded(run, str(tmp_path / "moved"), SILENT)
    assert found.file.parent.name == "base"
    assert embedded(run, None, SILENT).file == found.file


def test_a_run_under_way_is_no_hindrance_but_another_pass_is(made_model, pool_file, tmp_path):
    run = start_run(made_model, pool_file, tmp_path / "run")
    with locked(run.root):
        with locked(run.fixed_dir("base")), pytest.raises(RunFolderError, match="signals/base is in use by process"):
            embedded(run, None, SILENT)
        assert embedded(run, None, SILENT).file.exists()


def test_leave_to_run_a_models_code_is_for_the_base_model_alone(made_model, other_model, pool_file, tmp_path, monkeypatch):
    run = start_run(made_model, pool_file, tmp_path / "run", trust_remote_code=True)
    asked = []
    load = base_embedding.load_model

    def noted(name, dtype, is_trusted, **kwargs):
        asked.append(is_trusted)
        return load(name, dtype, False, **kwargs)

    monkeypatch.setattr(base_embedding, "load_model", noted)
    embedded(run, None, SILENT)
    embedded(run, str(other_model), SILENT)
    assert asked == [True, False]


@pytest.mark.parametrize("name", ["../../x", "a/b/", "..", "Ünï code", "org/name"])
def test_a_models_name_never_becomes_a_path(name):
    slug = base_embedding._slug(name, "f")
    assert "/" not in slug
    assert "." not in slug
    assert slug != base_embedding._slug(name, "g")
