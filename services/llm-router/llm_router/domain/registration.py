"""What is stored of an engine that is registered at run time, and what may be changed about it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from contracts.base import RefusalCode, Refused
from contracts.engines import CreateEngine, UpdateEngine
from contracts.router import Prices, ProviderType
from llm_router.domain.addresses import engine_base, origin
from llm_router.domain.engines import CONFIGURED, PUBLIC_BASES, usual_concurrency

_ALWAYS_FREE = frozenset(("enabled", "timeout", "weight", "prices"))
_FREE_IF_DECLARED = _ALWAYS_FREE | {"auth_token"}


@dataclass(frozen=True)
class Registration:
    """An engine but its token. `timeout` in seconds; `prices` by model; `guarded` as in `EngineSpec`."""

    name: str
    provider_type: ProviderType
    api_base: str
    port: int | None = None
    concurrency: int = 64
    timeout: float | None = None
    enabled: bool = True
    priority: int = 0
    weight: float = 1.0
    models: tuple[str, ...] = ()
    prices: Mapping[str, Prices] = field(default_factory=dict)
    guarded: bool = False


def registration(request: CreateEngine) -> Registration:
    """The engine that the request describes. Raises `Refused(INVALID)` with the field that is to blame."""
    return Registration(
        name=_free_name(request.name),
        provider_type=request.provider_type,
        api_base=_base(request.api_base, request.provider_type),
        port=request.port,
        concurrency=request.concurrency or usual_concurrency(request.provider_type),
        timeout=request.timeout,
        enabled=request.enabled,
        priority=request.priority,
        weight=request.weight,
        models=tuple(dict.fromkeys(request.models)),
        prices=request.prices,
    )


def revision(known: Registration, request: UpdateEngine) -> Registration:
    """`known` with the given fields changed. Raises `Refused(INVALID)` with the field that is to blame."""
    names = ("concurrency", "enabled", "priority", "weight", "prices")
    given: dict[str, Any] = {name: value for name in names if (value := getattr(request, name)) is not None}
    # For these nothing is a value too.
    given |= {name: value or None for name in ("port", "timeout") if (value := getattr(request, name)) is not None}
    if request.models is not None:
        given["models"] = tuple(dict.fromkeys(request.models))
    if request.name is not None:
        given["name"] = _free_name(request.name)
    provider = request.provider_type or known.provider_type
    base = known.api_base
    if request.api_base is not None or provider != known.provider_type:
        base = _base(request.api_base or known.api_base, provider)
    return replace(known, **given, provider_type=provider, api_base=base)


def keeps_token(before: Registration, after: Registration) -> bool:
    """Whether a stored token may go on being sent: never to another host, where somebody else could read it."""
    return origin(before.api_base) == origin(after.api_base)


def unchangeable(name: str, fields: Collection[str] | None, *, declared: bool) -> Refused | None:
    """Why these fields of an engine cannot be changed here, if so, or, where `fields` is None, why it is not removed.

    Of an engine that is set up elsewhere, what is not said there can be changed here.
    """
    if fields is not None and set(fields) <= (_FREE_IF_DECLARED if declared else _ALWAYS_FREE):
        return None
    if declared:
        return Refused(RefusalCode.CONFLICT, f"The environment declares {name!r} (PLATFORM_ENGINES); change it there")
    if name == CONFIGURED:
        return Refused(RefusalCode.CONFLICT, "This engine is set up with POST /api/v1/llm/config; change it there")
    return None


def _free_name(name: str) -> str:
    if name == CONFIGURED:
        raise _invalid("name", f"The name {CONFIGURED!r} belongs to the engine that POST /api/v1/llm/config sets up")
    return name


def _base(api_base: str | None, provider: ProviderType) -> str:
    if api_base is not None:
        return engine_base(api_base, provider)
    if provider in PUBLIC_BASES:
        return PUBLIC_BASES[provider]
    raise _invalid("api_base", f"api_base is needed for provider_type {provider}")


def _invalid(name: str, message: str) -> Refused:
    return Refused(RefusalCode.INVALID, message, {"errors": [{"field": name, "message": message}]})
