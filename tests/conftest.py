"""What every test may ask for. Servers are real; a test that needs none asks for none and pays for none."""

from collections.abc import Iterator

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from embedded.endpoints import Endpoints
from embedded.servers import start_servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """NATS, Postgres and S3 on free ports, provisioned as `make run` does, shared by the whole session."""
    with start_servers(tmp_path_factory.mktemp("servers")) as endpoints:
        yield endpoints


class ByDirectory(LoadScopeScheduling):
    """Keeps each directory's tests in one worker, where they share what they start."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("/")[1]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByDirectory:
    return ByDirectory(config, log)
