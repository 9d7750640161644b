"""Keys of `train:` as people write them: each message names the key, the value found and what would be right."""

import pytest

from diverseevol.config import load_config
from diverseevol.errors import ConfigError
from diverseevol.models.train_arguments import check_own_keys

BAD = {
    "train.learning_rte=1": "unknown key train.learning_rte: SFTConfig has none such. Did you mean 'learning_rate'?",
    "train.lr=1": "unknown key train.lr: SFTConfig has none such. Did you mean 'learning_rate'?",
    "train.warmup_ratio=0.03": "Did you mean 'warmup_steps'?",
    "train.lora={rank: 16}": "unknown key train.lora.rank: LoraConfig has none such. Did you mean 'r'?",
    "train.lora={r: many}": "train.lora.r is 'many': give a whole number.",
    "train.learning_rate=fast": "train.learning_rate is 'fast': give a number.",
    "train.num_train_epochs=-1": "train.num_train_epochs is -1: it must be above 0.",
    "train.per_device_train_batch_size=true": "train.per_device_train_batch_size is True: give a whole number.",
    "train.bf16=maybe": "train.bf16 is 'maybe': give true or false.",
    "train.completion_only_loss=false": "train.completion_only_loss is set by the run itself. The rows come tokenised",
    "train.seed=3": "train.seed is set by the run itself. Set `seed` of the run.",
    "train.eval_strategy=steps": "Held-out rows are measured after every round: set pool.holdout or heldout.path.",
}


def train(*words):
    return load_config(None, ("train.method=lora", *words), options={"pool.path": "p", "model": "m", "out": "o"}).train


@pytest.mark.parametrize("word", BAD)
def test_the_message_names_the_key_the_value_and_the_way_out(word):
    with pytest.raises(ConfigError) as caught:
        check_own_keys(train(word))  # names and types are checked as the config is read
    assert BAD[word] in str(caught.value)
