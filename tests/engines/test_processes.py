"""The engines as processes: they start from the command line, join a trace, and stop cleanly."""

import asyncio
from pathlib import Path

import aiohttp
import openai
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from engines.server import listening

from .conftest import Start, TinyModel

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def test_the_local_engine_starts_answers_and_stops(
    start_process: Start, tiny: TinyModel, models_dir: Path, adapter_dir: Path
) -> None:
    arguments = ["--models-dir", str(models_dir), "--adapter-dir", str(adapter_dir), "--hub", "false"]
    async with (
        start_process("engines.local", *arguments) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client,
    ):
        completion = await client.completions.create(model="tiny", prompt="the quick", temperature=0)
        unfinished = await client.completions.create(
            model="tiny", prompt="the", max_tokens=200, stream=True, extra_body={"ignore_eos": True}
        )
        await anext(aiter(unfinished))
    assert completion.choices[0].text == tiny.greedy(tiny.tokenizer("the quick")["input_ids"], 16)


async def test_a_trace_goes_on_in_the_engine(start_process: Start) -> None:
    exported: asyncio.Queue[ExportTraceServiceRequest] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        exported.put_nowait(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")

    collector = web.Application()
    collector.add_routes([web.post("/v1/traces", receive)])
    async with (
        listening(collector, "127.0.0.1", 0) as endpoint,
        start_process("engines.simulated", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as url,
        aiohttp.ClientSession(url) as session,
    ):
        body = {"model": "simulated-small", "messages": [{"role": "user", "content": "what does the fox do"}]}
        headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
        async with session.post("/v1/chat/completions", json=body, headers=headers) as response:
            completion_tokens = (await response.json())["usage"]["completion_tokens"]
        async with session.get("/health") as response:
            assert response.status == 200
        async with asyncio.timeout(20):
            traces = await exported.get()
    (span,) = [span for spans in traces.resource_spans for scope in spans.scope_spans for span in scope.spans]
    attributes = {item.key: item.value for item in span.attributes}
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, PARENT_ID)
    assert span.name == "POST /v1/chat/completions"
    assert attributes["gen_ai.request.model"].string_value == "simulated-small"
    assert attributes["gen_ai.usage.output_tokens"].int_value == completion_tokens
