"""Whether a service can do its work may be asked at any time."""

from prometheus_client import REGISTRY

from common.service import Service
from common.settings import ServiceSettings


async def nothing() -> None:
    return


async def away() -> None:
    raise ConnectionError("away")


async def test_a_service_that_gains_a_part_while_it_is_asked_answers_for_those_that_it_had() -> None:
    service = Service("test", ServiceSettings())

    async def starts_another() -> None:
        service.add_check("postgres", nothing)

    service.add_check("nats", starts_another)
    assert await service.readiness() == {"nats": "ok"}
    assert await service.readiness() == {"nats": "ok", "postgres": "ok"}


async def test_a_part_that_is_away_shows_in_the_metrics_and_may_be_left_out_by_who_can_do_without() -> None:
    service = Service("test", ServiceSettings())
    service.add_check("nats", nothing)
    service.add_check("postgres", away)
    assert await service.readiness() == {"nats": "ok", "postgres": "away"}
    assert [REGISTRY.get_sample_value("service_part_up", {"part": part}) for part in ("nats", "postgres")] == [1, 0]
    assert await service.readiness(exclude=["postgres"]) == {"nats": "ok"}
