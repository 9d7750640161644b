from diverseevol.pool import Pool
from diverseevol.report.content import gather


def test_words_and_tiles_of_one_run(whole_run, opened):
    summary = gather(opened(whole_run)).summary
    assert summary.sentences == (
        "k_center chose 14 of 60 rows (23.3%) in the rounds 0 to 2.",
        "Held-out loss went from 3 at 6 samples to 2.25 at 14.",
        "Held-out loss, balanced went from 3.5 at 6 samples to 2.75 at 14.",
        "Verdicts: vicuna against base went from 77.42 at 6 samples to 100 at 14.",
        "Covering radius: 0.4, 33% below random sets of the same size (0.6; 5–95 %: 0.5 to 0.7); lower covers better.",
        "Vendi score: 7.5, 15% above random sets of the same size (6.5; 5–95 %: 5.5 to 7); higher is more diverse.",
        "The rounds cost 1.12 of one full fine-tuning on the whole pool (54 kFLOPs, 12 s): more than tuning on everything; "
        "what is saved are labels and later trainings.",
    )
    assert [(tile.value, tile.label, tile.detail) for tile in summary.tiles] == [
        ("14", "Samples chosen", "23.3% of 60 rows"),
        ("2.25", "Held-out loss", "3 after round 0"),
        ("0.4", "Covering radius", "random sets 0.6"),
        ("7.5", "Vendi score", "random sets 6.5"),
        ("1.12", "Of one full fine-tuning", "1.09 predicted"),
    ]


def test_a_run_with_nothing_but_picks(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r", rounds=[[0, 1]], losses=None)
    run.plan_file.unlink()
    summary = gather(opened(run.root)).summary
    assert summary.sentences == ("k_center chose 2 of 60 rows (3.3%) in one round.",)
    assert [(tile.value, tile.label) for tile in summary.tiles] == [("2", "Samples chosen"), ("4.1 s", "Wall-clock time")]


def test_several_runs_are_named_and_others_stand_beside_the_first(made, opened, tmp_path):
    one = made.make_run(tmp_path / "a")
    two = made.make_run(tmp_path / "b", strategy="random", losses=(3.0, 2.75, 2.5))
    summary = gather(opened(one.root, two.root)).summary
    assert (
        summary.sentences[0]
        == "2 runs: k_center, random. Of these a, which is looked at closely, chose 14 of 60 rows in the rounds 0 to 2."
    )
    assert summary.sentences[1] == "Held-out loss went from 3 at 6 samples to 2.25 at 14; there random is at 2.5."
    for run in (one, two):
        made.add_diversity(run, radii=(0.9, 0.6, 0.4 if run is one else 0.5))
    sentences = gather(opened(one.root, two.root)).summary.sentences
    assert "Covering radius: 0.4; there random is at 0.5; lower covers better." in sentences


def test_a_mean_over_seeds_is_called_one(made, opened, tmp_path):
    runs = [made.make_run(tmp_path / f"run-{seed}", losses=(3.0, 2.75, 2.0 + seed / 2), seed=seed) for seed in (0, 1)]
    summary = gather(opened(*(run.root for run in runs))).summary
    assert summary.sentences[1] == "Held-out loss of k_center, mean of 2 seeds, went from 3 at 6 samples to 2.25 at 14."
    assert summary.tiles[1].label == "Held-out loss, mean over seeds"


def test_a_comparison_says_first_what_it_shows(made, opened, tmp_path):
    made.make_comparison(tmp_path, remarks=["k_center wins \u202ehere"])
    summary = gather(opened(tmp_path)).summary
    assert summary.remarks == ("k_center wins �here",)
    assert summary.sentences[1:3] == (
        "k_center against random at 14 samples, held-out loss: better (-0.3000 over 5 seeds, interval -0.4000 to -0.2000).",
        "k_center against random at 14 samples, balanced loss: no difference shown; 12 seeds would show one of this size "
        "(-0.1000 over 5 seeds, interval -0.3000 to +0.1000).",
    )
    tile = summary.tiles[1]
    assert (tile.value, tile.label, tile.detail) == ("-0.300", "Held-out loss less random's", "better")


def test_held_out_rows_are_named(made, opened, tmp_path):
    run = made.make_run(tmp_path / "r")
    run.heldout_dir.mkdir()
    run.holdout_file.write_text("".join(f"{row}\n" for row in Pool.open(run.pool_dir).ids[40:45]))
    first = gather(opened(run.root)).summary.sentences[0]
    assert first == "k_center chose 14 of 60 rows (23.3%; 5 are held out) in the rounds 0 to 2."
