import pytest

from diverseevol.errors import EvaluationError
from diverseevol.evaluation.journal import open_journal, read_lines


@pytest.mark.parametrize("torn", [b'{"n": 3, "te', b'{"n": 3}', b"\0\0\0\n", "Gr\udcc3".encode("utf-8", "surrogateescape")])
def test_what_a_kill_tore_is_left_out_and_the_rest_is_kept(tmp_path, torn):
    file = tmp_path / "below" / "a.jsonl"
    with open_journal(file, is_synced=True) as journal:
        journal.add({"n": 1})
        journal.add({"n": 2, "text": "Grüße\u2028\x85"})
        assert len(read_lines(file)) == 2  # there as soon as it is added
    with file.open("ab") as out:
        out.write(torn)
    with open_journal(file, is_synced=False) as journal:
        assert journal.lines == [{"n": 1}, {"n": 2, "text": "Grüße\u2028\x85"}]
        journal.add({"n": 4})
        assert [line["n"] for line in journal.lines] == [1, 2, 4]
    assert [line["n"] for line in read_lines(file)] == [1, 2, 4]


def test_one_process_at_a_time_and_only_where_one_may_write(tmp_path):
    file = tmp_path / "a.jsonl"
    taken = pytest.raises(EvaluationError, match="is in use by another process")
    with open_journal(file, is_synced=True), taken, open_journal(file, is_synced=True):
        pass
    with open_journal(file, is_synced=True) as journal:
        assert journal.lines == []
    with pytest.raises(EvaluationError, match="cannot write .*Give a place"), open_journal(tmp_path, is_synced=True):
        pass
