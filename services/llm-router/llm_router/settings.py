"""What the router is told by its environment."""

from pathlib import Path

from pydantic import Field, SecretStr, model_validator

from common.settings import ServiceSettings
from llm_router.domain.engines import CONFIGURED, DeclaredEngine


class RouterSettings(ServiceSettings):
    """Settings of the llm-router. Durations are seconds."""

    engines: tuple[DeclaredEngine, ...] = Field(default=(), description="Declared engines, as a JSON list")
    adapter_dir: Path | None = Field(
        default=None,
        description="Where adapters are put for engines on this machine or volume; default: `adapters` in data_dir",
    )
    adapter_cache_bytes: int = Field(
        default=20 * 2**30, ge=0, description="Space for adapters' files that no engine holds; beyond it the oldest go"
    )
    adapters_per_engine: int = Field(
        default=16, ge=1, description="Adapters that an engine holds; beyond it the least recently used idle one goes"
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Fernet key that encrypts provider tokens; without one no token is stored. Of several, with commas"
        " between them, the first encrypts and all decrypt: so a key is replaced",
    )

    engine_connect_timeout: float = Field(default=3.0, gt=0, description="To connect to an engine")
    engine_request_timeout: float = Field(default=590.0, gt=0, description="For an answer, or the first token of one")
    engine_silence_timeout: float = Field(default=120.0, gt=0, description="Without a byte, once an answer streams")
    model_load_timeout: float = Field(default=60.0, gt=0, description="For an engine to load an adapter")
    engine_check_interval: float = Field(default=5.0, gt=0, description="Between health checks, which discover models")
    engine_check_timeout: float = Field(default=3.0, gt=0, description="For an engine to list its models")
    engine_patience: float = Field(default=5.0, ge=0, description="That a request waits for an engine that just died")
    engine_attempts: int = Field(default=3, ge=1, le=10, description="Attempts before the first token")
    engine_queue_limit: int = Field(default=1000, ge=0, description="Most requests that wait for a busy engine")
    engine_queue_timeout: float = Field(default=30.0, gt=0, description="Longest wait for a busy engine")
    breaker_failures: int = Field(default=5, ge=1, description="Failures in a row after which an engine is left alone")
    breaker_cooldown: float = Field(default=5.0, gt=0, description="For how long, at first; doubled up to a minute")
    budget_idle_seconds: float = Field(
        default=5.0,
        gt=0,
        description="How long a router holds a part of a key's budget that nobody spends",
    )
    idempotency_seconds: float = Field(
        default=24 * 3600.0, gt=0, description="How long a completion is told again to the same Idempotency-Key"
    )
    idempotency_lease_seconds: float = Field(
        default=15.0,
        gt=0,
        description="How long a router that makes a completion for such a key may be silent before another does",
    )
    interaction_retention_days: int | None = Field(
        default=90, ge=1, le=3650, description="Days for which interactions are kept; `null` keeps them for ever"
    )
    interaction_buffer: int = Field(
        default=10_000, ge=1, description="Interactions held in memory while NATS is away; more go to the log"
    )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "RouterSettings":
        names = [engine.name for engine in self.engines]
        if len(set(names)) != len(names):
            raise ValueError("two engines have the same name")
        if CONFIGURED in names:
            raise ValueError(f"the name {CONFIGURED!r} belongs to the engine that POST /config sets up")
        return self

    @property
    def adapters(self) -> Path:
        return self.adapter_dir if self.adapter_dir is not None else self.data_dir / "adapters"
