"""Rows of the platform itself: what it is, how it is, and who may call it."""

from typing import Literal

from contracts.base import Empty, Message, RefusalCode
from gateway.domain.keys import (
    ApiKey,
    ApiKeyPage,
    ChangedApiKey,
    CreatedApiKey,
    ListApiKeys,
    NamedApiKey,
    NewApiKey,
    ReplacedApiKey,
)
from gateway.routes.table import Route, Special, Tag


class Health(Message):
    """Document E's health; `services` lists the parts that this system has."""

    status: Literal["healthy", "degraded", "unhealthy"]
    version: str
    services: dict[str, Literal["healthy", "unhealthy"]]


class Readiness(Message):
    """Whether this gateway can take requests: its connections, one by one."""

    status: Literal["ready", "not ready"]
    checks: dict[str, Literal["ok", "unavailable"]]


def _open(path: str, special: Special, summary: str, *, response: type[Message] | None, media: str) -> Route:
    return Route(
        method="GET",
        path=path,
        tag=Tag.PLATFORM,
        summary=summary,
        role=None,
        request=Empty,
        response=response,
        special=special,
        media=media,
    )


_HEALTH_TEXT = "The platform's health, part by part"
_JSON = "application/json"

PLATFORM = (
    _open("/health", Special.HEALTH, _HEALTH_TEXT, response=Health, media=_JSON),
    _open("/api/v1/health", Special.HEALTH, _HEALTH_TEXT, response=Health, media=_JSON),
    _open("/ready", Special.READY, "Whether this gateway can take requests", response=Readiness, media=_JSON),
    _open("/openapi.json", Special.OPENAPI, "This description, as OpenAPI 3.1", response=None, media=_JSON),
    Route(
        method="POST",
        path="/api/v1/keys",
        tag=Tag.KEYS,
        summary="Make an API key",
        description="The answer is the only one that ever holds the key: only its hash is kept.",
        role="admin",
        request=NewApiKey,
        response=CreatedApiKey,
        special=Special.CREATE_KEY,
        status=201,
        example={"name": "notebook", "role": "member", "budget": {"usd": 20, "period": "month"}},
    ),
    Route(
        method="GET",
        path="/api/v1/keys",
        tag=Tag.KEYS,
        summary="List API keys",
        role="admin",
        request=ListApiKeys,
        response=ApiKeyPage,
        special=Special.LIST_KEYS,
    ),
    Route(
        method="GET",
        path="/api/v1/keys/{key_id}",
        tag=Tag.KEYS,
        summary="Get an API key's options",
        description="What it has used is under `GET /api/v1/llm/usage?key=`.",
        role="admin",
        request=NamedApiKey,
        response=ApiKey,
        special=Special.GET_KEY,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
    Route(
        method="PUT",
        path="/api/v1/keys/{key_id}",
        tag=Tag.KEYS,
        summary="Replace an API key's options",
        description="What is left out gets its default. The secret stays.",
        role="admin",
        request=ReplacedApiKey,
        response=ApiKey,
        special=Special.REPLACE_KEY,
        refusals=(RefusalCode.NOT_FOUND, RefusalCode.CONFLICT),
    ),
    Route(
        method="PATCH",
        path="/api/v1/keys/{key_id}",
        tag=Tag.KEYS,
        summary="Change some of an API key's options",
        description="Every gateway process follows within moments.",
        role="admin",
        request=ChangedApiKey,
        response=ApiKey,
        special=Special.CHANGE_KEY,
        refusals=(RefusalCode.NOT_FOUND, RefusalCode.CONFLICT),
    ),
    Route(
        method="DELETE",
        path="/api/v1/keys/{key_id}",
        tag=Tag.KEYS,
        summary="Revoke an API key",
        description="Every gateway process refuses it within moments.",
        role="admin",
        request=NamedApiKey,
        response=ApiKey,
        special=Special.REVOKE_KEY,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
)
