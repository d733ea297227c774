"""Profiles and roles: the system prompts of tasks, shown and edited."""

from collections.abc import Mapping

from contracts import tasks as contract
from contracts.base import RefusalCode, Refused
from contracts.tasks import DEFAULT_PROFILE, DEFAULT_ROLE, ListPersonas, NamedPersona, Persona, PersonaPage, PutPersona
from orchestrator.deps import HANDLERS, Deps
from orchestrator.store import personas
from orchestrator.store.personas import PersonaKind

_DEFAULTS: Mapping[PersonaKind, str] = {"profile": DEFAULT_PROFILE, "role": DEFAULT_ROLE}


@HANDLERS.on(contract.LIST_PROFILES)
async def list_profiles(deps: Deps, request: ListPersonas) -> PersonaPage:
    return await _list(deps, "profile", request)


@HANDLERS.on(contract.GET_PROFILE)
async def get_profile(deps: Deps, request: NamedPersona) -> Persona:
    return await _get(deps, "profile", request.name)


@HANDLERS.on(contract.PUT_PROFILE)
async def put_profile(deps: Deps, request: PutPersona) -> Persona:
    return await _put(deps, "profile", request)


@HANDLERS.on(contract.DELETE_PROFILE)
async def delete_profile(deps: Deps, request: NamedPersona) -> Persona:
    return await _delete(deps, "profile", request.name)


@HANDLERS.on(contract.LIST_ROLES)
async def list_roles(deps: Deps, request: ListPersonas) -> PersonaPage:
    return await _list(deps, "role", request)


@HANDLERS.on(contract.GET_ROLE)
async def get_role(deps: Deps, request: NamedPersona) -> Persona:
    return await _get(deps, "role", request.name)


@HANDLERS.on(contract.PUT_ROLE)
async def put_role(deps: Deps, request: PutPersona) -> Persona:
    return await _put(deps, "role", request)


@HANDLERS.on(contract.DELETE_ROLE)
async def delete_role(deps: Deps, request: NamedPersona) -> Persona:
    return await _delete(deps, "role", request.name)


async def _list(deps: Deps, kind: PersonaKind, request: ListPersonas) -> PersonaPage:
    async with deps.database.connection() as connection:
        found, total = await personas.page(connection, kind, limit=request.limit, offset=request.offset)
    return PersonaPage.of(found, total, request)


async def _get(deps: Deps, kind: PersonaKind, name: str) -> Persona:
    async with deps.database.connection() as connection:
        found = await personas.get(connection, kind, name)
    if found is None:
        raise await _unknown(deps, kind, name)
    return found


async def _put(deps: Deps, kind: PersonaKind, request: PutPersona) -> Persona:
    async with deps.database.connection() as connection:
        return await personas.put(connection, kind, request)


async def _delete(deps: Deps, kind: PersonaKind, name: str) -> Persona:
    if name == _DEFAULTS[kind]:
        message = f"The {kind} {name} is what tasks have that name none: it can be changed, and not deleted"
        raise Refused(RefusalCode.CONFLICT, message, {"name": name})
    async with deps.database.connection() as connection:
        deleted = await personas.delete(connection, kind, name)
    if deleted is None:
        raise await _unknown(deps, kind, name)
    return deleted


async def _unknown(deps: Deps, kind: PersonaKind, name: str) -> Refused:
    async with deps.database.connection() as connection:
        known = await personas.names(connection, kind)
    return Refused(
        RefusalCode.NOT_FOUND, f"There is no {kind} {name!r}; there are {', '.join(known)}", {"known": known}
    )
