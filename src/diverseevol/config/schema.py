"""What a run is: one pydantic model a section, explained field by field.

The docstring under a field is the single source for `--help`, for `init`'s comments and for the docs. Unknown
keys are errors. `train:` passes every key of TRL's `SFTConfig` through under its own name; they are checked
where that class is imported (config/train_keys.py), for this module loads no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ..base.files import expanded
from .schedule import NewSamples, round_sizes

TRACKERS = ("tensorboard", "wandb", "trackio")
"""The trackers that the run serves itself, one run for all rounds; the Trainer serves others."""

PathText = Annotated[str, AfterValidator(expanded)]
"""A file, a folder or a Hub id; `~` and environment variables in it are expanded."""


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, docstrings as descriptions."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, protected_namespaces=()
    )


def _bare(key: str) -> BeforeValidator:
    """A bare path or name stands for the section with that key."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _from_flag(value: object) -> object:
    """True stands for the section with its defaults, false for none; so do the words that YAML 1.1 knew."""
    words = {"yes": True, "on": True, "no": False, "off": False}
    value = words.get(value.lower(), value) if isinstance(value, str) else value
    return ({} if value else None) if isinstance(value, bool) else value


def _one_word(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _count_or_share(value: object) -> object:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if value is None or is_count or (isinstance(value, float) and 0 < value < 1):
        return value
    raise ValueError(
        f"pool.holdout is {value!r}: give a whole number of rows, or a share of the pool below 1"
    )


def _tidy(value: Any, place: str = "train") -> Any:  # noqa: ANN401 - any YAML value
    """A value of `train`, at any depth, with what begins like a path of the shell expanded.

    Raises:
        ValueError: a value below a key's own keys is yes, no, on or off: a word where no type tells that a
            flag is meant.
    """
    if isinstance(value, Mapping):
        return {
            key: item if key == "command" else _tidy(item, f"{place}.{key}") for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_tidy(item) for item in value]
    if isinstance(value, str) and value.lower() in ("yes", "no", "on", "off") and place.count(".") > 1:
        raise ValueError(f"{place} is {value!r}: write true or false")
    return expanded(value) if isinstance(value, str) and value.startswith(("~", "$")) else value


class RowsConfig(Section):
    """Where rows are read, and how."""

    path: PathText | None = None
    """A file (JSON, JSONL, CSV, Parquet, .gz, .zst), a folder of them, a `datasets` folder, or a Hub id."""
    format: str = "auto"
    """auto, alpaca, dolly, sharegpt, messages or prompt_completion; auto looks at each row's keys."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Your columns by the part they play: prompt, query, response, system, history, messages, tools."""
    tags: dict[str, str] = Field(default_factory=dict)
    """How dialogues name things: role_tag, content_tag, user_tag, assistant_tag, system_tag, …"""
    split: str = "train"
    """Which split of a Hub data set, of a `datasets` folder or of a folder of files to read."""
    max_rows: int | None = Field(default=None, ge=1)
    """At most so many rows, drawn by the seed."""


class SourceConfig(RowsConfig):
    """One source of instruction data."""

    path: PathText
    """The rows, as in `pool.path`."""
    weight: float | None = Field(default=None, gt=0)
    """Share of the pool relative to the other sources' weights; as many rows as that allows are kept."""


class PoolConfig(RowsConfig):
    """The instruction data to choose from."""

    sources: tuple[Annotated[SourceConfig, _bare("path")], ...] = ()
    """Instead of `path`, several: a path each, or {path: a.jsonl, format: …, weight: 2, max_rows: 5000}."""
    holdout: Annotated[int | float | None, BeforeValidator(_count_or_share)] = None
    """Rows taken off first, by the seed, and never chosen: their loss is measured. A number or a share."""
    holdout_by: str | None = None
    """A column to take them by, in proportion to its groups; the loss is then also given per group."""
    max_bad: float = Field(default=0.05, ge=0, le=1)
    """Largest share of bad rows to leave out; above it the run stops. (Too long ones do not count here.)"""
    dedup: Literal["exact", "near", False] = False
    """Drop rows that repeat an earlier one: exact (same dialogue), near (up to a few words), or false."""
    dedup_similarity: float = Field(default=0.7, ge=0.5, le=1)
    """How alike near-duplicates are at least, question and answer: Jaccard similarity of 5 characters."""
    decontaminate: Annotated[tuple[str, ...], BeforeValidator(_one_word)] = ()
    """Drop rows that hold questions of these benchmarks: a known NAME, NAME=FILE or NAME=FILE:FIELD each."""

    def all_sources(self) -> tuple[SourceConfig, ...]:
        """The sources, whether `path` or `sources` named them."""
        return self.sources or (SourceConfig(**self.model_dump(include=set(RowsConfig.model_fields))),)

    @model_validator(mode="after")
    def _one_or_several(self) -> PoolConfig:
        if self.path and self.sources:
            raise ValueError(
                f"pool.path is {self.path!r} and pool.sources names {len(self.sources)} more: give one of "
                "them, not both"
            )
        if not (self.path or self.sources):
            raise ValueError("no pool: set pool.path (or --pool)")
        if self.holdout_by and self.holdout is None:
            raise ValueError(
                "pool.holdout_by groups the rows that pool.holdout takes off the pool: set pool.holdout, too"
            )
        return self


class PromptConfig(Section):
    """How a sample becomes text and tokens."""

    template: Literal["alpaca", "chat", "auto"] = "alpaca"
    """alpaca: the paper's templates; chat: the model's own chat template; auto: chat where there is one."""
    max_length: int = Field(default=512, ge=8)
    """Tokens of a sample at most, prompt and response together; longer ones are cut at the right."""


class EmbedConfig(Section):
    """The pass of the round's model over the pool."""

    pooling: Literal["mean", "response", "last", "weighted"] = "mean"
    """mean: of all tokens (the paper); response: the trained ones; last; weighted: later ones weigh more."""
    dtype: Literal["auto", "model", "float32", "bfloat16", "float16"] = "auto"
    """Precision of the pass; pooling is float32. auto: bfloat16 on a GPU that has it, else the model's."""
    tokens_per_batch: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    """Padded tokens a batch; auto starts from the memory at hand. Halved by itself when memory runs out."""
    model: PathText | None = None
    """A sentence-transformers model (folder or Hub id) that gives the vectors instead, once a run."""


class SelectionConfig(Section):
    """Which rows each round adds."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    strategy: str = "k_center"
    """k_center, random, … (docs/strategies.md), or an installed package's; further keys are its options."""
    candidates: float = Field(default=1.0, gt=0, le=1)
    """Share of the unchosen rows, drawn anew each round, that are embedded and considered."""
    seed_subset: PathText | None = None
    """A file that gives round 0: a row number or id a line, a chosen.jsonl, or records of the pool."""
    must_include: PathText | None = None
    """A file of rows or ids (or records) that round 0 contains in any case."""
    exclude: PathText | None = None
    """A file of rows or ids (or records) that are never chosen."""

    @property
    def options(self) -> dict[str, Any]:
        """The strategy's own options."""
        return dict(self.model_extra or {})


class TrainConfig(Section):
    """How each round's model is tuned: our few keys, and every key of TRL's SFTConfig under its own name."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    start: Literal["base", "previous"] = "base"
    """base: every round tunes the base model afresh (the paper); previous: goes on from the last round's."""
    method: Literal["full", "lora", "qlora"] = "full"
    """full fine-tuning, or an adapter by PEFT (qlora: over a base loaded in 4 bits)."""
    lora: dict[str, Any] = Field(default_factory=dict)
    """Keys of PEFT's LoraConfig, such as r, lora_alpha, target_modules."""
    total_batch_size: int | None = Field(default=None, ge=1)
    """Samples a step over all processes; gives gradient_accumulation_steps, unless that key is set itself."""
    checkpoint_minutes: float = Field(default=10.0, ge=0)
    """Minutes between checkpoints within a round, unless save_strategy is set; 0 means every step."""
    command: str | None = None
    """Your own trainer instead: a shell command with {data}, {base} and {out} (also {round} and {seed})."""
    command_format: Literal[
        "records", "alpaca", "sharegpt", "messages", "prompt_completion", "parquet", "llamafactory"
    ] = "alpaca"
    """The format of {data} for `command`; llamafactory is a folder with its dataset_info.json."""

    @property
    def sft(self) -> dict[str, Any]:
        """The keys that are passed to SFTConfig."""
        return dict(self.model_extra or {})

    @property
    def report_to(self) -> tuple[str, ...]:
        """The trackers that `report_to` names: none, one, several, or `all` that are installed."""
        named = self.sft.get("report_to")
        names = tuple(map(str, named)) if isinstance(named, list | tuple) else (str(named),) if named else ()
        if names == ("all",):
            return tuple(name for name in TRACKERS if find_spec(name))
        return () if names == ("none",) else names

    @model_validator(mode="before")
    @classmethod
    def _tidy_values(cls, values: Any) -> Any:  # noqa: ANN401 - whatever stands there
        return _tidy(values) if isinstance(values, Mapping) else values

    @model_validator(mode="after")
    def _can_be_written_down(self) -> TrainConfig:
        inner = self.sft.get("model_init_kwargs")
        if self.sft.get("hub_token") or (isinstance(inner, Mapping) and inner.get("token")):
            raise ValueError(
                "train.hub_token and train.model_init_kwargs.token are kept out of configs, which are "
                "written into the run "
                "folder: log in with `hf auth login` or set HF_TOKEN"
            )
        if self.command and ("{data}" not in self.command or "{out}" not in self.command):
            raise ValueError(f"train.command must contain {{data}} and {{out}}, found {self.command!r}")
        return self


class TunedConfig(Section):
    """A model that is tuned with some keys of `train` set otherwise."""

    train: dict[str, Any] = Field(default_factory=dict)
    """Keys of `train` that differ for it, such as {method: lora, learning_rate: 2e-4}."""

    @field_validator("train")
    @classmethod
    def _is_train(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            TrainConfig.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            found = (
                f"train.{'.'.join(map(str, first['loc']))} is {first['input']!r}: " if first["loc"] else ""
            )
            raise ValueError(found + str(first["msg"]).removeprefix("Value error, ")) from None
        return value

    def of(self, train: TrainConfig) -> TrainConfig:
        """`train` with these keys laid over it."""
        return TrainConfig.model_validate(train.model_dump() | self.train)


class SelectorConfig(TunedConfig):
    """A smaller model that goes through the rounds in place of `model`."""

    model: PathText
    """The selector: a local folder or a Hub id; it is tuned and embeds in every round."""


class FinalConfig(TunedConfig):
    """One tuning of `model` on the final subset, after the last round."""


class HeldoutConfig(Section):
    """Held-out rows whose loss is measured after every round."""

    path: PathText
    """A file of rows in any of the pool's formats; none of them may be in the pool."""
    group: str | None = None
    """A column of those rows; the loss is also given per value of it."""


class StopConfig(Section):
    """When the run ends by itself, before its schedule does; the round under way is always finished."""

    measure: Literal["covering_radius", "vendi", "heldout"] | None = None
    """End when this has settled: covering_radius or vendi (of the chosen rows), or heldout (the loss)."""
    share: float = Field(default=0.01, ge=0, lt=1)
    """Settled: none of the last stop.rounds rounds differs by more than this from the round before them."""
    rounds: int = Field(default=2, ge=1)
    """Over how many rounds it must have settled."""
    samples: int | None = Field(default=None, ge=1)
    """End after the first round with so many samples chosen."""
    tokens: int | None = Field(default=None, ge=1)
    """End after the first round whose chosen samples have so many tokens, counted once."""
    flops: float | None = Field(default=None, gt=0)
    """End after the first round at which all stages of all rounds took so many floating-point operations."""
    hours: float | None = Field(default=None, gt=0)
    """End after the first round at which all stages of all rounds took so many hours."""


class RunConfig(Section):
    """A whole run."""

    pool: Annotated[PoolConfig, _bare("path")]
    """The instruction data to choose from: a path, or a section."""
    model: PathText
    """The base model: a local folder or a Hub id that AutoModelForCausalLM loads."""
    out: PathText
    """The run folder; the same command with the same folder resumes."""
    seed: int = Field(default=0, ge=0)
    """Fixes the first draw, the training order, dropout and every random choice."""
    rounds: int = Field(default=10, ge=0)
    """Rounds of selection after round 0."""
    n_init: int = Field(default=100, ge=1)
    """Samples of round 0."""
    n_new: NewSamples = 100
    """Samples that each round adds: a number, one a round, or geometric (equal growth up to `budget`)."""
    budget: int | str | None = None
    """Largest size of the final subset: samples (1100) or tokens ("200000 tokens", counted as tokenised)."""
    trust_remote_code: bool = False
    """Let the model's own Python code run; off unless you have read that code."""
    prompt: PromptConfig = PromptConfig()
    """How a sample becomes text and tokens."""
    train: TrainConfig = TrainConfig()
    """How each round's model is tuned."""
    embed: EmbedConfig = EmbedConfig()
    """The pass of the round's model over the pool."""
    selection: SelectionConfig = SelectionConfig()
    """Which rows each round adds."""
    selector: Annotated[SelectorConfig | None, _bare("model")] = None
    """A smaller model that does the rounds: its name, or {model: …, train: {…}}; `final` tunes `model`."""
    final: Annotated[FinalConfig | None, BeforeValidator(_from_flag)] = None
    """Tune `model` once on the final subset, at the end: true, or {train: {keys of train that differ}}."""
    heldout: Annotated[HeldoutConfig | None, _bare("path")] = None
    """Rows whose loss is measured after every round: a path, or {path: heldout.jsonl, group: a column}."""
    stop: StopConfig = StopConfig()
    """When the run ends by itself, before its schedule does; the round under way is always finished."""
    keep: Literal["all", "last", "best", "none"] = "last"
    """Which rounds' weights stay: all, the last one's, the one's with the lowest held-out loss, or none."""
    keep_signals: Literal["all", "last", "none"] = "last"
    """Which rounds' embeddings stay."""

    @model_validator(mode="after")
    def _fits_together(self) -> RunConfig:
        if self.heldout and self.pool.holdout:
            raise ValueError("heldout.path and pool.holdout both name held-out rows: set one of them")
        if self.stop.measure == "heldout" and not self.has_heldout:
            raise ValueError("stop.measure: heldout needs held-out rows: set heldout.path or pool.holdout")
        if self.keep == "best" and not self.has_heldout:
            raise ValueError("keep: best needs a yardstick: set heldout.path or pool.holdout, or keep: last")
        if self.keep == "none" and self.train.start == "previous":
            raise ValueError("train.start: previous needs the last round's weights: set keep: last")
        if self.selector and self.final is None and "final" not in self.model_fields_set:
            raise ValueError(
                f"selector {self.selector.model!r} does the rounds, and nothing tunes model {self.model!r}: "
                "set final=true, or final=false to tune it yourself"
            )
        methods = {config.train.method for config in (self, self.for_rounds(), self.for_final())}
        if self.train.lora and methods == {"full"} and not self.train.command:
            raise ValueError(
                f"train.lora is {self.train.lora!r}, but train.method is full, which tunes all weights: set "
                "train.method=lora, or leave train.lora out"
            )
        if self.final and self.for_final().train.command:
            raise ValueError(
                "final is tuned by the built-in trainer: set final.train.command: null, or tune it yourself"
            )
        round_sizes(self.rounds, self.n_init, self.n_new, self.budget)
        return self

    def for_rounds(self) -> RunConfig:
        """The configuration as the rounds see it: with a selector, that is their model."""
        if self.selector is None:
            return self
        changes = {"model": self.selector.model, "train": self.selector.of(self.train), "selector": None}
        return self.model_copy(update=changes)

    def for_final(self) -> RunConfig:
        """The configuration as the final tuning sees it."""
        return self if self.final is None else self.model_copy(update={"train": self.final.of(self.train)})

    @property
    def has_heldout(self) -> bool:
        """Whether a held-out loss is measured after every round."""
        return bool(self.heldout or self.pool.holdout)

    @property
    def heldout_group(self) -> str | None:
        """The column by which the held-out loss is given per group, too."""
        return self.heldout.group if self.heldout else self.pool.holdout_by
