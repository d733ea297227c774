"""`python -m common.provision`: makes what the services expect, where others run the servers, as on Kubernetes.

To be run before the services start, after each upgrade, and whenever a password has changed.
"""

import asyncio
import sys

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.objects import Objects
from common.provision import provision_roles, provision_streams
from common.settings import BUCKET_PREFIX
from common.telemetry import configure_logging, get_logger
from contracts.topology import ACCESS

_SERVICES = frozenset(access.service for access in ACCESS)
_log = get_logger("provision")


class Settings(BaseSettings):
    """Where the servers are, and how their administrators enter; read from `PLATFORM_NATS_URL` and so on."""

    model_config = SettingsConfigDict(
        env_prefix="PLATFORM_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        protected_namespaces=(),
        hide_input_in_errors=True,
    )

    nats_url: str = Field(description="NATS servers, separated by commas")
    nats_user: str = Field(default="platform", description="The user who may do everything")
    nats_password: SecretStr = Field(description="Password of that user")
    nats_replicas: int = Field(default=1, ge=1, le=5, description="Servers that keep a copy of each stream")
    database_url: SecretStr = Field(description="The platform's database, as an administrator")
    role_passwords: dict[str, SecretStr] = Field(
        description="Password of each service's role: `PLATFORM_ROLE_PASSWORDS__GATEWAY` and so on"
    )
    s3_endpoint: str = Field(description="The S3 server")
    s3_access_key: str = Field(description="Access key of who may create buckets")
    s3_secret_key: SecretStr = Field(description="Its secret key")
    s3_region: str = Field(default="us-east-1", description="Region that requests are signed for")
    s3_bucket_prefix: str = Field(default="", pattern=BUCKET_PREFIX, description="Put before the names of buckets")
    patience: float = Field(default=120.0, gt=0, description="Seconds that NATS is waited for")

    @field_validator("role_passwords")
    @classmethod
    def _are_of_all_services(cls, passwords: dict[str, SecretStr]) -> dict[str, SecretStr]:
        if passwords.keys() != _SERVICES:
            raise ValueError(f"needs a password for each of {', '.join(sorted(_SERVICES))}")
        return passwords


async def provision(settings: Settings) -> None:
    """Makes all of it. Raises what the servers' clients raise."""
    await provision_streams(
        settings.nats_url,
        settings.nats_user,
        settings.nats_password.get_secret_value(),
        replicas=settings.nats_replicas,
        patience=settings.patience,
    )
    _log.info("streams_provisioned", replicas=settings.nats_replicas)
    passwords = {service: password.get_secret_value() for service, password in settings.role_passwords.items()}
    await provision_roles(settings.database_url.get_secret_value(), passwords)
    _log.info("roles_provisioned", roles=sorted(passwords))
    objects = Objects(
        settings.s3_endpoint,
        settings.s3_access_key,
        settings.s3_secret_key.get_secret_value(),
        settings.s3_region,
        settings.s3_bucket_prefix,
    )
    buckets = sorted({bucket for access in ACCESS for bucket in access.buckets})
    for bucket in buckets:
        await asyncio.to_thread(objects.ensure_bucket, bucket)
    _log.info("buckets_provisioned", buckets=buckets)


if __name__ == "__main__":
    configure_logging("provision")
    try:
        asyncio.run(provision(Settings()))
    except Exception:
        _log.exception("provisioning_failed")
        sys.exit(1)
