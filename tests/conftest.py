"""What every test may use: real NATS, Postgres and S3, started once per session on free ports."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.endpoints import Endpoints
from embedded.servers import start_servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """The running servers and each service's access to them."""
    with start_servers(tmp_path_factory.mktemp("servers") / "data") as endpoints:
        yield endpoints
