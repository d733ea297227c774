"""Actions and prompts as the documents list them: whole, although the bus tells long lists in parts."""

from typing import cast, get_args

from aiohttp import web

from common.bus import Bus
from common.context import current
from contracts.actions import GET_ACTION, GET_TEMPLATES, LIST_ACTIONS, Action, GetAction, GetTemplates, ListActions
from contracts.gateway import ResponseStyle
from contracts.prompts import LIST_PROMPTS, ListPrompts, Prompt
from gateway.deps import Deps
from gateway.domain.actions import NamedAction, TemplatesEnvelope, action_list, prompt_list
from gateway.edge.reading import fitting, read_request
from gateway.edge.responses import json_response
from gateway.errors import invalid_fields
from gateway.routes.table import STYLE_HEADER, Route

_STYLES = get_args(ResponseStyle)


async def list_actions(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    await read_request(request, route)
    style = _style(request)
    return json_response(action_list(await _all_actions(deps.bus), style))


async def _all_actions(bus: Bus) -> list[Action]:
    page = await bus.ask(LIST_ACTIONS, ListActions())
    found = page.actions
    while page.more:
        page = await bus.ask(LIST_ACTIONS, ListActions(after=found[-1].id))
        found += page.actions
    return found


def _style(request: web.Request) -> ResponseStyle:
    """What the header names, else the key's own."""
    named = request.headers.get(STYLE_HEADER)
    if named is None:
        principal = current().principal
        return "envelope" if principal is None else principal.response_style
    if named not in _STYLES:
        raise invalid_fields([(STYLE_HEADER, f"must be one of: {', '.join(_STYLES)}")])
    return cast(ResponseStyle, named)


async def named_action(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    """An action by its id, or the template settings of a source field."""
    named = cast(NamedAction, await read_request(request, route))
    if (number := named.number) is not None:
        return json_response(await deps.bus.ask(GET_ACTION, fitting(GetAction, {"action_id": number})))
    asked = fitting(GetTemplates, {"source_field": named.action_id})
    return json_response(TemplatesEnvelope(data=await deps.bus.ask(GET_TEMPLATES, asked)))


async def list_prompts(deps: Deps, route: Route, request: web.Request) -> web.StreamResponse:
    await read_request(request, route)
    return json_response(prompt_list(await _all_prompts(deps.bus)))


async def _all_prompts(bus: Bus) -> list[Prompt]:
    page = await bus.ask(LIST_PROMPTS, ListPrompts())
    found = page.prompts
    while page.more:
        page = await bus.ask(LIST_PROMPTS, ListPrompts(after=found[-1].id))
        found += page.prompts
    return found
