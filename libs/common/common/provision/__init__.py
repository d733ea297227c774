"""What the services expect of NATS, Postgres and S3, made by the one user of each server who may; safe to repeat."""

from common.provision.roles import provision_roles
from common.provision.streams import provision_streams

__all__ = ["provision_roles", "provision_streams"]
