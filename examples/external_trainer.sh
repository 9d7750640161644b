#!/usr/bin/env bash
# Our selection, your trainer: each round's data goes to a command of yours, and the model that it leaves is the round's.
# Here the command is LLaMA-Factory's; any program will do that reads {data}, starts from {base} and writes a model to {out}.
#
#     examples/external_trainer.sh pool.jsonl path/to/model runs/external [further key=value words]
set -euo pipefail
pool=$1 model=$2 out=$3
trainer=${TRAINER:-"llamafactory-cli train --stage sft --do_train --finetuning_type full --template alpaca \
  --dataset_dir {data} --dataset diverseevol --model_name_or_path {base} --output_dir {out} --num_train_epochs 3"}
exec diverseevol run --pool "$pool" --model "$model" --out "$out" \
  "train.command=$trainer" train.command_format="${FORMAT:-llamafactory}" "${@:4}"
