"""The store: what comes out is what the encoder gave, whatever was killed, sharded, changed or broken in between."""

import os

import numpy as np
import pyarrow as pa
import pytest

from diverseevol.base.progress import SILENT
from diverseevol.config import PromptConfig
from diverseevol.data.sample import Sample, Turn
from diverseevol.errors import RunFolderError
from diverseevol.text.tokens import BORDER, Encoder, Tokens, build_tokens, describe

PROMPT = PromptConfig(max_length=160)
N_ROWS = 23


def row(number: int) -> Sample:
    if number == 7:
        return Sample((Turn("user", "nothing"),))
    question = "the cat " * (80 if number == 11 else 16 if number == 12 else number)
    return Sample((Turn("user", question), Turn("assistant", f"said {number} 😀" * (number % 4 + 1), is_trained=True)))


ROWS = [row(number) for number in range(N_ROWS)]


def samples(start: int, stop: int) -> list[Sample]:
    return ROWS[start:stop]


@pytest.fixture
def tokenizer(tokenizers_by_kind):
    return tokenizers_by_kind["adds_eos"]


def build(tokens_dir, tokenizer, n_rows=N_ROWS, prompt=PROMPT, source=samples, rows_per_block=5):
    return build_tokens(source, n_rows, tokenizer, prompt, tokens_dir, SILENT, rows_per_block=rows_per_block)


def stamps(tokens_dir) -> dict[str, int]:
    return {file.name: file.stat().st_ino for file in sorted(tokens_dir.iterdir())}


@pytest.mark.parametrize("rows_per_block", [1, 5, 100])
def test_every_row_is_what_the_encoder_gives(tmp_path, tokenizer, rows_per_block):
    tokens = build(tmp_path, tokenizer, rows_per_block=rows_per_block)
    expected = Encoder(tokenizer, PROMPT).encode(ROWS)
    assert len(tokens) == N_ROWS
    for number, encoded in enumerate(expected):
        assert tokens.ids(number).tolist() == encoded.ids
        assert tokens.mask(number).tolist() == encoded.mask.tolist()
    assert tokens.n_tokens.tolist() == [len(encoded.ids) for encoded in expected]
    assert tokens.n_trained.tolist() == [int(encoded.mask.sum()) for encoded in expected]
    assert tokens.n_full.tolist() == [encoded.n_full for encoded in expected]
    assert tokens.ids(0).dtype == np.int64 and tokens.mask(0).dtype == np.bool_
    assert {tokens.n_tokens.dtype, tokens.n_trained.dtype, tokens.n_full.dtype} == {np.dtype(np.int32)}
    assert len(list(tmp_path.iterdir())) == -(-N_ROWS // rows_per_block)


def test_refused_and_cut_rows_have_nothing_trained_and_positions_choose_and_order_the_rows(tmp_path, tokenizer):
    tokens = everything = build(tmp_path, tokenizer)
    assert tokens.refused == {7: "no assistant turn of the sample is trained on, so its loss mask would be all zero"}
    assert tokens.n_tokens[7] == 0 and tokens.n_trained[7] == 0
    assert tokens.n_tokens[11] == PROMPT.max_length and tokens.n_trained[11] == 0 and not tokens.mask(11).any()
    positions = np.array([20, 3, 9])
    some = Tokens.open(tmp_path, positions)
    assert len(some) == 3
    for number, position in enumerate(positions):
        assert some.ids(number).tolist() == everything.ids(position).tolist()
        assert some.mask(number).tolist() == everything.mask(position).tolist()
    assert some.n_tokens.tolist() == everything.n_tokens[positions].tolist()
    assert some.n_trained.tolist() == everything.n_trained[positions].tolist()


def test_second_call_makes_nothing_again(tmp_path, tokenizer, monkeypatch):
    build(tmp_path, tokenizer)
    before = stamps(tmp_path)
    monkeypatch.setattr(Encoder, "encode", None)
    assert len(build(tmp_path, tokenizer)) == N_ROWS
    assert stamps(tmp_path) == before


@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "partial"])
def test_only_a_damaged_block_is_made_again(tmp_path, tokenizer, damage):
    tokens = build(tmp_path, tokenizer)
    expected = [tokens.ids(number).tolist() for number in range(N_ROWS)]
    before = stamps(tmp_path)
    file = tmp_path / "block-00002.arrow"
    if damage in ("missing", "partial"):
        file.unlink()
    if damage == "partial":
        (tmp_path / "block-00002.arrow.partial").write_bytes(b"half")
    if damage in ("cut", "empty"):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"")
    with pytest.raises(
        RunFolderError, match=r"incomplete: 1 of 5 blocks are missing .*block-00002.arrow first.*Delete .* and run again"
    ):
        Tokens.open(tmp_path)
    again = build(tmp_path, tokenizer)
    assert [again.ids(number).tolist() for number in range(N_ROWS)] == expected
    after = stamps(tmp_path)
    assert {name for name in before if before[name] == after[name]} >= set(before) - {file.name}
    assert set(after) == set(before)


@pytest.mark.parametrize("change", ["max_length", "tokenizer", "template", "rows", "samples", "blocks"])
def test_blocks_of_something_else_are_replaced(tmp_path, tokenizer, tokenizers_by_kind, change):
    build(tmp_path, tokenizer)
    changed = {
        "max_length": {"prompt": PromptConfig(max_length=60)},
        "tokenizer": {"tokenizer": tokenizers_by_kind["first"]},
        "template": {"prompt": PromptConfig(max_length=160, template="auto")},
        "rows": {"n_rows": 8},
        "samples": {"source": lambda start, stop: ROWS[::-1][start:stop]},
        "blocks": {"rows_per_block": 10},
    }[change]
    if change == "template":
        tokenizer.chat_template = "{% for m in messages %}{{ m.content + '</s>' }}{% endfor %}"
    try:
        kept = build(tmp_path, **{"tokenizer": tokenizer, **changed})
        fresh = build(tmp_path.with_name("fresh"), **{"tokenizer": tokenizer, **changed})
    finally:
        tokenizer.chat_template = None
    assert [kept.ids(number).tolist() for number in range(len(kept))] == [
        fresh.ids(number).tolist() for number in range(len(fresh))
    ]
    assert stamps(tmp_path).keys() == stamps(tmp_path.with_name("fresh")).keys()


def test_ranks_share_the_blocks(tmp_path, tokenizer, monkeypatch):
    from diverseevol.base import dist

    expected = build(tmp_path / "one", tokenizer)
    made = {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (1, 0):
        monkeypatch.setenv("RANK", str(rank))
        before = set(tmp_path.glob("two/*"))

        def other_ranks_are_done(before=before, rank=rank):
            made[rank] = {file.name for file in set(tmp_path.glob("two/*")) - before}

        monkeypatch.setattr(dist, "barrier", other_ranks_are_done)
        monkeypatch.setattr(dist, "on_main", lambda work: work() if dist.is_main() else None)
        if rank == 1:
            with pytest.raises(RunFolderError, match="block-00000.arrow is missing or damaged"):
                build(tmp_path / "two", tokenizer)
        else:
            tokens = build(tmp_path / "two", tokenizer)
    assert made == {1: {"block-00001.arrow", "block-00003.arrow"}, 0: {f"block-0000{number}.arrow" for number in (0, 2, 4)}}
    assert [tokens.ids(number).tolist() for number in range(N_ROWS)] == [
        expected.ids(number).tolist() for number in range(N_ROWS)
    ]


def test_no_rows_at_all_and_no_tokens_at_all(tmp_path, tokenizer):
    tokens = build(tmp_path, tokenizer, n_rows=0)
    assert len(tokens) == 0 and tokens.n_tokens.tolist() == [] and tokens.refused == {}
    with pytest.raises(RunFolderError, match="block-00000.arrow is missing or damaged. Delete .* and run again"):
        Tokens.open(tmp_path / "nowhere")


def test_ids_take_two_bytes_where_they_fit_and_four_elsewhere(tmp_path, tokenizers_by_kind):
    class Huge(type(tokenizers_by_kind["plain"])):
        def get_vocab(self):
            return {**super().get_vocab(), "far": 1 << 16}

    small = tokenizers_by_kind["plain"]
    huge = Huge(tokenizer_object=small.backend_tokenizer, bos_token="<s>", eos_token="</s>")
    tokens = {name: build(tmp_path / name, which) for name, which in (("small", small), ("huge", huge))}
    schemas = {name: pa.ipc.open_file(str(tmp_path / name / "block-00000.arrow")).schema for name in tokens}
    assert schemas["small"].field("ids").type == pa.large_list(pa.uint16())
    assert schemas["huge"].field("ids").type == pa.large_list(pa.uint32())
    assert tokens["small"].ids(3).tolist() == tokens["huge"].ids(3).tolist()


def test_reading_keeps_no_file_open(tmp_path, tokenizer):
    before = (
        len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else pytest.skip("needs /proc to count open files")
    )
    tokens = build(tmp_path, tokenizer, rows_per_block=1)
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    assert tokens.ids(20).tolist() == Encoder(tokenizer, PROMPT).encode([ROWS[20]])[0].ids


@pytest.mark.parametrize("kind", ["plain", "adds_eos", "first", "prepend"])
def test_pieces_shown_join_to_the_text(tokenizers_by_kind, kind):
    tokenizer = tokenizers_by_kind[kind]
    turns = (
        Turn("user", "Hi </s>"),
        Turn("assistant", "😀 hello", is_trained=True),
        Turn("user", "中"),
        Turn("assistant", "字", is_trained=True),
    )
    (encoded,) = Encoder(tokenizer, PromptConfig()).encode([Sample(turns)])
    pieces = describe(encoded.ids, encoded.mask, tokenizer)
    assert "".join(text for text, _ in pieces).replace(BORDER, "") == tokenizer.decode(encoded.ids)
    assert [(text.strip(), is_trained) for text, is_trained in pieces if is_trained] == [("😀 hello</s>", True), ("字</s>", True)]
    assert [is_trained for _, is_trained in pieces] == [False, True, False, True]
    assert pieces[0][0].endswith("Hi <¦/¦s¦>\n\n### Response:")  # text, and not the token
    assert describe([], [], tokenizer) == []


def test_a_character_on_both_sides_of_a_border_is_shown_once(tokenizers_by_kind):
    tokenizer = tokenizers_by_kind["plain"]
    ids = tokenizer("a👩b")["input_ids"]
    assert len(ids) > 4
    mask = [False, False, *[True] * (len(ids) - 2)]
    assert describe(ids, mask, tokenizer) == [("a", False), ("👩b", True)]
