"""A registry on real servers, and the services that speak with it."""

import hashlib
import io
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from common.bus import Bus
from common.objects import Objects, S3Path
from common.service import Service, running
from common.settings import ServiceSettings
from contracts.pipeline import DatasetFormat
from contracts.registry import REGISTER_DATASET, Dataset, RegisterDataset, RegisterModel
from embedded.endpoints import Endpoints
from registry.main import build
from registry.settings import Settings

Access = Callable[[str], dict[str, Any]]
Upload = Callable[..., RegisterDataset]
Enter = Callable[..., Awaitable[Dataset]]
Export = Callable[..., RegisterModel]


@pytest.fixture(scope="session")
def access(servers: Endpoints) -> Access:
    """Where a service of that name finds the servers, and how it enters."""

    def of(service: str) -> dict[str, Any]:
        found = servers[service]
        return {
            "nats_url": found.nats_url,
            "nats_user": found.nats_user,
            "nats_password": found.nats_password,
            "database_url": found.database_url,
            "s3_endpoint": found.s3_endpoint,
            "s3_access_key": found.s3_access_key,
            "s3_secret_key": found.s3_secret_key,
        }

    return of


@pytest.fixture
def settings(access: Access, tmp_path: Path) -> Settings:
    return Settings(**access("registry"), data_dir=tmp_path)


@pytest.fixture
async def service(settings: Settings) -> AsyncIterator[Service]:
    """A running registry."""
    async with running("registry", settings, build) as running_service:
        yield running_service


async def _bus(access: Access, service: str) -> AsyncIterator[Bus]:
    bus = await Bus.connect(ServiceSettings(**access(service)), service)
    yield bus
    await bus.close()


@pytest.fixture
async def gateway(access: Access) -> AsyncIterator[Bus]:
    async for bus in _bus(access, "gateway"):
        yield bus


@pytest.fixture
async def trainer(access: Access) -> AsyncIterator[Bus]:
    async for bus in _bus(access, "trainer"):
        yield bus


@pytest.fixture
async def router(access: Access) -> AsyncIterator[Bus]:
    async for bus in _bus(access, "llm_router"):
        yield bus


@pytest.fixture
def objects(access: Access) -> Objects:
    """The object store as the gateway sees it."""
    return Objects.from_settings(ServiceSettings(**access("gateway")))


@pytest.fixture
def upload(objects: Objects) -> Upload:
    """Stores a file as the gateway does, by default under a name of its own; what to tell the registry of it."""

    def of(data: bytes | str, filename: str = "", format_: DatasetFormat | None = None) -> RegisterDataset:
        content = data.encode() if isinstance(data, str) else data
        dataset_id = f"ds_{uuid.uuid4().hex[:16]}"
        filename = filename or f"{dataset_id}.csv"
        path = S3Path("datasets", f"{dataset_id}/{filename}")
        objects.put_reader(path, io.BytesIO(content), len(content))
        return RegisterDataset(
            dataset_id=dataset_id,
            filename=filename,
            format=format_,
            s3_path=str(path),
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        )

    return of


@pytest.fixture
def enter(upload: Upload, gateway: Bus) -> Enter:
    """Stores a file and has it registered."""

    async def of(data: bytes | str, filename: str = "", format_: DatasetFormat | None = None) -> Dataset:
        return await gateway.ask(REGISTER_DATASET, upload(data, filename, format_))

    return of


@pytest.fixture
def export(objects: Objects) -> Export:
    """Stores an exported adapter as the trainer does; what to tell the registry of the model."""

    def of(**changes: Any) -> RegisterModel:
        run_id = uuid.uuid4().hex[:12]
        for name in ("adapter_config.json", "adapter_model.safetensors", "tokenizer/vocab.json"):
            objects.put_bytes(S3Path("artifacts", f"{run_id}/adapter/{name}"), name.encode())
        objects.put_bytes(S3Path("artifacts", f"{run_id}/adapter-of-another/file"), b"x")
        entry = RegisterModel(
            idempotency_key=f"{run_id}/registration",
            run_id=run_id,
            model_name=f"model-of-{run_id}",
            description="A test",
            base_model="tiny",
            training_config={"method": "lora", "lora_r": 8},
            metrics={"eval_loss": 0.5, "base_loss": 1.0},
            exports={"adapter": f"s3://artifacts/{run_id}/adapter"},
            chat_template="{{ messages }}",
        )
        return entry.model_copy(update=changes)

    return of
