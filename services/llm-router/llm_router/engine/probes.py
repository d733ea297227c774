"""Asks an engine, at its root, which of the two APIs of document C it speaks, and what it says of itself."""

import asyncio
from contextlib import suppress
from dataclasses import replace

from contracts.instances import ListedModel, ModelInfo
from llm_router.domain.engines import EngineSpec
from llm_router.domain.failures import EngineFailure
from llm_router.domain.instances import Probe
from llm_router.engine.http import EngineHttp
from llm_router.engine.kobold_wire import read_model
from llm_router.engine.openai_wire import invalid_answer, read_object
from llm_router.engine.protocol import Timeouts

_MOST_MODELS = 1000
_TIMEOUTS = Timeouts()
_VERSIONS = (("/api/extra/version", "version"), ("/api/v1/info/version", "result"))
"""KoboldCpp's own version, and that of KoboldAI's API for other servers."""


async def probe(spec: EngineSpec) -> Probe:
    """What the engine answers now. Both APIs are asked, whatever its type says. Never raises `EngineFailure`."""
    http = EngineHttp(replace(spec, api_base=_root(spec.api_base)), _TIMEOUTS)
    try:
        kobold, openai = await asyncio.gather(_kobold(http), _openai(http), return_exceptions=True)
    finally:
        await http.close()
    for answer in (kobold, openai):
        if isinstance(answer, BaseException) and not isinstance(answer, EngineFailure):
            raise answer
    failures = [answer for answer in (openai, kobold) if isinstance(answer, EngineFailure)]
    return Probe(
        kobold=kobold if isinstance(kobold, ModelInfo) else None,
        openai=openai if isinstance(openai, list) else None,
        error=str(failures[0]) if len(failures) == 2 else None,
    )


def _root(api_base: str) -> str:
    """Both APIs are below the engine's root, OpenAI's at `/v1`."""
    return api_base.removesuffix("/v1")


async def _kobold(http: EngineHttp) -> ModelInfo:
    model = read_model(await http.read("GET", "/api/v1/model", total=_TIMEOUTS.check))
    return ModelInfo(model=model, version=await _version(http))


async def _version(http: EngineHttp) -> str | None:
    for path, name in _VERSIONS:
        with suppress(EngineFailure):
            version = read_object(await http.read("GET", path, total=_TIMEOUTS.check)).get(name)
            if isinstance(version, str):
                return version
    return None


async def _openai(http: EngineHttp) -> list[ListedModel]:
    rows = read_object(await http.read("GET", "/v1/models", total=_TIMEOUTS.check)).get("data")
    if not isinstance(rows, list):
        raise invalid_answer("lists no models")
    return [_listed(row) for row in rows[:_MOST_MODELS] if isinstance(row, dict) and isinstance(row.get("id"), str)]


def _listed(row: dict[str, object]) -> ListedModel:
    created, owner = row.get("created"), row.get("owned_by")
    return ListedModel(
        id=str(row["id"]),
        object="model",
        created=created if isinstance(created, int) else 0,
        owned_by=owner if isinstance(owner, str) else "",
    )
