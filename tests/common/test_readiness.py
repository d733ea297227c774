"""Whether a service can do its work may be asked at any time."""

from common.service import Service
from common.settings import ServiceSettings


async def test_a_service_that_gains_a_part_while_it_is_asked_answers_for_those_that_it_had() -> None:
    service = Service("test", ServiceSettings())

    async def nothing() -> None:
        return

    async def starts_another() -> None:
        service.add_check("postgres", nothing)

    service.add_check("nats", starts_another)
    assert await service.readiness() == {"nats": "ok"}
    assert await service.readiness() == {"nats": "ok", "postgres": "ok"}
