"""What a run is, how it is read and how it is checked, all without loading torch."""

from .load import explain, load_config, read_yaml, validate
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
from .yaml12 import parse_yaml, yaml_text

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
    "parse_yaml",
    "read_yaml",
    "round_sizes",
    "split_budget",
    "validate",
    "yaml_text",
]
