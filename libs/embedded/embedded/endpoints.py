"""Where the servers are and who may enter: what the supervisor knows, each service is told its part, and tests use."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.topology import ACCESS, inbox_prefix
from embedded.secrets import Secrets

SERVICES = tuple(access.service for access in ACCESS)
ADMINISTRATOR = "platform"
"""The user of each server that provisions it; no service ever is this one."""
DATABASE = "platform"
USERS = tuple((server, user) for server in ("nats", "postgres", "s3") for user in (ADMINISTRATOR, *SERVICES))


@dataclass(frozen=True)
class ServiceAccess:
    """How one user enters each server; for a service its role, its NATS user and its S3 identity have its name."""

    nats_url: str
    nats_user: str
    nats_password: str = field(repr=False)
    nats_inbox_prefix: str
    database_url: str = field(repr=False)
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str = field(repr=False)

    def environment(self) -> dict[str, str]:
        """The variables that `common.settings.ServiceSettings` reads."""
        return {
            "PLATFORM_NATS_URL": self.nats_url,
            "PLATFORM_NATS_USER": self.nats_user,
            "PLATFORM_NATS_PASSWORD": self.nats_password,
            "PLATFORM_DATABASE_URL": self.database_url,
            "PLATFORM_S3_ENDPOINT": self.s3_endpoint,
            "PLATFORM_S3_ACCESS_KEY": self.s3_access_key,
            "PLATFORM_S3_SECRET_KEY": self.s3_secret_key,
        }


@dataclass(frozen=True)
class Endpoints:
    """The running servers: the administrator's access, and that of each service by its name."""

    nats_url: str
    nats_monitor_url: str
    s3_endpoint: str
    administrator: ServiceAccess
    services: Mapping[str, ServiceAccess]

    def __getitem__(self, service: str) -> ServiceAccess:
        return self.services[service]

    @classmethod
    def of(cls, ports: Mapping[str, int], secrets: Secrets) -> "Endpoints":
        """What follows from the chosen ports and the kept passwords."""
        nats_url = f"nats://127.0.0.1:{ports['nats']}"
        s3_endpoint = f"http://127.0.0.1:{ports['s3']}"

        def access(user: str) -> ServiceAccess:
            password = secrets.password("postgres", user)
            return ServiceAccess(
                nats_url=nats_url,
                nats_user=user,
                nats_password=secrets.password("nats", user),
                nats_inbox_prefix=inbox_prefix(user),
                database_url=f"postgresql://{user}:{password}@127.0.0.1:{ports['postgres']}/{DATABASE}",
                s3_endpoint=s3_endpoint,
                s3_access_key=user,
                s3_secret_key=secrets.password("s3", user),
            )

        return cls(
            nats_url=nats_url,
            nats_monitor_url=f"http://127.0.0.1:{ports['nats_monitor']}",
            s3_endpoint=s3_endpoint,
            administrator=access(ADMINISTRATOR),
            services={service: access(service) for service in SERVICES},
        )
