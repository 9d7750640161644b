"""What opening a run checks and does: above all an outer model's vectors in place of those of the round's own: computed once, before anything is trained, and read in every round."""

import json
import shutil

import numpy as np
import pytest

from diverseevol import embed_pool, evolve, load_config
from diverseevol.config import EmbedConfig, PromptConfig
from diverseevol.data import Pool
from diverseevol.errors import ConfigError, RunFolderError

QUICK = ("train.num_train_epochs=1", "train.per_device_train_batch_size=8", "train.total_batch_size=8", "prompt.max_length=256")


def config(made_model, pool_file, out, *words, **options):
    given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 2, "n_init": 10, "n_new": 5}
    return load_config(None, (*QUICK, *words), options=given | options)


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def ids_of(rounds):
    return [round_.chosen_ids for round_ in rounds]


@pytest.fixture(scope="module")
def outer(outer_model, made_model, pool_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("outer") / "a"
    return out, list(evolve(config(made_model, pool_file, out, f"embed.model={outer_model}", "keep_signals=all")))


def expect_farthest(out, embeddings, seen=(None, None)):
    chosen = [line["row"] for line in lines(out / "rounds/00/chosen.jsonl")]
    for index in (1, 2):
        for line in lines(out / f"rounds/{index:02d}/chosen.jsonl"):
            nearest = np.sqrt(((embeddings[:, None] - embeddings[chosen]) ** 2).sum(-1)).min(1)
            nearest[chosen] = -1
            if seen[index - 1] is not None:
                nearest[np.setdiff1d(np.arange(len(embeddings)), seen[index - 1])] = -1
            assert line["row"] == int(nearest.argmax())
            assert line["distance"] == pytest.approx(nearest.max())
            chosen.append(line["row"])


def test_picks_are_the_farthest_by_its_vectors_of_plain_text(outer, outer_model):
    from sentence_transformers import SentenceTransformer

    out, rounds = outer
    pool = Pool.open(out / "pool")
    texts = ["\n".join(part for turn in pool.sample(row).turns for part in (turn.text, turn.input) if part) for row in range(200)]
    embeddings = np.load(out / "pool/embeddings/embeddings.npy")
    assert np.allclose(embeddings, SentenceTransformer(str(outer_model), device="cpu").encode(texts), atol=1e-6)
    expect_farthest(out, embeddings.astype(np.float64))
    assert [set(round_.metrics["stages"]) for round_ in rounds] == [
        {"select", "train", "embed_outer"},
        *[{"select", "train"}] * 2,
    ]
    assert not list(out.rglob("signals/embeddings.npy"))  # the rounds' models are not run over the pool


def test_unchosen_rows_are_explained_by_its_vectors(outer, tmp_path):
    from diverseevol.run.status import explain_sample

    out, _ = outer
    chosen = {line["row"] for index in range(3) for line in lines(out / f"rounds/{index:02d}/chosen.jsonl")}
    other = next(row for row in range(200) if row not in chosen)
    assert "by the outer model's embeddings" in explain_sample(out, str(other))["why"]
    started = shutil.copytree(out, tmp_path / "started")
    for done in started.rglob("done"):
        done.unlink()
    assert explain_sample(started, str(other))["why"].startswith("not chosen; no embeddings")


def test_a_part_of_the_pool_and_another_signal(outer, outer_model, made_model, pool_file, tmp_path):
    words = (f"embed.model={outer_model}", "keep_signals=all", "selection.candidates=0.2")
    list(evolve(config(made_model, pool_file, tmp_path / "b", *words, "selection.minimum={loss: 0}")))
    embeddings = np.load(tmp_path / "b/pool/embeddings/embeddings.npy")
    np.testing.assert_allclose(embeddings, np.load(outer[0] / "pool/embeddings/embeddings.npy"), rtol=0, atol=1e-6)
    seen = [np.load(tmp_path / f"b/rounds/{index:02d}/signals/rows.npy") for index in (0, 1)]
    assert [len(rows) for rows in seen] == [10 + 38, 15 + 37]
    expect_farthest(tmp_path / "b", embeddings.astype(np.float64), seen)
    assert (tmp_path / "b/rounds/01/signals/signals.parquet").exists()
    assert not (tmp_path / "b/rounds/01/signals/embeddings.npy").exists()


def test_resumed_it_is_not_loaded_again_and_must_be_the_same(outer, outer_model, made_model, pool_file, tmp_path, monkeypatch):
    model = shutil.copytree(outer_model, tmp_path / "model")
    settings = config(made_model, pool_file, tmp_path / "b", f"embed.model={model}")
    next(evolve(settings))
    with monkeypatch.context() as patched:
        patched.setattr("diverseevol.loop.embed_pool.load_outer", None)
        assert ids_of(evolve(settings)) == ids_of(outer[1])
    with pytest.raises(RunFolderError, match="another embed.model"):
        next(evolve(config(made_model, pool_file, tmp_path / "b")))
    (model / "1_Pooling/config.json").write_text(json.dumps({"embedding_dimension": 24, "pooling_mode": "cls"}))
    with pytest.raises(RunFolderError, match="the embed.model is not the one"):
        next(evolve(settings))


def test_an_adapter_is_no_base_for_full_tuning(made_model, pool_file, tmp_path):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter/adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(made_model)}))
    with pytest.raises(ConfigError, match="is an adapter, and train.method is full, .* Set train.method=lora to go on with the"):
        next(evolve(config(tmp_path / "adapter", pool_file, tmp_path / "b")))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train.lr_scheduler_type=cosin",), "train.lr_scheduler_type is 'cosin': .*cosin"),
        (("selector={model}", "final={train: {lr_scheduler_type: cosin}}"), "train.lr_scheduler_type is 'cosin': .*cosin"),
        (
            ("train.method=qlora",),
            r"needs the package bitsandbytes; it is not installed. Install it: pip install 'diverseevol\[qlora\]'",
        ),
    ],
)
def test_what_the_trainer_cannot_do_is_found_before_the_pool_is_read(
    made_model, pool_file, tmp_path, monkeypatch, words, message
):
    monkeypatch.setattr("diverseevol.loop.setup.find_spec", lambda name: None)
    words = [word.replace("{model}", str(made_model)) for word in words]
    with pytest.raises(ConfigError, match=message):
        next(evolve(config(made_model, pool_file, tmp_path / "run", *words)))
    assert not (tmp_path / "run/pool").exists()


def test_ones_own_trainer_is_not_asked_for_what_it_need_not_have(made_model, pool_file, tmp_path, monkeypatch):
    monkeypatch.setattr("diverseevol.loop.setup.find_spec", lambda name: None)
    words = ("train.command=cp {base}/* {out} && ls {data}", "train.method=qlora", "train.lr_scheduler_type=cosin", "rounds=0")
    (round_,) = evolve(config(made_model, pool_file, tmp_path / "run", *words))
    assert round_.n_chosen == 10


def test_embed_pool_keeps_what_is_there_of_the_same_pool_alone(made_model, pool_file, tmp_path, monkeypatch):
    vectors = embed_pool(str(made_model), pool_file, tmp_path / "e", prompt=PromptConfig(max_length=256))
    pool = Pool.open(tmp_path / "e/pool")
    assert vectors.shape == (len(pool), 32) and (tmp_path / "e/ids.txt").read_text().split() == pool.ids.tolist()
    monkeypatch.setattr("diverseevol.models.embed.open_files", None)  # computes nothing
    again = embed_pool(str(made_model), pool_file, tmp_path / "e", prompt=PromptConfig(max_length=256))
    assert again.tobytes() == vectors.tobytes()
    other = tmp_path / "other.jsonl"
    other.write_text(pool_file.read_text().split("\n")[0] + "\n")
    monkeypatch.undo()
    assert len(embed_pool(str(made_model), other, tmp_path / "e", prompt=PromptConfig(max_length=256))) == 1
    with pytest.raises(ConfigError, match="the outer model 'o' would not be read"):
        embed_pool("m", "p", tmp_path, EmbedConfig(model="o"))
