"""The two clients: the same families, blocking or awaitable."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Generic

import httpx

from llm_platform import settings
from llm_platform.core.binding import R
from llm_platform.core.retrying import Retries
from llm_platform.errors import NotConfigured
from llm_platform.families.actions import Actions
from llm_platform.families.blocks import Blocks
from llm_platform.families.chat import Chat
from llm_platform.families.config import Config, Engines
from llm_platform.families.content import Content
from llm_platform.families.datasets import Datasets
from llm_platform.families.events import Events
from llm_platform.families.instances import Instances
from llm_platform.families.jobs import Jobs
from llm_platform.families.keys import Keys
from llm_platform.families.logs import Logs
from llm_platform.families.models import Models
from llm_platform.families.payloads import Payloads
from llm_platform.families.platform import Platform
from llm_platform.families.posts import Posts
from llm_platform.families.prompts import Prompts
from llm_platform.families.runs import Runs
from llm_platform.families.tasks import Profiles, Roles, Tasks
from llm_platform.families.usage import Usage
from llm_platform.families.users import Users
from llm_platform.families.workflows import Workflows
from llm_platform.transport.asynchronous import AsyncRunner
from llm_platform.transport.blocking import Runner
from llm_platform.transport.common import Place

_TIMEOUT = 120.0
"""Seconds without a byte; a completion may take its time."""
_CONNECT = 5.0


class _Families(Generic[R]):
    """Every family of calls, through one runner."""

    def __init__(self, runner: R) -> None:
        self._runner = runner
        self.actions = Actions(runner)
        self.prompts = Prompts(runner)
        self.content = Content(runner)
        self.posts = Posts(runner)
        self.config = Config(runner)
        self.engines = Engines(runner)
        self.blocks = Blocks(runner)
        self.payloads = Payloads(runner)
        self.workflows = Workflows(runner)
        self.runs = Runs(runner)
        self.instances = Instances(runner)
        self.tasks = Tasks(runner)
        self.profiles = Profiles(runner)
        self.roles = Roles(runner)
        self.jobs = Jobs(runner)
        self.datasets = Datasets(runner)
        self.models = Models(runner)
        self.logs = Logs(runner)
        self.chat = Chat(runner)
        self.events = Events(runner)
        self.usage = Usage(runner)
        self.keys = Keys(runner)
        self.users = Users(runner)
        self.platform = Platform(runner)


class Client(_Families[Runner]):
    """The platform, for programs that wait for their answers.

        with Client("http://localhost:8000/api/v1", api_key="llmp_…") as client:
            dataset = client.datasets.upload("training_data.csv")

    Without `base_url` and `api_key`, `LLM_PLATFORM_URL` and `LLM_PLATFORM_API_KEY` say them, or what
    `llm-platform login` kept. `timeout` is in seconds without a byte. Safe to share between threads.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = _TIMEOUT,
        retries: Retries | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        place = _place(base_url, api_key)
        with _by_environment():
            opened = http or httpx.Client(timeout=httpx.Timeout(timeout, connect=_CONNECT, pool=None))
        super().__init__(Runner(place, opened, retries or Retries()))

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._runner.close()


class AsyncClient(_Families[AsyncRunner]):
    """The platform, for programs on an event loop: as `Client`, awaited.

    async with AsyncClient("http://localhost:8000/api/v1", api_key="llmp_…") as client:
        async for log in client.logs.stream(run_id):
            print(log.message)
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = _TIMEOUT,
        retries: Retries | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        place = _place(base_url, api_key)
        with _by_environment():
            opened = http or httpx.AsyncClient(timeout=httpx.Timeout(timeout, connect=_CONNECT, pool=None))
        super().__init__(AsyncRunner(place, opened, retries or Retries()))

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._runner.aclose()


@contextmanager
def _by_environment() -> Iterator[None]:
    """Raises `NotConfigured` for proxies and certificates of the environment that cannot be used."""
    try:
        yield
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise NotConfigured(f"The environment's proxy or certificates cannot be used: {error}") from error


def _place(base_url: str | None, api_key: str | None) -> Place:
    login = settings.find(base_url, api_key)
    return Place(settings.root(login.url), login.key)
