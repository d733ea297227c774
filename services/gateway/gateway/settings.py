"""Settings of the gateway, read from the environment under `PLATFORM_` like those that every service has."""

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator

from common.settings import ServiceSettings
from gateway.domain.people import SHORTEST_PASSWORD

MIB = 1024 * 1024


class GatewaySettings(ServiceSettings):
    """Where the gateway listens, its first administrator's key, and how much it takes."""

    host: str = Field(default="127.0.0.1", description="Address the gateway answers at")
    port: int = Field(default=8000, ge=0, le=65535, description="Port the gateway answers at; 0 takes a free one")
    admin_key: SecretStr = Field(
        default=SecretStr(""), description="Key with the role admin that is in no database; empty means there is none"
    )
    admin_password: SecretStr = Field(
        default=SecretStr(""),
        description="Password of the user `admin`, who is made where there are no users; empty makes nobody",
    )
    max_body_bytes: int = Field(default=8 * MIB, ge=1024, description="Largest request body but for uploads")
    max_upload_bytes: int = Field(default=5 * 1024 * MIB, ge=1, description="Largest file of an upload")
    upload_seconds: float = Field(
        default=24 * 3600, gt=0, le=2 * 24 * 3600, description="How long an upload that can be resumed may take"
    )
    keys_reload_seconds: float = Field(
        default=30.0, gt=0, description="How often API keys are read again, besides whenever one changes"
    )
    user_requests_per_minute: int = Field(
        default=1000, ge=0, description="Requests a minute of each key and user without a limit of its own; 0: no limit"
    )
    address_requests_per_minute: int = Field(
        default=100, ge=0, description="Requests a minute without a valid key, by address; 0: no limit"
    )
    tests_per_minute: int = Field(default=100, ge=0, description="Prompts tested a minute by each caller; 0: no limit")
    executions_per_day: int = Field(
        default=1000, ge=0, description="Actions executed a day by each caller; 0: no limit"
    )
    logins_per_minute: int = Field(
        default=10,
        ge=0,
        description=(
            "Tries to log in a minute with one name from one address; three times as many from one address, and ten"
            " times as many with one name; 0: no limit"
        ),
    )
    session_idle_seconds: float = Field(
        default=12 * 3600, gt=0, description="A session that nobody uses for so long is over"
    )
    session_cap_seconds: float = Field(
        default=7 * 24 * 3600, gt=0, description="After so long a session is over in any case"
    )
    secure_cookies: bool = Field(
        default=False,
        description="Marks sessions' cookies for TLS alone in any case, not only where TLS is seen or told of",
    )
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(), description='Networks whose X-Forwarded-For says where requests come from, as `["10.0.0.0/8"]`'
    )
    heartbeat_seconds: float = Field(
        default=15.0,
        gt=0,
        description="Longest silence on an event stream before a comment, and on a WebSocket before a ping",
    )
    watching_bytes: int = Field(
        default=MIB, ge=1024, description="What may wait for a client that watches runs before it counts as too slow"
    )
    ticket_seconds: int = Field(
        default=30, ge=1, le=3600, description="How long a ticket for a stream may be used, which it is once"
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description='Pages of other hosts that may open WebSockets in a session, as `["https://app.example.com"]`',
    )
    presigned_seconds: int = Field(
        default=3600, ge=1, le=7 * 24 * 3600, description="How long a presigned download URL is valid"
    )
    shutdown_seconds: float = Field(
        default=10.0, ge=0, description="How long requests may finish when the gateway ends"
    )

    @field_validator("admin_password")
    @classmethod
    def _is_long_enough(cls, password: SecretStr) -> SecretStr:
        if 0 < len(password.get_secret_value()) < SHORTEST_PASSWORD:
            raise ValueError(f"a password has at least {SHORTEST_PASSWORD} characters")
        return password
