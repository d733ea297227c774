"""A completion through gateway, bus and router, beside a plain aiohttp reverse proxy to the same simulated engine."""

import aiohttp
import orjson
from aiohttp import web

from embedded.platform import Platform
from tests.bench.measure import Comparison, rate, side_by_side

COUNT, CONCURRENCY = 1_500, 32
BODY = {
    "model": "simulated-small",
    "messages": [{"role": "user", "content": "Say something short. " * 20}],
    "max_tokens": 16,
}


async def compare(platform: Platform) -> list[Comparison]:
    engine = f"http://127.0.0.1:{platform.ports()['simulated_small']}"
    headers = {"Authorization": f"Bearer {platform.admin_key}", "Content-Type": "application/json"}
    plain, streamed = orjson.dumps(BODY), orjson.dumps(BODY | {"stream": True})
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        runner, proxy = await _proxy(engine)

        async def post(base: str, body: bytes) -> None:
            async with session.post(f"{base}/v1/chat/completions", data=body) as response:
                await response.read()
                assert response.status == 200

        async def done(base: str, body: bytes) -> float:
            return await rate(lambda: post(base, body), count=COUNT, concurrency=CONCURRENCY)

        comparisons = []
        for what, body in (("completion", plain), ("streamed completion", streamed)):
            ours, peer = await side_by_side(
                lambda body=body: done(platform.url, body),  # type: ignore[misc]
                lambda body=body: done(proxy, body),  # type: ignore[misc]
            )
            comparisons.append(
                Comparison(f"{what}, {CONCURRENCY} at once", "req/s", ours, peer, "aiohttp reverse proxy, no bus")
            )
        await runner.cleanup()
    return comparisons


async def _proxy(engine: str) -> tuple[web.AppRunner, str]:
    session = aiohttp.ClientSession()

    async def forward(request: web.Request) -> web.StreamResponse:
        async with session.post(engine + request.path, data=await request.read()) as upstream:
            response = web.StreamResponse(status=upstream.status, headers={"Content-Type": upstream.content_type})
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    async def close(_: web.Application) -> None:
        await session.close()

    app = web.Application()
    app.router.add_post("/v1/chat/completions", forward)
    app.on_cleanup.append(close)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"
