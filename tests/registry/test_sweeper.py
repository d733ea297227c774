"""Uploads that no one entered are removed, and nothing else is."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from common.bus import Bus
from common.database import Database
from common.objects import Objects, S3Path
from common.service import Service
from contracts.base import RefusalCode, Refused
from registry.curves import Curves
from registry.engine.storage import ObjectStorage
from registry.freeing import Freeing
from registry.settings import Settings
from registry.sweeper import Sweeper
from tests.registry.conftest import Enter, Upload

HOUR, NO_TIME = timedelta(hours=1), timedelta(0)


@pytest.fixture
async def database(settings: Settings, service: Service) -> AsyncIterator[Database]:
    database = await Database.connect(settings.database_url.get_secret_value(), "registry", size=2)
    yield database
    await database.close()


def sweeper(database: Database, service: Service, bus: Bus, age: timedelta) -> Sweeper:
    storage = ObjectStorage(service.object_store())
    return Sweeper(database, storage, Freeing(database, storage, bus), Curves(database, bus), interval=HOUR, age=age)


def is_there(objects: Objects, path: str) -> bool:
    try:
        objects.stat(S3Path.parse(path))
    except Refused as refused:
        assert refused.code is RefusalCode.NOT_FOUND
        return False
    return True


async def test_an_orphan_is_removed_and_an_entered_upload_stays(
    database: Database, service: Service, upload: Upload, enter: Enter, objects: Objects, gateway: Bus
) -> None:
    entered = await enter("text\nhello\n")
    orphan = upload("text\nhello\n")
    other = S3Path("datasets", f"bench/{uuid.uuid4().hex}")
    objects.put_bytes(other, b"not an upload")
    assert await sweeper(database, service, gateway, NO_TIME).sweep() >= 1
    assert (is_there(objects, entered.s3_path), is_there(objects, orphan.s3_path)) == (True, False)
    assert is_there(objects, str(other))


async def test_an_upload_that_may_still_be_entered_stays(
    database: Database, service: Service, upload: Upload, objects: Objects, gateway: Bus
) -> None:
    fresh = upload("text\nhello\n")
    assert await sweeper(database, service, gateway, HOUR).sweep() == 0
    assert is_there(objects, fresh.s3_path)


async def test_replicas_may_sweep_at_once(
    database: Database, service: Service, upload: Upload, objects: Objects, gateway: Bus
) -> None:
    orphan = upload("text\nhello\n")
    await asyncio.gather(*(sweeper(database, service, gateway, NO_TIME).sweep() for _ in range(3)))
    assert not is_there(objects, orphan.s3_path)


async def test_parts_that_nobody_put_together_are_freed(service: Service, objects: Objects) -> None:
    storage = ObjectStorage(service.object_store())
    path = S3Path("datasets", f"ds_{uuid.uuid4().hex[:16]}/a.csv")
    objects.put_part(path, objects.begin_parts(path), 1, b"x" * 100)
    began = objects.unfinished(path)[0].began
    assert began is not None
    assert await storage.drop_unfinished(path, began) == 0
    assert await storage.drop_unfinished(path, began + timedelta(seconds=1)) >= 1
    assert not objects.unfinished(path)


async def test_what_a_killed_gateway_or_trainer_was_storing_goes_in_time(
    database: Database, service: Service, objects: Objects, gateway: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = uuid.uuid4().hex[:16]
    places = [S3Path("datasets", f"ds_{name}/a.csv"), S3Path("artifacts", f"{name}/training/model/model.safetensors")]
    for place in places:
        objects.put_part(place, objects.begin_parts(place), 1, b"x")
    await sweeper(database, service, gateway, HOUR).sweep()
    assert all(objects.unfinished(place) for place in places)
    monkeypatch.setattr("registry.sweeper._LONGEST_UPLOAD", -HOUR)
    await sweeper(database, service, gateway, HOUR).sweep()
    assert not any(objects.unfinished(place) for place in places)
