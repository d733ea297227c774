"""Which engine and model answer when a request names none, and how `POST /config` changes it (document B)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contracts.base import RefusalCode, Refused
from contracts.router import Config, ProviderType, UpdateConfig
from llm_router.domain.addresses import engine_base, origin
from llm_router.domain.engines import CONFIGURED, PUBLIC_BASES, EngineSpec


@dataclass(frozen=True)
class Selection:
    """What was chosen so far. None leaves the choice to the platform; `revision` counts the changes."""

    engine: str | None = None
    model: str | None = None
    revision: int = 0


@dataclass(frozen=True)
class ConfiguredEngine:
    """The engine that the configuration describes. `token` None: it has none."""

    provider_type: ProviderType
    api_base: str
    guarded: bool
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Change:
    """What to store. `configured` None leaves that engine as it is; `to_check` is an address nobody has vouched for."""

    selection: Selection
    configured: ConfiguredEngine | None = None
    to_check: str | None = None


@dataclass(frozen=True)
class Default:
    """The engine that answers by default and its model; `pinned` when a person chose the engine."""

    engine: EngineSpec
    model: str
    pinned: bool

    def config(self) -> Config:
        return Config(provider_type=self.engine.provider_type, model_name=self.model, api_base=self.engine.api_base)


def default_of(
    selection: Selection, engines: Sequence[EngineSpec], models: Mapping[str, Sequence[str]]
) -> Default | None:
    """The chosen engine and model. What was not chosen: the engine that serves the chosen model, else the first

    simulated one, so that the first call works; and the first model it lists. `models` are those of each engine.
    None when there is no engine.
    """
    pinned = next((e for e in engines if e.name == selection.engine), None)
    engine = pinned
    if engine is None and selection.model is not None:
        engine = next((e for e in engines if selection.model in models.get(e.name, ())), None)
    if engine is None:
        simulated = (e for e in engines if e.provider_type == "simulated")
        engine = next(simulated, engines[0] if engines else None)
    if engine is None:
        return None
    model = selection.model or next(iter(models.get(engine.name, ())), "")
    return Default(engine, model, pinned is not None)


def change(
    request: UpdateConfig, selection: Selection, default: Default | None, engines: Sequence[EngineSpec], *, admin: bool
) -> Change:
    """What `request` changes. Raises `Refused(INVALID)` with the field that is to blame."""
    selection = Selection(selection.engine, request.model_name or selection.model, selection.revision + 1)
    if request.provider_type is None and request.api_base is None and request.auth_token is None:
        return Change(selection)
    declared = [engine for engine in engines if engine.name != CONFIGURED]
    if (chosen := _declared_choice(request, declared)) is not None:
        return Change(Selection(chosen.name, selection.model, selection.revision))
    before = default.engine if default is not None else None
    configured = _configured(request, before, admin=admin)
    return Change(
        Selection(CONFIGURED, selection.model, selection.revision),
        configured,
        to_check=configured.api_base if configured.guarded else None,
    )


def _declared_choice(request: UpdateConfig, declared: Sequence[EngineSpec]) -> EngineSpec | None:
    """The declared engine that the request means, if it brings nothing that this engine has not."""
    if request.auth_token is not None:
        return None
    for engine in declared:
        base = engine_base(request.api_base, engine.provider_type) if request.api_base is not None else None
        same_type = request.provider_type in (None, engine.provider_type)
        if same_type and base in (None, engine.api_base):
            return engine
    return None


def _configured(request: UpdateConfig, before: EngineSpec | None, *, admin: bool) -> ConfiguredEngine:
    # A simulated or local engine that answers by default says nothing about the type of another address.
    kept = before if before is not None and before.name == CONFIGURED else None
    provider = request.provider_type or (kept.provider_type if kept else "openai")
    if request.api_base is not None:
        base = engine_base(request.api_base, provider)
    elif kept is not None and provider == kept.provider_type:
        base = kept.api_base
    elif provider in PUBLIC_BASES:
        base = PUBLIC_BASES[provider]
    else:
        raise _invalid("api_base", f"api_base is needed for provider_type {provider}")
    same_base = kept is not None and base == kept.api_base
    # A token never follows the address to another host, where somebody else could read it.
    same_origin = kept is not None and origin(base) == origin(kept.api_base)
    token = request.auth_token or (kept.token if kept is not None and same_origin else None)
    guarded = kept.guarded if kept is not None and same_base and not admin else not admin
    return ConfiguredEngine(provider, base, guarded, token)


def _invalid(name: str, message: str) -> Refused:
    return Refused(RefusalCode.INVALID, message, {"errors": [{"field": name, "message": message}]})
