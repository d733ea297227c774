"""The NATS server of this machine, with a user per service whose permissions follow from `contracts.topology`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from contracts.topology import ACCESS, permissions
from embedded.endpoints import ADMINISTRATOR
from embedded.files import make_private, write_atomically
from embedded.log import parse_nats
from embedded.probe import answers
from embedded.process import Command
from embedded.programs import script
from embedded.secrets import Secrets

_MAX_PAYLOAD = 8 << 20
"""Bytes; NATS advises no more. Completions carry whole conversations in one message."""
_MAX_STORE = 64 << 30
"""Bytes; streams reserve their own limits within it. The default follows the free disk, and streams may not fit."""


def nats_command(directory: Path, ports: Mapping[str, int], secrets: Secrets, *, fsync: bool) -> Command:
    """Writes the configuration into `directory` and says how to run the server there."""
    make_private(directory)
    configuration = directory / "nats.conf"
    write_atomically(configuration, json.dumps(_configuration(directory, ports, secrets, fsync), indent=2), mode=0o600)
    monitor = ports["nats_monitor"]
    return Command(
        name="nats",
        arguments=(script("nats-server"), "--config", str(configuration)),
        # One core is far more than the services of one machine can make it need; with several, Go's scheduler spends a
        # third of the server's time on waking them in turn.
        environment={"PATH": os.defpath, "GOMAXPROCS": "1"},
        ready=lambda: answers(monitor, "/healthz"),
        parse=parse_nats,
    )


def _configuration(directory: Path, ports: Mapping[str, int], secrets: Secrets, fsync: bool) -> dict[str, object]:
    users: list[dict[str, object]] = [
        {"user": ADMINISTRATOR, "password": secrets.password("nats", ADMINISTRATOR)},
    ]
    for access in ACCESS:
        allowed = permissions(access)
        users.append(
            {
                "user": access.service,
                "password": secrets.password("nats", access.service),
                "permissions": {
                    "publish": {"allow": list(allowed.publish)},
                    "subscribe": {"allow": list(allowed.subscribe)},
                },
            }
        )
    jetstream: dict[str, object] = {"store_dir": str(directory / "jetstream"), "max_file_store": _MAX_STORE}
    if fsync:
        # Acknowledgements precede the sync. Postgres holds the truth; this bounds what a power cut takes from the rest.
        jetstream["sync_interval"] = "1s"
    return {
        "server_name": "platform",
        "listen": f"127.0.0.1:{ports['nats']}",
        "http": f"127.0.0.1:{ports['nats_monitor']}",
        "max_payload": _MAX_PAYLOAD,
        "jetstream": jetstream,
        "authorization": {"users": users},
    }
