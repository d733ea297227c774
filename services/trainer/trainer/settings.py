"""Settings of the trainer."""

from pathlib import Path

from pydantic import Field, field_validator

from common.datafiles.limits import Limits
from common.settings import ServiceSettings
from contracts.pipeline import AGENT_CONFIGS


class Settings(ServiceSettings):
    """What a trainer works on, and where."""

    models_dir: Path = Field(
        default_factory=lambda settings: Path(settings["data_dir"]) / "models",
        description="Where base models lie; a job names them by their folder",
    )
    work_dir: Path = Field(
        default_factory=lambda settings: Path(settings["data_dir"]) / "trainer",
        description="Scratch space of the steps being worked on; emptied by itself",
    )
    limits: Limits = Field(
        default=Limits(), description="How wide a data set may be, as JSON: the same that the registry is told"
    )
    slots: int = Field(default=1, ge=1, le=64, description="Steps worked on at once, each in a process of its own")
    agent_classes: tuple[str, ...] = Field(
        default=tuple(AGENT_CONFIGS), min_length=1, description="Agent classes that this worker takes steps of (JSON)"
    )
    poll_seconds: float = Field(
        default=2.0, gt=0, description="How often it asks for work when no hint arrives; hints may be lost"
    )
    sweep_seconds: float = Field(
        default=300, gt=0, description="How often checkpoints are looked for that nobody will go on from"
    )

    @field_validator("agent_classes")
    @classmethod
    def _are_known(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(classes) - set(AGENT_CONFIGS))
        if unknown:
            raise ValueError(f"unknown agent classes: {', '.join(unknown)}")
        return classes
