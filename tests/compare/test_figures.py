import json

import pytest
import yaml

from diverseevol.compare.results import BALANCED, LOSS, measures_of, points_of, spent
from diverseevol.run_folder import RunFolder


def folder(root, rounds, start="base"):
    """A run folder with nothing but its configuration and metrics."""
    for index, metrics in enumerate(rounds):
        (root / f"rounds/{index:02d}").mkdir(parents=True)
        (root / f"rounds/{index:02d}/metrics.json").write_text(json.dumps({"round": index, **metrics}))
        (root / f"rounds/{index:02d}/done").touch()
    (root / "config.yaml").write_text(
        yaml.safe_dump(
            {"pool": {"path": "p"}, "model": "m", "train": {"start": start}, "versions": {"a": "b"}, "fingerprint": {"a": "b"}}
        )
    )
    return RunFolder(root)


def round_of(n, seconds, embed=0.0, lent=(), **heldout):
    stages = {"select": {"seconds": 1.0}, "train": {"seconds": seconds, "flops": seconds * 1e9}, "heldout": {"seconds": 500.0}}
    if embed:
        stages["embed"] = {"seconds": embed, "flops": embed * 1e9}
    metrics = {"n_new": n, "n_chosen": n, "trained_tokens_chosen": 7 * n, "stages": stages, "heldout": {"loss": 3.0, **heldout}}
    return {**metrics, **({"lent": {"from": "a", "stages": list(lent)}} if lent else {})}


def test_a_choice_that_rests_on_models_costs_all_rounds_before_it(tmp_path):
    run = folder(tmp_path, [round_of(10, 100, embed=20), round_of(20, 200, embed=30), round_of(30, 300)])
    points = points_of(run)
    assert [(point.n_samples, point.trained_tokens) for point in points] == [(10, 70), (20, 140), (30, 210)]
    # Choosing (1 s a round) and tuning up to here, and the passes before here; measuring (500 s) is no part of it.
    assert [point.seconds for point in points] == [1 + 100, 2 + 300 + 20, 3 + 600 + 50]
    assert [point.flops for point in points] == [100e9, 320e9, 650e9]


def test_a_choice_that_rests_on_no_model_costs_the_last_tuning_alone(tmp_path):
    rounds = [round_of(10, 100), round_of(20, 200), round_of(30, 300)]
    assert [point.seconds for point in points_of(folder(tmp_path / "a", rounds))] == [101, 202, 303]
    assert [point.flops for point in points_of(folder(tmp_path / "b", rounds, start="previous"))] == [100e9, 300e9, 600e9]


def test_an_outer_models_pass_is_part_of_every_choice_by_it(tmp_path):
    rounds = [round_of(10, 100), round_of(20, 200), round_of(30, 300)]
    rounds[0]["stages"]["embed_outer"] = {"seconds": 7.0, "flops": 7e9}
    points = points_of(folder(tmp_path, rounds))
    assert [point.seconds for point in points] == [101, 209, 310]
    assert [point.flops for point in points] == [100e9, 207e9, 307e9]


def test_flops_of_a_trainer_that_does_not_say_are_unknown(tmp_path):
    rounds = [round_of(10, 100, embed=20), round_of(20, 200)]
    for each in rounds:
        del each["stages"]["train"]["flops"]
    points = points_of(folder(tmp_path, rounds))
    assert [point.flops for point in points] == [None, None]
    assert [point.seconds for point in points] == [101, 322]
    assert spent([RunFolder(tmp_path)])["flops"] is None


def test_the_balanced_loss_is_the_mean_over_groups_where_all_have_them(tmp_path):
    grouped = folder(tmp_path / "a", [round_of(10, 1, by_group={"x": 1.0, "y": 2.0, "z": 7.5}, balanced_loss=3.5)])
    plain = folder(tmp_path / "b", [round_of(10, 1)])
    assert points_of(grouped)[0].values == {"heldout_loss": 3.0, "balanced_loss": 3.5}
    assert points_of(plain)[0].values == {"heldout_loss": 3.0}
    assert measures_of([grouped]) == (LOSS, BALANCED)
    assert measures_of([grouped, plain]) == (LOSS,)


def test_what_was_lent_is_spent_once(tmp_path):
    lender = folder(tmp_path / "a", [round_of(10, 100, embed=20), round_of(20, 200)])
    borrower = folder(tmp_path / "b", [round_of(10, 100, embed=20, lent=("train", "heldout", "embed")), round_of(20, 50)])
    cost = spent([lender, borrower])
    assert cost["seconds"] == pytest.approx((1 + 100 + 500 + 20) + (1 + 200 + 500) + 1 + (1 + 50 + 500))
    assert cost["flops"] == pytest.approx(370e9)
    assert cost["seconds_saved_by_sharing"] == 620
