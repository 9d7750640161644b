"""The run: what is chosen, what is left in the folder."""

from outside import pool_rows, read_jsonl


def test_a_round_leaves_its_picks_in_order_and_the_users_own_records(finished_run):
    rows = pool_rows(120)
    chosen = [read_jsonl(finished_run / f"rounds/{index:02d}/chosen.jsonl") for index in range(3)]
    assert [len(picks) for picks in chosen] == [8, 4, 4]
    ids = [pick["id"] for picks in chosen for pick in picks]
    assert len(set(ids)) == 16
    subset = read_jsonl(finished_run / "rounds/02/subset.jsonl")
    assert {record.pop("_id") for record in subset} == set(ids)
    in_pool_order = sorted(pick["source_row"] for picks in chosen for pick in picks)
    assert subset == [rows[row] for row in in_pool_order]
