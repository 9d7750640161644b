"""Supervised fine-tuning of a round's model with TRL's SFTTrainer, on rows tokenised and masked before.

Source: DiverseEvol (https://arxiv.org/abs/2311.08182), section 4.1; values in configs/paper_*.yaml.
Differs from the plain trainer in the order of the rows (step_sampler.py: the same samples a step on any
number of processes) and in checkpoints that count only once they are complete; a sharded model (FSDP) has
none. What comes of it is the folder alone: whoever needs the model loads that.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments
from trl import SFTConfig, SFTTrainer

from ..base import dist
from ..base.files import read_json, replacing, write_text
from ..base.progress import Task, Watch
from ..config import TrainConfig
from ..errors import REFUSALS, ModelError
from ..run.metrics import Cost, billed, training_flops
from ..text.tokens import Tokens
from .flops import n_computing
from .load import load_model, one_line, save_quantisation
from .sharding import is_sharded, save_shares, shards_models
from .step_sampler import IGNORED, StepSampler
from .train_arguments import lora_config, naming_keys, sft_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COMPLETE = "complete"
FEW_STEPS = 5
"""Fewer hardly move a model; the published recipe begins with 6."""
OnLog = Callable[[Mapping[str, Any], int], None]
OnTuned = Callable[[Cost], None]


def fit(
    start: str,
    rows: Sequence[int],
    tokens: Tokens,
    tokenizer: PreTrainedTokenizerBase,
    config: TrainConfig,
    model_dir: Path,
    checkpoints_dir: Path,
    seed: int,
    watch: Watch,
    trust_remote_code: bool = False,
    on_log: OnLog = lambda logs, step: None,
    max_length: int = 512,
    on_tuned: OnTuned = lambda cost: None,
) -> Cost:
    """Tune the model `start` on the pool's `rows`, save it to `model_dir`, and leave memory as it was.

    Args:
        start: Model folder, adapter folder or Hub id to start from.
        rows: Pool rows to train on, in pool order.
        checkpoints_dir: Where a killed training finds its last complete checkpoint again.
        seed: Of the data order, dropout and adapter initialisation.
        on_log: Is handed on rank 0 what the Trainer logs, and at which step.
        max_length: Tokens of packed rows (`packing`); no row is longer.
        on_tuned: Is handed the bill before the model is there: what is killed later has its bill.

    Raises:
        ModelError: the model cannot be loaded or saved, training failed, or the loss is not finite.
        ConfigError: a library refuses a key of `train:`.
    """
    args = sft_config(config, checkpoints_dir, seed, max_length)
    is_shared = shards_models(config.sft.get("fsdp"))
    checkpoint = None if is_shared else dist.on_main(lambda: last_checkpoint(checkpoints_dir))
    with naming_keys(config):
        model, peft_config = _start_model(start, config, args, trust_remote_code)
    dataset = _dataset(rows, tokens, tokenizer)
    with billed() as cost, watch.task("train", None, "steps") as task, naming_keys(config):
        trainer = _trainer(
            model, args, dataset, tokenizer, peft_config, config, _Callback(args, config, task, on_log)
        )
        if checkpoint and trainer.step_sampler:
            # On several processes the engine's own call does not reach a sampler whose first batches are
            # skipped.
            trainer.step_sampler.set_epoch(int(read_json(Path(checkpoint) / "trainer_state.json")["epoch"]))
        _check_savable(trainer, tokenizer)
        try:
            trainer.train(resume_from_checkpoint=checkpoint)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"out of memory while training on {len(rows)} rows with per_device_train_batch_size "
                f"{args.per_device_train_batch_size}. Lower it, set train.activation_checkpointing=true, or "
                "train.method=lora."
            ) from error
    _fill_bill(cost, trainer, int(tokens.n_tokens[list(rows)].sum()), config, watch)
    on_tuned(cost)
    trainer.optimizer = trainer.lr_scheduler = (
        None  # two thirds of what tuning holds, before the weights are written
    )
    trainer.accelerator.free_memory()
    _save(trainer, tokenizer, model_dir)
    del trainer, model
    gc.collect()
    return cost


def _fill_bill(cost: Cost, trainer: _RoundTrainer, n_tokens: int, config: TrainConfig, watch: Watch) -> None:
    """Add what was trained to what it took; `n_tokens` are those of an epoch.

    Raises:
        ModelError: the loss is not finite.
    """
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    if not losses or not all(map(math.isfinite, losses)):
        raise ModelError(
            f"the training loss is not finite: {losses[:5]}. Lower train.learning_rate or check the model's "
            "dtype."
        )
    tuned = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    epochs, n_steps = float(trainer.state.epoch or 0.0), trainer.state.global_step
    cost.tokens = round(n_tokens * epochs)
    cost.flops = training_flops(n_computing(tuned), cost.tokens, is_adapter=config.method != "full")
    n = max(1, min(5, len(losses) // 3))  # means of up to five steps, since one step's batch says little
    ends = {"loss_first": sum(losses[:n]) / n, "loss_last": sum(losses[-n:]) / n}
    cost.extra = {"steps": n_steps, "epochs": epochs, **ends}
    if n_steps < FEW_STEPS:
        watch.note(
            f"tuned in {n_steps} steps, which hardly move a model. Lower train.total_batch_size (now "
            f"{config.total_batch_size or '?'}), or raise train.num_train_epochs, n_init or n_new."
        )


def last_checkpoint(checkpoints_dir: Path) -> str | None:
    """The newest checkpoint that was written to its end, if there is one."""
    complete = [file.parent for file in checkpoints_dir.glob(f"checkpoint-*/{COMPLETE}")]
    return str(max(complete, key=lambda folder: int(folder.name.split("-")[1]))) if complete else None


def _start_model(
    start: str, config: TrainConfig, args: SFTConfig, trust_remote_code: bool
) -> tuple[PreTrainedModel, Any]:
    """The model to tune, and the adapter to put on it (None: full tuning, or one is there)."""
    kwargs: dict[str, Any] = dict(args.model_init_kwargs or {})
    args.model_init_kwargs = None
    # Full tuning keeps float32 masters: at a learning rate of 2e-5 most updates vanish in bfloat16's 8 bits.
    dtype = kwargs.pop("dtype", "float32" if config.method == "full" else "auto")
    if config.method == "qlora":
        from transformers import BitsAndBytesConfig

        kwargs["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    is_adapter = (Path(start) / "adapter_config.json").is_file()
    is_shared = shards_models(config.sft.get("fsdp"))
    model = load_model(start, dtype, trust_remote_code, is_trainable=True, is_sharded=is_shared, **kwargs)
    return model, None if config.method == "full" or is_adapter else lora_config(config)


def _dataset(rows: Sequence[int], tokens: Tokens, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Input ids and labels of the rows, and a masked row at the end that fills up steps (step_sampler.py)."""
    ids = [tokens.ids(row).tolist() for row in rows]
    masks = [tokens.mask(row).tolist() for row in rows]
    labels = [
        [token if is_on else IGNORED for token, is_on in zip(*pair, strict=True)]
        for pair in zip(ids, masks, strict=True)
    ]
    ids.append([tokenizer.eos_token_id] * 2)
    labels.append([IGNORED] * 2)
    return Dataset.from_dict({"input_ids": ids, "labels": labels})


class _RoundTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with our order of rows, and ways to save what is sharded or quantised."""

    step_sampler: StepSampler | None = None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:  # noqa: ANN401 - as the base class has it
        return self.step_sampler or super()._get_train_sampler(train_dataset)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = str(output_dir or self.args.output_dir)
        if is_sharded(self.model) and isinstance(self.model, PreTrainedModel):
            save_shares(self.model, Path(folder))
        else:
            super().save_model(folder, _internal_call)
            save_quantisation(self.model, Path(folder))

    def _defer_fsdp_gradient_reduction(self) -> nullcontext[None]:
        # Deferred to the step, every rank would hold the gradients of the whole model until then.
        return nullcontext()


def _trainer(
    model: PreTrainedModel,
    args: SFTConfig,
    dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    peft_config: Any,  # noqa: ANN401 - a PEFT config or None
    config: TrainConfig,
    callback: _Callback,
) -> _RoundTrainer:
    """A trainer on the dataset; only plain random order on unpacked rows is replaced by ours."""
    # Each row stands in the loss once a step whatever the number of ranks: see step_sampler.py.
    is_ours = not args.packing and args.train_sampling_strategy == "random"
    n_rows = len(dataset) - 1  # the last fills up steps
    trainer = _RoundTrainer(
        model=model,
        args=args,
        train_dataset=dataset if is_ours else dataset.select(range(n_rows)),
        processing_class=tokenizer,
        peft_config=peft_config,
        callbacks=[callback],
    )
    trainer.remove_callback(PrinterCallback)  # it prints dictionaries; the watch says the same
    if is_ours:
        width = args.per_device_train_batch_size * args.world_size
        step = config.total_batch_size if "gradient_accumulation_steps" not in config.sft else None
        n_a_step = step or width * args.gradient_accumulation_steps
        trainer.step_sampler = StepSampler(n_rows, n_a_step, width, int(args.seed))
    return trainer


class _Callback(TrainerCallback):  # type: ignore[misc]
    """Hands on steps, losses and the Trainer's series, and asks for a checkpoint every so many minutes.

    A checkpoint of a 7B model holds 84 GB of weights and optimizer; one every epoch of a hundred rows would
    take longer than the epoch. One that is written to its end is marked as complete.
    """

    def __init__(self, args: SFTConfig, config: TrainConfig, task: Task, take: OnLog) -> None:
        self.task, self.take, self.last_saved = task, take, time.monotonic()
        has_own = args.save_strategy != "no" or shards_models(config.sft.get("fsdp"))
        self.seconds = None if has_own else 60 * config.checkpoint_minutes

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        self.task.total = state.max_steps
        self.task.skip(state.global_step)  # of an earlier process

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        self.task.advance(1)
        is_due = self.seconds is not None and time.monotonic() - self.last_saved >= self.seconds
        if self.seconds is not None and state.global_step < state.max_steps and dist.broadcast(is_due):
            control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        logs = kwargs.get("logs", {})
        if "loss" in logs:
            self.task.about = f"loss {logs['loss']:.4f}"
        if state.is_world_process_zero:
            self.take(logs, state.global_step)

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,  # noqa: ANN401
    ) -> None:
        dist.barrier()
        if dist.is_main():
            write_text(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / COMPLETE, "")
        self.last_saved = time.monotonic()


def _check_savable(trainer: SFTTrainer, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write all of a model but its weights, so that what cannot be saved is found before a step is trained.

    Raises:
        ModelError: the library refuses to save the model's configuration or the tokenizer.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    try:
        with TemporaryDirectory() as folder:
            for part in (model.config, model.generation_config, tokenizer):
                part.save_pretrained(folder)
    except REFUSALS as error:
        raise ModelError(
            f"this model could not be saved once it is tuned: {one_line(error)} Mend its folder first."
        ) from error


def _save(trainer: _RoundTrainer, tokenizer: PreTrainedTokenizerBase, model_dir: Path) -> None:
    """Write model and tokenizer, each rank its part; the folder takes its name when it is whole."""
    partial = model_dir.with_name(model_dir.name + ".partial")
    with replacing(model_dir) if dist.is_main() else nullcontext():
        dist.barrier()  # what a killed process left is gone
        trainer.save_model(str(partial))
        if dist.is_main():
            tokenizer.save_pretrained(str(partial))
            # Hyper-parameters pickled by the Trainer: nobody needs them here, and no pickle leaves this
            # program.
            (partial / "training_args.bin").unlink(missing_ok=True)
    dist.barrier()
