"""A typed question over the bus, beside nats-py's bare request and reply on the same server."""

import json

import nats
from nats.aio.msg import Msg

from common.bus import Bus, Handlers
from common.settings import ServiceSettings
from contracts import router
from contracts.router import TestPrompt, TestResult
from embedded.platform import Platform
from embedded.secrets import Secrets
from embedded.servers import USERS
from tests.bench.measure import Comparison, rate, side_by_side

COUNT, CONCURRENCY = 5_000, 64
PROMPT = TestPrompt(prompt="x" * 1000)


async def compare(platform: Platform) -> list[Comparison]:
    secrets = Secrets.load(platform.data_dir, USERS)
    url = f"nats://127.0.0.1:{platform.ports()['nats']}"
    # Another queue group on the router's subjects would share its load, so the peers talk on the registry's side.
    server = await nats.connect(url, user="platform", password=secrets.password("nats", "platform"))
    client = await nats.connect(url, user="platform", password=secrets.password("nats", "platform"))
    answer = TestResult(result="x" * 1000, model="m", duration=0.1)
    data = answer.model_dump_json().encode()

    async def reply(message: Msg) -> None:
        json.loads(message.data)
        await message.respond(data)

    await server.subscribe("bench.echo", cb=reply)
    settings = ServiceSettings(nats_url=url, nats_user="platform", nats_password=secrets.password("nats", "platform"))
    handlers = Handlers[None]()
    rpc = router.TEST_PROMPT.__class__("bench.v1.echo.ask", TestPrompt, TestResult)

    @handlers.on(rpc)
    async def echo(_: None, request: TestPrompt) -> TestResult:
        return answer

    serving, asking = await Bus.connect(settings, "bench_server"), await Bus.connect(settings, "bench_client")
    await serving.serve(handlers, None)
    request = PROMPT.model_dump_json().encode()
    ours, peer = await side_by_side(
        lambda: rate(lambda: asking.ask(rpc, PROMPT), count=COUNT, concurrency=CONCURRENCY),
        lambda: rate(lambda: client.request("bench.echo", request, timeout=5), count=COUNT, concurrency=CONCURRENCY),
    )
    for closing in (serving, asking):
        await closing.close()
    for connection in (server, client):
        await connection.close()
    return [Comparison("typed ask, 1 kB, 64 at once", "asks/s", ours, peer, "nats-py request, untyped")]
