from diverseevol.run.tracking.series import round_series, trainer_series

ROUNDS = [
    {
        "round": 0,
        "n_new": 10,
        "n_chosen": 10,
        "tokens_chosen": 500,
        "trained_tokens_chosen": 200,
        "stages": {"select": {"seconds": 1.0}, "train": {"seconds": 4.0, "tokens": 1500, "flops": 3e9}},
        "gauge": {"covering_radius": 0.5, "vendi": 7.0},
        "heldout": {"loss": 2.5},
    },
    {"round": 1, "n_new": 5, "n_chosen": 15, "stages": {"train": {"seconds": 6.0, "flops": 5e9}, "heldout": {"seconds": 2.0}}},
]


def test_a_round_in_numbers():
    assert round_series(ROUNDS[:1], 1e10) == {
        "round/n_new": 10,
        "round/n_chosen": 10,
        "round/tokens_chosen": 500,
        "round/trained_tokens_chosen": 200,
        "round/covering_radius": 0.5,
        "round/vendi": 7.0,
        "round/heldout_loss": 2.5,
        "cost/select_seconds": 1.0,
        "cost/train_seconds": 4.0,
        "cost/train_flops": 3e9,
        "cost/seconds_so_far": 5.0,
        "cost/flops_so_far": 3e9,
        "cost/ratio_so_far": 0.3,
    }


def test_what_is_not_known_is_left_out_and_cost_adds_up():
    assert round_series(ROUNDS, None) == {
        "round/n_new": 5,
        "round/n_chosen": 15,
        "cost/train_seconds": 6.0,
        "cost/train_flops": 5e9,
        "cost/heldout_seconds": 2.0,
        "cost/seconds_so_far": 13.0,
        "cost/flops_so_far": 8e9,
    }


def test_of_the_trainers_logs_the_numbers():
    logs = {"loss": 2.5, "epoch": 1, "note": "x", "is_on": True, "none": None}
    assert trainer_series("train", logs) == {"train/loss": 2.5, "train/epoch": 1.0}
