"""Supervised fine-tuning of a round's model with TRL's SFTTrainer, on rows tokenised and masked before.

Source: DiverseEvol (https://arxiv.org/abs/2311.08182), section 4.1; values in configs/paper_*.yaml.
Differs from the plain trainer in the order of the rows (`StepSampler`: the same samples a step on any number
of processes) and in checkpoints that count only once they are complete; a sharded model (FSDP) has none. What
comes of it is the folder alone: whoever needs the model loads that.
"""

# ruff: noqa: ANN401 - methods as the library's base classes have them

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import PreTrainedModel, PrinterCallback, TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from trl import SFTConfig, SFTTrainer

from ..base import dist
from ..base.files import read_json, remove, replacing, write_text
from ..base.progress import Task, Watch
from ..config import TrainConfig
from ..errors import REFUSALS, ModelError
from ..run.metrics import Cost, billed, training_flops
from ..text.tokens import Tokens
from .encoder import n_computing
from .load import is_sharded, load_model, one_line, save_quantisation, shards_models
from .train_arguments import lora_config, naming_keys, sft_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

COMPLETE = "complete"
IGNORED = -100
FEW_STEPS = 5
"""Fewer hardly move a model; the published recipe begins with 6."""
OnLog = Callable[[Mapping[str, Any], int], None]


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
    on_tuned: Callable[[Cost], None] = lambda cost: None,
) -> Cost:
    """Tune the model `start` on the pool's `rows`, save it to `model_dir`, and leave memory as it was.

    Args:
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
    # Only plain random order on unpacked rows is replaced by ours.
    is_ordered = not args.packing and args.train_sampling_strategy == "random"
    dataset = _dataset(rows, tokens, tokenizer.eos_token_id if is_ordered else None)
    with naming_keys(config):
        model, adapter = _start_model(start, config, args, trust_remote_code)
    with billed() as cost, watch.task("train", None, "steps") as task, naming_keys(config):
        trainer = _RoundTrainer(
            model=model,
            args=args,
            train_dataset=dataset,
            processing_class=tokenizer,
            peft_config=adapter,
            callbacks=[_Callback(args, config, task, on_log)],
        )
        trainer.remove_callback(PrinterCallback)  # it prints dictionaries; the watch says the same
        if is_ordered:
            width = args.per_device_train_batch_size * args.world_size
            n_a_step = width * args.gradient_accumulation_steps
            if config.total_batch_size and "gradient_accumulation_steps" not in config.sft:
                n_a_step = config.total_batch_size
            trainer.step_sampler = StepSampler(len(rows), n_a_step, width, int(args.seed))
        if checkpoint and trainer.step_sampler:
            # On several processes the engine's own call misses a sampler whose first batches are skipped.
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
    # Two thirds of what tuning holds, before the weights are written.
    trainer.optimizer = trainer.lr_scheduler = None
    trainer.accelerator.free_memory()
    _save(trainer, tokenizer, model_dir)
    del trainer, model
    gc.collect()
    return cost


def _fill_bill(cost: Cost, trainer: _RoundTrainer, n_tokens: int, config: TrainConfig, watch: Watch) -> None:
    """Add what was trained to what it took, once the loss is finite; `n_tokens` are those of an epoch."""
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
    is_shared = shards_models(config.sft.get("fsdp"))
    model = load_model(start, dtype, trust_remote_code, is_trainable=True, is_sharded=is_shared, **kwargs)
    is_adapter = (Path(start) / "adapter_config.json").is_file()
    return model, None if config.method == "full" or is_adapter else lora_config(config)


def _dataset(rows: Sequence[int], tokens: Tokens, filling_id: int | None) -> Dataset:
    """Input ids and labels of the rows, and a masked row at the end that fills up steps (`StepSampler`)."""
    ids = [np.asarray(tokens.ids(row), dtype=np.int64) for row in rows]
    labels = [np.where(tokens.mask(row), of_row, IGNORED) for row, of_row in zip(rows, ids, strict=True)]
    if filling_id is not None:
        ids.append(np.full(2, filling_id))
        labels.append(np.full(2, IGNORED))
    return Dataset.from_dict({"input_ids": ids, "labels": labels})


class StepSampler(Sampler[int]):
    """Positions 0 … n_rows - 1 in seeded order, an epoch at a time.

    A step takes `step` samples of a permutation, a new one each epoch. The engine deals whole batches to the
    ranks in turn, so a step is filled up to a multiple of `width`, what all ranks take at once, with n_rows,
    a row whose labels are all ignored: the loss is summed over all trained tokens of a step and divided by
    their number on all ranks. Without this, two processes would train on repeated samples at the end of each
    epoch.
    """

    def __init__(self, n_rows: int, step: int, width: int, seed: int) -> None:
        self.n_rows, self.step, self.width, self.seed = n_rows, step, width, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Move to the permutation of an epoch; the engine calls this, also after a resume."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.n_rows)
        for start in range(0, self.n_rows, self.step):
            part = order[start : start + self.step].tolist()
            yield from part
            # An epoch's last step may take fewer batches.
            n = len(part) if start + self.step >= self.n_rows else self.step
            yield from [self.n_rows] * (math.ceil(n / self.width) * self.width - len(part))

    def __len__(self) -> int:
        n_full, n_last = divmod(self.n_rows - 1, self.step)
        n_batches = n_full * math.ceil(self.step / self.width) + math.ceil((n_last + 1) / self.width)
        return n_batches * self.width


class _RoundTrainer(SFTTrainer):  # type: ignore[misc]
    """TRL's trainer with our order of rows, and ways to save what is sharded or quantised."""

    step_sampler: StepSampler | None = None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.step_sampler or super()._get_train_sampler(train_dataset)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        folder = Path(output_dir or self.args.output_dir)
        if is_sharded(self.model) and isinstance(self.model, PreTrainedModel):
            _save_shares(self.model, folder)
        else:
            super().save_model(str(folder), _internal_call)
            save_quantisation(self.model, folder)

    def _defer_fsdp_gradient_reduction(self) -> nullcontext[None]:
        # Deferred to the step, every rank would hold the gradients of the whole model until then.
        return nullcontext()


class _Callback(TrainerCallback):  # type: ignore[misc]
    """Hands on steps, losses and the Trainer's series, and asks for a checkpoint every so many minutes.

    A checkpoint of a 7B model holds 84 GB of weights and optimizer; one every epoch of a hundred rows would
    take longer than the epoch. One that is written to its end is marked as complete.
    """

    def __init__(self, args: SFTConfig, config: TrainConfig, task: Task, take: OnLog) -> None:
        self.task, self.take, self.last_saved = task, take, time.monotonic()
        has_own = args.save_strategy != "no" or shards_models(config.sft.get("fsdp"))
        self.seconds = None if has_own else 60 * config.checkpoint_minutes

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.task.total = state.max_steps
        self.task.skip(state.global_step)  # of an earlier process

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.task.advance(1)
        if self.seconds is not None and state.global_step < state.max_steps:
            control.should_save |= dist.broadcast(time.monotonic() - self.last_saved >= self.seconds)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        logs = kwargs.get("logs", {})
        if "loss" in logs:
            self.task.about = f"loss {logs['loss']:.4f}"
        if state.is_world_process_zero:
            self.take(logs, state.global_step)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        dist.barrier()
        if dist.is_main():
            write_text(Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE, "")
        self.last_saved = time.monotonic()


def _check_savable(trainer: SFTTrainer, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write all but the weights, so that what cannot be saved is found before a step is trained."""
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
            # Hyper-parameters pickled by the Trainer: no pickle leaves this program.
            (partial / "training_args.bin").unlink(missing_ok=True)
    dist.barrier()


def _save_shares(model: PreTrainedModel, folder: Path) -> None:
    """Save a sharded model as an ordinary model folder, no rank ever holding the whole; every rank calls it.

    Each rank writes its share (torch's distributed checkpoints in safetensors); rank 0 then joins the files,
    piece by piece. Where the files' layout is another than the model's own in memory (experts of a mixture,
    stacked while loading), the weights are gathered on rank 0 to be put back into it.
    """
    if model._weight_conversions:
        model.save_pretrained(folder)
        return
    from transformers.distributed.checkpoint import consolidate_distributed_checkpoint

    shares_dir = folder / "shares"
    model.save_pretrained(shares_dir, distributed_checkpoint=True)
    if dist.is_main():
        consolidate_distributed_checkpoint(shares_dir, folder)
        for file in shares_dir.glob("*.json"):
            file.rename(folder / file.name)
        remove(shares_dir)
    dist.barrier()
