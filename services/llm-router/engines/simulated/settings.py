"""What a simulated engine is told on its command line, or by `PLATFORM_SIMULATED_*`."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SimulatedSettings(BaseSettings):
    """Frozen settings of one simulated engine. Durations are seconds; without any it answers as fast as it can."""

    model_config = SettingsConfigDict(
        env_prefix="PLATFORM_SIMULATED_",
        frozen=True,
        extra="ignore",
        cli_prog_name="python -m engines.simulated",
        cli_kebab_case=True,
    )

    host: str = Field(default="127.0.0.1", description="Address to listen on")
    port: int = Field(default=5001, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    name: str = Field(default="Simulated LLM 1 (small)", min_length=1, description="Name that the answers give")
    model: str = Field(default="simulated-small", min_length=1, description="The one model it answers for")
    latency: float = Field(default=0.0, ge=0, description="Seconds before the first token")
    tokens_per_second: float = Field(default=0.0, ge=0, description="Pace of the tokens; 0 sends them all at once")
    fail_rate: float = Field(default=0.0, ge=0, le=1, description="Share of requests that fail")
    fail_after_tokens: int = Field(
        default=0, ge=0, description="Tokens before a failing request fails; a stream is then cut off"
    )
    fail_status: int = Field(default=500, ge=400, le=599, description="Status of a request that fails at once")
    fail_seed: int = Field(default=0, description="Which requests fail: the same seed, the same ones")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
