"""What is served: deployments and aliases, and what routers ask of them."""

from common.database import Connection
from contracts.base import RefusalCode, Refused
from contracts.registry import (
    DEPLOY_MODEL,
    GET_SERVING,
    REMOVE_ALIAS,
    SET_ALIAS,
    UNDEPLOY_MODEL,
    Alias,
    DeployModel,
    GetServing,
    Model,
    ModelDeployment,
    RemoveAlias,
    Serving,
    SetAlias,
    UndeployModel,
)
from registry.domain.models import check_deployable, check_served, check_unused, names_of
from registry.handlers.deps import HANDLERS, Deps
from registry.handlers.models import found
from registry.handlers.telling import changing
from registry.store import serving


@HANDLERS.on(DEPLOY_MODEL)
async def deploy_model(deps: Deps, request: DeployModel) -> ModelDeployment:
    async with changing(deps) as (connection, revision):
        model = await found(connection, request.model_id)
        check_deployable(model)
        await serving.set_deployment(connection, model.model_id, "requested", revision)
        return await _deployment(connection, model)


@HANDLERS.on(UNDEPLOY_MODEL)
async def undeploy_model(deps: Deps, request: UndeployModel) -> ModelDeployment:
    async with changing(deps) as (connection, revision):
        model = await found(connection, request.model_id)
        if not request.force:
            check_unused(model, deletes=False)
        await serving.drop_aliases(connection, model.model_id, revision)
        await serving.set_deployment(connection, model.model_id, "none", revision)
    return ModelDeployment(
        model_id=model.model_id, model_name=model.model_name, version=model.version, status="undeployed", names=[]
    )


@HANDLERS.on(SET_ALIAS)
async def set_alias(deps: Deps, request: SetAlias) -> Alias:
    async with changing(deps) as (connection, revision):
        model = await found(connection, request.model_id)
        check_served(model)
        previous = await serving.move_alias(connection, model.model_name, request.alias, model.model_id, revision)
    return Alias(
        model_name=model.model_name,
        alias=request.alias,
        model_id=model.model_id,
        version=model.version,
        previous=previous,
    )


@HANDLERS.on(REMOVE_ALIAS)
async def remove_alias(deps: Deps, request: RemoveAlias) -> Alias:
    async with changing(deps) as (connection, revision):
        model = await found(connection, request.model_id)
        if request.alias not in model.aliases:
            raise Refused(RefusalCode.NOT_FOUND, f"{model.model_id} has no alias {request.alias!r}")
        await serving.move_alias(connection, model.model_name, request.alias, None, revision)
    return Alias(model_name=model.model_name, alias=request.alias, model_id=None, version=None, previous=model.model_id)


@HANDLERS.on(GET_SERVING)
async def get_serving(deps: Deps, request: GetServing) -> Serving:
    async with deps.database.connection() as connection:
        return await serving.changes(connection, request.after)


async def _deployment(connection: Connection, model: Model) -> ModelDeployment:
    newest = await serving.newest_served(connection, model.model_name)
    return ModelDeployment(
        model_id=model.model_id,
        model_name=model.model_name,
        version=model.version,
        status="deployed",
        names=names_of(model, newest),
    )
