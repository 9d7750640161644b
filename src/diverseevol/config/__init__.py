"""What a run is, how it is read and how it is checked, all without loading torch."""

from .explain import explain
from .load import load_config, read_yaml, validate, yaml_text
from .presets import ABOUT, PRESETS
from .schedule import round_sizes, split_budget
from .schema import (
    TRACKERS,
    EmbedConfig,
    FinalConfig,
    HeldoutConfig,
    PoolConfig,
    PromptConfig,
    RunConfig,
    SelectionConfig,
    SelectorConfig,
    SourceConfig,
    StopConfig,
    TrainConfig,
)

__all__ = [
    "ABOUT",
    "PRESETS",
    "TRACKERS",
    "EmbedConfig",
    "FinalConfig",
    "HeldoutConfig",
    "PoolConfig",
    "PromptConfig",
    "RunConfig",
    "SelectionConfig",
    "SelectorConfig",
    "SourceConfig",
    "StopConfig",
    "TrainConfig",
    "explain",
    "load_config",
    "read_yaml",
    "round_sizes",
    "split_budget",
    "validate",
    "yaml_text",
]
