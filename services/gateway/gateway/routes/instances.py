"""Rows of LLM instances (document C): the engines that a port names."""

from contracts import instances
from gateway.domain.orchestration import (
    ConnectivityView,
    InstanceArray,
    InstanceInfoView,
    InstanceView,
    Told,
    connectivity,
    deleted_instance,
    instance,
    instance_array,
    instance_info,
)
from gateway.routes.table import Tag, asks, view

_INSTANCES = "/api/llm/instances"
_INSTANCE = "/api/llm/instances/{port}"
_ONE = view(InstanceView, instance)
_EXAMPLE = {
    "port": 5003,
    "name": "Mistral on the workstation",
    "host": "10.0.0.5",
    "config": {"temperature": 0.7, "max_length": 1000},
}

INSTANCES = (
    asks(
        "GET",
        _INSTANCES,
        instances.LIST_INSTANCES,
        tag=Tag.WORKFLOWS,
        summary="List LLM instances",
        view=view(InstanceArray, instance_array),
    ),
    asks(
        "POST",
        _INSTANCES,
        instances.CREATE_INSTANCE,
        tag=Tag.WORKFLOWS,
        summary="Register an LLM instance",
        description=(
            "On a port of this machine, unless `host` or `api_base` says where. Without `provider_type` it is asked"
            " which API it speaks. Its `config` holds for completions that say nothing else."
        ),
        role="admin",
        view=_ONE,
        status=201,
        example=_EXAMPLE,
    ),
    asks("GET", _INSTANCE, instances.GET_INSTANCE, tag=Tag.WORKFLOWS, summary="Get an LLM instance", view=_ONE),
    asks(
        "PUT",
        _INSTANCE,
        instances.UPDATE_INSTANCE,
        tag=Tag.WORKFLOWS,
        summary="Change an LLM instance",
        description="Changes the given fields. Of one that the environment declares, the `config` alone.",
        role="admin",
        view=_ONE,
        example={"name": "Mistral on the workstation", "config": {"temperature": 0.2, "max_length": 500}},
    ),
    asks(
        "DELETE",
        _INSTANCE,
        instances.DELETE_INSTANCE,
        tag=Tag.WORKFLOWS,
        summary="Remove an LLM instance",
        description="What it is working on ends normally.",
        role="admin",
        view=view(Told, deleted_instance),
    ),
    asks(
        "GET",
        "/api/llm/test/{port}",
        instances.TEST_INSTANCE,
        tag=Tag.WORKFLOWS,
        summary="Test whether an LLM instance answers",
        view=view(ConnectivityView, connectivity),
    ),
    asks(
        "GET",
        "/api/llm/info/{port}",
        instances.DESCRIBE_INSTANCE,
        tag=Tag.WORKFLOWS,
        summary="Describe an LLM instance",
        description="Asks it on KoboldAI's API and on OpenAI's.",
        view=view(InstanceInfoView, instance_info),
    ),
)
