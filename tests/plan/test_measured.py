from diverseevol.plan import make_plan, progress


def bill(flops, tokens, seconds):
    return {"flops": flops, "tokens": tokens, "seconds": seconds}


def test_predicted_beside_measured_and_the_time_left(config, facts):
    plan = make_plan(config(), facts).as_dict()
    metrics = [{"stages": {"train": bill(150_000, 310, 3.0), "embed": bill(3e6, 10_100, 6.0)}}]
    found = progress(plan, metrics, is_finished=False)
    assert found["train"]["tokens"] == {"predicted": 300, "measured": 310}
    assert found["train"]["flops"] == {"predicted": 144_000, "measured": 150_000}
    assert found["embed"]["flops"] == {"predicted": 3_120_000, "measured": 3e6}
    assert found["flops"] == {"predicted": 144_000 + 3_120_000, "measured": 150_000 + 3e6}
    assert found["memory"] == {"predicted": max(plan["memory"].values()), "measured": 0.0}
    assert found["seconds_left"] == 6 * 80 * 2400 * 3 / 150_000 + 3_120_000 * 6 / 3e6


def test_peaks_are_compared_by_the_highest_of_a_run(config, facts):
    plan = make_plan(config(), facts).as_dict()
    stages = [
        {"train": {"seconds": 1, "peak_memory_bytes": 5}, "embed": {"seconds": 1, "peak_memory_bytes": 9}},
        {"train": {"seconds": 1}},
    ]
    found = progress(plan, [{"stages": each} for each in stages], is_finished=True)
    assert found["memory"]["measured"] == 9.0


def test_no_rate_no_time(config, facts):
    plan = make_plan(config(), facts).as_dict()
    assert progress(plan, [], is_finished=False)["seconds_left"] is None
    own_trainer = [{"stages": {"train": {"seconds": 3.0}, "embed": bill(3e6, 10_100, 6.0)}}]
    assert progress(plan, own_trainer, is_finished=False)["seconds_left"] is None
    assert progress(plan, own_trainer, is_finished=False)["train"]["flops"] == {"predicted": 0, "measured": 0}
    assert progress(plan, [], is_finished=True)["seconds_left"] is None
