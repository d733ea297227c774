"""Creates or updates the JetStream streams and consumers of `contracts.topology`. Run by the one user who may."""

import asyncio

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from contracts.topology import CONSUMERS, STREAMS, StreamSpec

_RETENTION = {"limits": RetentionPolicy.LIMITS, "work": RetentionPolicy.WORK_QUEUE}


async def provision_streams(url: str, user: str, password: str, *, replicas: int = 1, patience: float = 30.0) -> None:
    """Brings NATS to what the topology says; safe to repeat. Raises TimeoutError when it is not there.

    `url` may be several, with commas between them.
    """
    client = Client()
    async with asyncio.timeout(patience):
        while True:
            try:
                await client.connect(servers=url.split(","), user=user, password=password, name="provisioner")
                break
            except (OSError, NatsError):
                await asyncio.sleep(0.1)
    try:
        context = client.jetstream(timeout=10)
        await asyncio.gather(*(_put_stream(context, spec, replicas) for spec in STREAMS))
        for consumer in CONSUMERS:
            await context.add_consumer(
                consumer.event.stream,
                ConsumerConfig(
                    durable_name=consumer.name,
                    filter_subject=consumer.event.filter,
                    ack_policy=AckPolicy.EXPLICIT,
                    ack_wait=consumer.ack_wait,
                    max_ack_pending=consumer.max_ack_pending,
                ),
            )
    finally:
        await client.close()


async def _put_stream(context: JetStreamContext, spec: StreamSpec, replicas: int) -> None:
    config = StreamConfig(
        name=spec.name,
        subjects=list(spec.subjects),
        retention=_RETENTION[spec.retention],
        storage=StorageType.FILE,
        max_age=spec.max_age,
        max_bytes=spec.max_bytes,
        num_replicas=replicas,
        duplicate_window=120,
    )
    try:
        await context.stream_info(spec.name)
    except NotFoundError:
        await context.add_stream(config)
    else:
        await context.update_stream(config)
