import json
import shutil

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from diverseevol.base.progress import SILENT
from diverseevol.cli.app import app
from diverseevol.config import EmbedConfig, load_config
from diverseevol.errors import ModelError, NonFiniteError
from diverseevol.loop.embed_pool import embed_folder
from diverseevol.models.embed import open_embeddings
from diverseevol.models.sentence import embed_texts, load_outer, outer_fingerprint

TEXTS = [" ".join(f"word{number % (row + 3)}" for number in range(1 + 7 * row % 23)) for row in range(19)]
N_CHARACTERS = np.array([len(text) for text in TEXTS])
IDS = [f"id-{row}" for row in range(len(TEXTS))]


@pytest.fixture
def model(outer_model):
    return load_outer(str(outer_model), EmbedConfig())


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("diverseevol.models.batches.SHARD_TOKENS", 150)


def embed(model, out_dir, text_of=TEXTS.__getitem__, fingerprint="a", **options):
    report = embed_texts(model, text_of, N_CHARACTERS, out_dir, EmbedConfig(**options), IDS, fingerprint)
    return np.array(open_embeddings(out_dir)), report


def test_the_vectors_are_those_of_one_text_at_a_time(model, small_shards, tmp_path):
    vectors, report = embed(model, tmp_path)
    expected = np.stack([model.encode([text])[0] for text in TEXTS])
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, expected, atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    lengths = [min(40, len(ids)) for ids in model.tokenizer(TEXTS).input_ids]
    assert report.n_tokens == report.n_tokens_now == sum(lengths)
    n_weights = sum(
        weight.numel() for name, weight in model.named_parameters() if "embeddings." not in name or "LayerNorm" in name
    )
    assert report.flops == 2 * n_weights * sum(lengths)
    assert (report.n_rows, report.width) == (19, 24)


def test_a_killed_pass_goes_on_behind_its_finished_shards(model, small_shards, tmp_path):
    expected, whole = embed(model, tmp_path / "whole")
    seen = []

    def until_row_is_reached(row):
        if len(seen) > 9:
            raise KeyboardInterrupt
        seen.append(row)
        return TEXTS[row]

    with pytest.raises(KeyboardInterrupt):
        embed(model, tmp_path / "cut", until_row_is_reached)
    assert not (tmp_path / "cut/embeddings.npy").exists()
    again = []
    vectors, report = embed(model, tmp_path / "cut", lambda row: again.append(row) or TEXTS[row])
    assert vectors.tobytes() == expected.tobytes()
    assert 2 < len(again) < len(TEXTS) + 1  # one is read to find the width
    assert report.n_tokens == whole.n_tokens > report.n_tokens_now
    embed(model, tmp_path / "cut", lambda row: again.append(row) or TEXTS[row])
    assert again[-1] == 0  # found finished
    other, _ = embed(model, tmp_path / "cut", lambda row: TEXTS[0], fingerprint="b")
    assert np.allclose(other, expected[0], atol=1e-6)


def test_batches_shrink_until_they_fit(model, tmp_path, monkeypatch):
    expected, _ = embed(model, tmp_path / "whole")
    plain, sizes = model.encode, []

    def encode(texts, batch_size, **options):
        sizes.append(batch_size)
        if batch_size > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return plain(texts, batch_size=batch_size, **options)

    monkeypatch.setattr(model, "encode", encode)
    vectors, report = embed(model, tmp_path / "small", tokens_per_batch=800)
    assert sizes == [1, 20, 18, 16, 14, 12, 10, 9, 8, 7, 6, 5]
    assert report.tokens_per_batch == 5 * 40
    assert np.allclose(vectors, expected, atol=1e-6)


def test_values_that_are_not_finite_name_their_rows(model, small_shards, tmp_path, monkeypatch):
    plain = model.encode
    monkeypatch.setattr(
        model,
        "encode",
        lambda texts, **options: np.where([[text == TEXTS[3]] for text in texts], np.nan, plain(texts, **options)),
    )
    with pytest.raises(
        NonFiniteError,
        match=r"1 of the 3 vectors of embed.model computed so far are NaN or infinite: ids id-3\. Set embed.dtype",
    ):
        embed(model, tmp_path)
    assert not (tmp_path / "embeddings.npy").exists()
    monkeypatch.undo()
    monkeypatch.setattr("diverseevol.models.batches.SHARD_TOKENS", 150)
    vectors, _ = embed(model, tmp_path)  # nothing of the bad shard is kept
    assert np.isfinite(vectors).all()


def test_what_cannot_be_loaded_says_why(outer_model, tmp_path, monkeypatch):
    with pytest.raises(
        ModelError,
        match=r"cannot load the sentence-transformers model \(embed.model\) 'nowhere/at/all': .*There is no such folder",
    ):
        load_outer("nowhere/at/all", EmbedConfig())
    with pytest.raises(
        ModelError, match=r"cannot load the sentence-transformers model \(embed.model\) 'no-such-model': .*as a Hub id it needs"
    ):
        load_outer("no-such-model", EmbedConfig())
    pickled = shutil.copytree(outer_model, tmp_path / "pickled")
    (pickled / "2_Dense").mkdir()
    (pickled / "2_Dense/pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match=r"has pickled weights, 2_Dense/pytorch_model.bin, which are not loaded"):
        load_outer(str(pickled), EmbedConfig())
    foreign = shutil.copytree(outer_model, tmp_path / "foreign")
    modules = json.loads((foreign / "modules.json").read_text())
    modules[1]["type"] = "collections.OrderedDict"
    (foreign / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ModelError, match="Set trust_remote_code=true if you have read its code"):
        load_outer(str(foreign), EmbedConfig())


def test_the_fingerprint_sees_the_modules_folders(outer_model, tmp_path):
    before = outer_fingerprint(str(outer_model))
    copy = shutil.copytree(outer_model, tmp_path / "copy")
    assert outer_fingerprint(str(copy)) == before
    (copy / "1_Pooling/config.json").write_text(json.dumps({"embedding_dimension": 24, "pooling_mode": "cls"}))
    assert outer_fingerprint(str(copy)) != before
    assert outer_fingerprint("all-mpnet-base-v2") == "all-mpnet-base-v2"


def test_plain_text_is_embedded_without_a_tokenizer_of_ours(outer_model, model, tmp_path):
    turns = [("system", "Be brief."), ("user", "Say one."), ("assistant", "one"), ("user", "And two?"), ("assistant", "two")]
    rows = [
        {"messages": [{"role": role, "content": text} for role, text in turns]},
        {"messages": [{"role": "user", "content": "x " * 3000}, {"role": "assistant", "content": "too long to train on"}]},
    ]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"pool.path": str(tmp_path / "pool.jsonl"), "model": "unused", "embed.model": str(outer_model), "rounds": 0}
    for _ in range(2):
        embed_folder(load_config(options={**options, "out": str(tmp_path / "e")}), SILENT)
    vectors = np.load(tmp_path / "e/embeddings.npy")
    expected = [model.encode(["Say one.\none\nAnd two?\ntwo"])[0], model.encode(["x " * 3000 + "\ntoo long to train on"])[0]]
    assert np.allclose(vectors, expected, atol=1e-6)
    assert len((tmp_path / "e/ids.txt").read_text().split()) == 2


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--outer", "x", "--signals", "loss"], 1, "--outer gives embeddings alone; --compute asks for loss."),
        (["--outer", "x", "--model", "y"], 2, "to embed, give --pool and either --model or --outer"),
        ([], 2, "to embed, give --pool and either --model or --outer"),
    ],
)
def test_the_command_takes_one_kind_of_model(words, status, message):
    ended = CliRunner().invoke(app, ["embed", "--pool", "p", "--out", "o", *words])
    assert (ended.exit_code, message in str(ended.exception) or message in ended.output) == (status, True)
