import pytest

from diverseevol.compare import Experiment
from diverseevol.errors import ConfigError, SelectionError


@pytest.fixture
def experiment(config_for, tmp_path):
    def make(strategies=("k_center",), seeds=(0, 1), *words, is_one_time=False, is_full=False, **options):
        return Experiment(config_for(tmp_path / "c", *words, **options), strategies, seeds, is_one_time, is_full)

    return make


NOTHING = "there is nothing to compare with random. Give --strategies k_center, or --full."


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"strategies": ("k_center", "k_centre")}, "no strategy is called 'k_centre'. Did you mean 'k_center'"),
        ({"strategies": ("k_center", "loss", "loss")}, "--strategies names loss twice. Name each once."),
        ({"seeds": (0, 2, 0)}, "--seeds names 0 twice. Name each once."),
        ({"seeds": (0, -1)}, "--seeds must be whole numbers from 0 up, found 0, -1."),
        ({"seeds": ()}, "--seeds must be whole numbers from 0 up, found none."),
        ({"strategies": ("full",)}, "'full' is no strategy: give --full beside --strategies."),
        ({"strategies": ("one_time",)}, "'one_time' is no strategy: give --one-time beside --strategies."),
        ({"strategies": ("random",)}, NOTHING),
        ({"strategies": ("random",), "is_one_time": True, "is_full": True}, NOTHING),
        ({"heldout": None}, r"compare needs a yardstick: set heldout.path=FILE.*or pool.holdout=500"),
        ({"budget": "900 tokens"}, r"budget is '900 tokens': compare counts budgets in samples.*Set budget=1100."),
        ({"stop": {"samples": 12}}, "with stop: the runs would end at different budgets"),
        ({"rounds": 0}, "rounds is 0, which is nothing to choose. Set rounds to 1 or more."),
        ({"is_one_time": True, "rounds": 1}, "rounds is 1, which is one-time sampling already. Leave --one-time out"),
        ({"selection.q": 2.0}, "selection.q is an option of none of k_center. Take it out, or add its strategy."),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_done(experiment, tmp_path, asked, message):
    with pytest.raises(SelectionError if "Did you mean" in message else ConfigError, match=message):
        experiment(**asked).check()
    assert not (tmp_path / "c").exists()


def test_a_name_that_is_no_folder_is_refused(experiment, monkeypatch):
    monkeypatch.setattr("diverseevol.compare.experiment.check_strategy", lambda name: None)
    monkeypatch.setattr("diverseevol.compare.experiment.takes_option", lambda name, option: False)
    with pytest.raises(ConfigError, match=r"the strategy '../x' cannot be the name of a folder"):
        experiment(strategies=("../x",)).check()


def test_random_is_an_arm_once_and_the_last_of_the_scheduled(experiment):
    assert experiment(("k_center", "loss")).arms == ("k_center", "loss", "random")
    assert experiment(("random", "loss"), is_one_time=True, is_full=True).arms == ("loss", "random", "one_time", "full")
    assert experiment(("random",), is_full=True).arms == ("random", "full")
    experiment(("random",), is_full=True).check()
    assert (experiment().references, experiment(is_full=True).references) == (("random",), ("random", "full"))


def test_each_arms_configuration(experiment, tmp_path):
    asked = experiment(("k_center", "loss"), (4,), n_new=(4, 6), is_one_time=True, is_full=True)
    own = {"seed": 4, "out": str(tmp_path / "c/runs/seed-4/k_center")}
    assert asked.run_config("k_center", 4).model_dump() == asked.config.model_dump() | own
    assert asked.run_config("loss", 4).selection.strategy == "loss"
    one_time = asked.run_config("one_time", 4)
    assert (one_time.rounds, one_time.n_new, one_time.n_init, one_time.selection.strategy) == (1, 10, 8, "k_center")
    full = asked.run_config("full", 4, n_rows=123)
    assert (full.rounds, full.n_init, full.selection.strategy) == (0, 123, "random")
    assert asked.run_config("random", 4, keep="all").keep == "all"
    short = experiment(is_one_time=True, rounds=5, budget=21)
    assert short.sizes == [8, 4, 4, 4, 1]
    assert (short.run_config("one_time", 0).n_new, short.run_config("one_time", 0).budget) == (13, None)


def test_options_go_to_the_strategies_that_take_them(experiment):
    words = ("selection.whiten=4", "selection.q=2.0", "selection.minimum={x: 1}", "selection.exclude=never.txt")
    asked = experiment(("k_center", "vendi"), (0,), *words, is_full=True)
    asked.check()
    assert asked.run_config("vendi", 0).selection.options == {"whiten": 4, "q": 2.0, "minimum": {"x": 1}}
    assert asked.run_config("k_center", 0).selection.options == {"whiten": 4, "minimum": {"x": 1}}
    random = asked.run_config("random", 0).selection
    assert (random.options, random.exclude) == ({"minimum": {"x": 1}}, "never.txt")
    full = asked.run_config("full", 0, n_rows=5).selection
    assert (full.options, full.exclude) == ({}, "never.txt")
