"""Settings of the verbs that stand beside a run's configuration, one section a verb."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field

from .schema import PathText, Section


class InitConfig(Section):
    """What a new configuration names."""

    preset: str = "paper"
    """paper, modern or thrifty."""
    pool: str = "pool.jsonl"
    """Instruction data."""
    model: str = "path/to/model"
    """Base model."""
    out: str = "runs/a"
    """Run folder."""
    force: bool = False
    """Overwrite the file if it is there."""


class PlanConfig(Section):
    """The machine that `plan` counts on."""

    hardware: str = "h100"
    """a100, h100, h100-pcie, h200, b200, l4, l40s, …"""
    utilisation: float = Field(default=0.4, ge=0.01, le=1)
    """Share of that device's peak that the run gets."""


class AnswerConfig(Section):
    """How a model answers."""

    sampling: Literal["paper", "greedy", "model"] = "paper"
    """paper: temperature 0.7, 50 best; greedy; model: its own generation_config."""
    max_new_tokens: int = Field(default=1024, ge=1)
    """Tokens of an answer at most."""
    seed: int = Field(default=0, ge=0)
    """Fixes each question's random numbers."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: as saved."""
    batch_size: int | None = Field(default=None, ge=1)
    """Questions at once; by itself as many as fit."""
    template: Literal["alpaca", "chat", "auto"] = "auto"
    """Without a run; auto: chat where the model has a template."""
    benchmarks_dir: PathText | None = Field(default_factory=lambda: os.environ.get("DIVERSEEVOL_BENCHMARKS"))
    """Where known benchmarks' files lie; or DIVERSEEVOL_BENCHMARKS."""
    base_url: str | None = None
    """Ask a server with the OpenAI API instead of loading the model."""
    served_model: str | None = None
    """The model's name at that server."""
    concurrency: int = Field(default=8, ge=1)
    """Requests to the server under way at once."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the server's key."""
    overwrite: bool = False
    """Answer again what was answered with other settings."""
    trust_remote_code: bool = False
    """Without a run: let the model's own Python code run."""


class JudgeConfig(Section):
    """How a judge is asked, and its verdicts are added up."""

    n_questions: int | None = Field(default=None, ge=1)
    """How many questions the benchmark has."""
    template: PathText = "pairwise"
    """The instruction: pairwise, or a file of yours."""
    base_url: str | None = Field(default_factory=lambda: os.environ.get("OPENAI_BASE_URL"))
    """Any server with the OpenAI chat API; or OPENAI_BASE_URL."""
    key_variable: str = "OPENAI_API_KEY"
    """The environment variable that holds the key."""
    opponent_name: str | None = None
    """How the verdicts call the opponent."""
    concurrency: int = Field(default=8, ge=1)
    """Requests under way at once."""
    retries: int = Field(default=6, ge=0)
    """Further tries after 429, 5xx, a time-out or a cut connection."""
    timeout: float = Field(default=120.0, ge=0.1, allow_inf_nan=False)
    """Seconds to wait for a reply."""
    budget: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Money that all this may cost; needs both prices."""
    price_in: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Money per million tokens sent."""
    price_out: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Money per million tokens received."""
    yes: bool = False
    """Spend without asking."""


class DiversityConfig(Section):
    """What a subset is compared with."""

    random_sets: int = Field(default=20, ge=0)
    """Random sets of the same size to compare with."""
    labels: str | None = None
    """Coverage of the labels in this column of the records, not of cells."""
    columns: PathText | None = None
    """Without RUN: JSONL, CSV or Parquet, a record a row, with the column of --labels."""
    cells: int | None = Field(default=None, ge=1)
    """Cells of a k-means clustering to cover; 100 if not given."""
    seed: int = Field(default=0, ge=0)
    """Draws the random sets and starts the clustering."""


class TasksConfig(Section):
    """How lm-eval's tasks are run."""

    limit: int | None = Field(default=None, ge=1)
    """Only the first so many questions of each task, for a try."""
    task_folder: PathText | None = None
    """YAML files of tasks of your own; their code is run."""


class DemoConfig(Section):
    """The demo's made world."""

    rounds: int = Field(default=4, ge=1)
    """Rounds after round 0."""
    rows: int = Field(default=3000, ge=700)
    """Rows of the made pool."""
    seed: int = 0
    """Fixes every random choice."""
