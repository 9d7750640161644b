"""The sliding window against json.loads of the whole text, with windows so small that every record is cut."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diverseevol.data import json_stream
from diverseevol.errors import PoolError

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30)
records = st.lists(
    st.dictionaries(st.text(max_size=5), st.recursive(scalars, lambda inner: st.lists(inner, max_size=3))), max_size=6
)


def read(text, chunk):
    json_stream.CHUNK = chunk
    return json_stream.array_rows(io.StringIO(text, newline=""), "here.json")


@pytest.fixture(autouse=True)
def _chunk_restored():
    before = json_stream.CHUNK
    yield
    json_stream.CHUNK = before


@settings(max_examples=150, deadline=None)
@given(records, st.integers(1, 40), st.sampled_from([None, 1, 3]), st.booleans())
def test_an_array_reads_as_json_loads_does_and_keeps_every_character(items, chunk, indent, ascii_only):
    text = json.dumps(items, indent=indent, ensure_ascii=ascii_only)
    rows = list(read(text, chunk))
    assert [row.record for row in rows] == items
    assert [row.number for row in rows] == list(range(len(items)))
    at = 0
    for row in rows:
        at = text.index(row.text, at)
        assert row.line == 1 + text.count("\n", 0, at)
        assert json.loads(row.text) == row.record
        at += len(row.text)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_number_cut_by_the_window_is_whole(chunk):
    text = "[" + " " * 30 + "123456" + " " * 30 + ", 12.5e10, true ]" + " " * 30
    assert [row.record for row in read(text, chunk)] == [123456, 12.5e10, True]


@pytest.mark.parametrize("chunk", [5, 1000])
def test_the_records_before_a_break_come_and_the_break_is_named(chunk):
    text = '[\n {"a": 1},\n {"a": 2},\n {"a": oops},\n {"a": 4}]'
    rows = read(text, chunk)
    assert [next(rows).record, next(rows).record] == [{"a": 1}, {"a": 2}]
    with pytest.raises(
        PoolError,
        match=r"here.json breaks off as JSON behind 2 whole records, in the one at line 4: Expecting value. Repair it there, or",
    ):
        next(rows)


def test_a_break_is_named_before_the_rest_is_read():
    text = '[{"a": 1}, {"a": oops}, ' + '{"a": 1}, ' * 1000
    file = io.StringIO(text)
    json_stream.CHUNK = 100
    with pytest.raises(PoolError, match="behind 1 whole records"):
        list(json_stream.array_rows(file, "here.json"))
    assert file.tell() == 100


@pytest.mark.parametrize(
    "text", ['[{"a": "b', '[{"a": 1}', '[{"a": 1},', '[{"a": 1},]', "[", '[{"a": 1} {"a": 2}]', '[{"a": tru']
)
def test_an_array_that_stops_early_is_an_error(text):
    with pytest.raises(PoolError, match=r"breaks off as JSON behind [01] whole records, in the one at line 1: "):
        list(read(text, 4))


def test_a_record_without_end_is_given_up(monkeypatch):
    monkeypatch.setattr(json_stream, "LONGEST", 1000)
    with pytest.raises(PoolError, match=r"behind 0 whole records.*: it does not end within 1,000 characters"):
        list(read('[{"a": "' + "x" * 5000, 64))


def test_nesting_too_deep_is_an_error_with_its_line():
    with pytest.raises(PoolError, match=r"line 2: it is nested too deeply"):
        list(read("[\n" + "[" * 100_000, 1 << 20))
