"""The S3 server of this machine: SeaweedFS, with an identity per service that reaches its own buckets alone.

Identities hold on the S3 port. The parts behind it (master, volume, filer) listen on loopback and ask for no key: on a
machine that strangers log in to, use an S3 server apart.
"""

import json
import os
import signal
import time
import urllib.request
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from common.objects import Objects, S3Path
from contracts.base import RefusalCode, Refused
from contracts.topology import ACCESS
from embedded.endpoints import ADMINISTRATOR, Endpoints
from embedded.errors import StartError
from embedded.files import make_private, write_atomically
from embedded.log import parse_seaweedfs
from embedded.ports import GRPC_OFFSET
from embedded.probe import answers
from embedded.process import Command
from embedded.programs import script
from embedded.secrets import Secrets

PARTS = ("master", "volume", "filer", "s3", "admin")
"""The parts that `weed mini` runs in one process, each on a port of its own."""
_MEMORY_LIMIT = "384MiB"
"""A target for Go's garbage collector: half of what it takes without one, at the same speed."""
_PROBE = S3Path("provisioning", "probe")
_PROBE_SECONDS = 30.0
_ACTIONS = ("Read", "Write", "List", "Tagging")


def port_name(part: str) -> str:
    return "s3" if part == "s3" else f"s3_{part}"


def s3_command(directory: Path, ports: Mapping[str, int], secrets: Secrets) -> Command:
    """Writes the identities into `directory` and says how to run the server there."""
    make_private(directory)
    data = make_private(directory / "data")
    identities = directory / "identities.json"
    write_atomically(identities, json.dumps({"identities": _identities(secrets)}, indent=2), mode=0o600)
    return Command(
        name="s3",
        arguments=(
            script("weed"),
            "mini",
            f"-dir={data.resolve()}",
            f"-s3.config={identities.resolve()}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{part}.port={ports[port_name(part)]}" for part in PARTS),
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-s3.autoCreateBucket=false",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
            # Its default resumes an old election, for which the volumes now and then come too early: they try again 5 s
            # later. A master that starts afresh learns from the volumes what there is.
            "-master.resumeState=false",
            "-volume.preStopSeconds=0",
            "-idleTimeout=1",
        ),
        environment={
            "PATH": os.defpath,
            "HOME": str(directory.resolve()),
            "GOMEMLIMIT": os.environ.get("GOMEMLIMIT", _MEMORY_LIMIT),
        },
        directory=directory,
        ready=lambda: answers(ports["s3"], "/healthz"),
        parse=parse_seaweedfs,
        # On SIGTERM it waits for idle connections, up to half a minute. Now and then it does so on SIGINT as well: no
        # reason to wait with it, for what it acknowledged it has.
        stop_signal=signal.SIGINT,
        grace=5.0,
        # Its progress report goes to standard output; what is worth knowing goes to standard error.
        keeps_output=False,
        after_stop=lambda: _remove_sockets(ports),
    )


def provision_s3(endpoints: Endpoints, ports: Mapping[str, int], *, fsync: bool) -> None:
    """Creates the buckets that are missing, and has object contents synced to disk before a write is answered.

    Raises StartError when the contents that an earlier start wrote cannot be read.
    """
    administrator = endpoints.administrator
    objects = Objects(endpoints.s3_endpoint, administrator.s3_access_key, administrator.s3_secret_key)
    for bucket in sorted({_PROBE.bucket, *(bucket for access in ACCESS for bucket in access.buckets)}):
        objects.ensure_bucket(bucket)
    _wait_for_contents(objects)
    if fsync:
        _sync_writes(ports[port_name("filer")])


def _wait_for_contents(objects: Objects) -> None:
    # The server answers before the part that holds the contents has told the others what it holds, which now and then
    # takes seconds: what an earlier start wrote is known by name then, and reading it fails.
    deadline = time.monotonic() + _PROBE_SECONDS
    while True:
        try:
            objects.get_bytes(_PROBE)
            return
        except Refused as refused:
            if refused.code is RefusalCode.NOT_FOUND:
                objects.put_bytes(_PROBE, b"written at the first start, read at every other")
            elif time.monotonic() > deadline:
                raise StartError(f"The S3 server cannot read what it holds: {refused.message}") from refused


def _identities(secrets: Secrets) -> list[dict[str, object]]:
    def identity(name: str, actions: list[str]) -> dict[str, object]:
        credentials = [{"accessKey": name, "secretKey": secrets.password("s3", name)}]
        return {"name": name, "credentials": credentials, "actions": actions}

    return [
        identity(ADMINISTRATOR, ["Admin", *_ACTIONS]),
        *(
            identity(access.service, [f"{action}:{bucket}" for bucket in access.buckets for action in _ACTIONS])
            for access in ACCESS
        ),
    ]


def _sync_writes(filer: int) -> None:
    # SeaweedFS keeps rules by path in a file of its own store; there is no flag for this one.
    rules = json.dumps({"locations": [{"locationPrefix": "/buckets/", "fsync": True}]})
    boundary = uuid.uuid4().hex
    part = 'Content-Disposition: form-data; name="file"; filename="filer.conf"\r\nContent-Type: application/json'
    request = urllib.request.Request(
        f"http://127.0.0.1:{filer}/etc/seaweedfs/filer.conf",
        data=f"--{boundary}\r\n{part}\r\n\r\n{rules}\r\n--{boundary}--\r\n".encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        method="POST",
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=10).close()


def _remove_sockets(ports: Mapping[str, int]) -> None:
    # It leaves some of these behind when it ends, and all of them when it is killed.
    for part in PARTS:
        port = ports[port_name(part)]
        for name in (f"seaweedfs-{part}-grpc-{port + GRPC_OFFSET}.sock", f"seaweedfs-{part}-{port}.sock"):
            with suppress(OSError):
                (Path("/tmp") / name).unlink(missing_ok=True)  # noqa: S108 - where SeaweedFS puts them
