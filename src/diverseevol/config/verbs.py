"""Settings of the verbs that stand beside a run's configuration: one section a verb, explained field by field."""

from __future__ import annotations

from pydantic import Field

from .schema import Section


class PlanConfig(Section):
    """The machine that `plan` counts on."""

    hardware: str = "h100"
    """a100, h100, h100-pcie, h200, b200, l4, l40s, …"""
    utilisation: float = Field(default=0.4, ge=0.01, le=1)
    """Share of that device's peak that the run gets."""
