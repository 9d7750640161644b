"""The loop in Python: choose, tune, and look at what was chosen.

python examples/quickstart.py pool.jsonl path/to/model runs/quickstart
"""

import json
import sys

from diverseevol import evolve, load_config

pool, model, out = sys.argv[1:4]
config = load_config(
    overrides=sys.argv[4:], options={"pool.path": pool, "model": model, "out": out, "rounds": 2, "n_init": 50, "n_new": 50}
)
for round_ in evolve(config):
    with round_.subset_path.open(encoding="utf-8") as subset:
        first = json.loads(next(subset))
    print(f"round {round_.index}: {round_.n_chosen} samples in {round_.subset_path}; the first is {first['_id']}")
