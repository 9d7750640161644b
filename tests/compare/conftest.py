"""A small comparison that the tests of this folder share."""

import json
import sys

import numpy as np
import pytest

from diverseevol import load_config

QUICK = (
    "train.learning_rate=1e-3", "train.num_train_epochs=1", "train.per_device_train_batch_size=8", "train.total_batch_size=8",
    "prompt.max_length=256",
)  # fmt: skip


@pytest.fixture(scope="session")
def heldout_file(tmp_path_factory):
    """A row a skill, none of them in the pool."""
    from diverseevol.demo.pool import make_heldout

    file = tmp_path_factory.mktemp("heldout") / "heldout.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in make_heldout(1)))
    return file


@pytest.fixture(scope="session")
def config_for(made_model, pool_file, heldout_file):
    """The configuration of a small run or comparison in a folder."""

    def make(out, *words, **options):
        given = {"pool.path": str(pool_file), "model": str(made_model), "out": str(out), "rounds": 2, "n_init": 8, "n_new": 4}
        given |= {"heldout": {"path": str(heldout_file), "group": "skill"}, **options}
        return load_config(None, (*QUICK, *words), options=given)

    return make


def noisy_fit(
    start, rows, tokens, tokenizer, config, model_dir, checkpoints_dir, seed, watch, code=False, on_log=None, max_length=512,
    on_tuned=lambda cost: None,
):  # fmt: skip
    """In place of training, which takes most of a run's time: noise on the weights that follows from seed and rows alone."""
    import torch

    from diverseevol.base.files import replacing
    from diverseevol.models.load import load_model
    from diverseevol.run.metrics import Cost

    model = load_model(start)
    noise = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, *rows]).generate_state(1)[0]))
    with torch.no_grad():
        for weights in model.parameters():
            weights.add_(torch.randn(weights.shape, generator=noise), alpha=0.02)
    n_tokens = int(tokens.n_tokens[list(rows)].sum())
    cost = Cost(seconds=0.1, tokens=n_tokens, flops=1e6 * n_tokens)
    on_tuned(cost)
    with replacing(model_dir) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
    return cost


@pytest.fixture(scope="session")
def quickly():
    """A context in which rounds are not trained but made noisy."""
    import diverseevol.models.train  # noqa: F401 - what is replaced must be there

    def patched():
        patch = pytest.MonkeyPatch()
        patch.setattr("diverseevol.models.train.fit", noisy_fit)
        return patch

    return patched


@pytest.fixture
def quick(quickly):
    """Rounds of this test are not trained but made noisy."""
    patch = quickly()
    yield
    patch.undo()


@pytest.fixture(scope="session")
def counted():
    """Count the calls of functions, by their dotted names, as long as a patch holds."""

    def count_calls(patch, names):
        counts = dict.fromkeys(names, 0)
        for name in names:
            module, function = name.rsplit(".", 1)
            original = getattr(sys.modules[module], function)

            def counted(*args, name=name, original=original, **kwargs):
                counts[name] += 1
                return original(*args, **kwargs)

            patch.setattr(name, counted)
        return counts

    return count_calls
