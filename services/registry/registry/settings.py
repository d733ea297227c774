"""What can be set of the registry, besides what every service has."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field

from common.datafiles.limits import Limits
from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from the environment (`PLATFORM_INSPECTIONS` and so on)."""

    models_dir: Path = Field(
        default_factory=lambda settings: Path(settings["data_dir"]) / "models",
        description="Where base models lie, whose tokenizers count tokens",
    )
    max_dataset_bytes: int = Field(default=8 << 30, ge=1, description="Largest data set, in bytes")
    limits: Limits = Field(default=Limits(), description="How wide a data set may be, as JSON")
    inspections: int = Field(default=2, ge=1, le=64, description="Most data sets read at once; more wait in line")
    inspection_memory_bytes: int = Field(
        default=1536 << 20, ge=256 << 20, description="Most memory that reading one data set may take, in bytes"
    )
    inspection_seconds: int = Field(
        default=100, ge=1, description="Most time that reading one data set may take; within the caller's 120 s"
    )
    sweep_interval: timedelta = Field(
        default=timedelta(minutes=15), description="How often uploads that were never entered are looked for"
    )
    orphan_age: timedelta = Field(
        default=timedelta(hours=1), description="How old such an upload is when it is removed"
    )
