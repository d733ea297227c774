"""LLM instances have the forms of document C."""

from contracts import instances as contract
from contracts.base import RefusalCode, Refused
from contracts.instances import (
    Instance,
    InstanceConfig,
    InstanceInfo,
    Instances,
    InstanceTest,
    ListedModel,
    ModelInfo,
)
from tests.gateway.conftest import Gateway
from tests.gateway.peers import MOMENT, Peers

TIME = "2026-01-02T03:04:05.000000Z"
MISTRAL = ModelInfo(model="Mistral-7B", version="1.0")
LISTED = ListedModel(id="local-model", object="model", created=1677610602, owned_by="user")


def instance(port: int = 5001) -> Instance:
    config = InstanceConfig(temperature=0.7, max_length=1000)
    return Instance(port=port, name="Simulated LLM 1 (small)", status="available", last_used=MOMENT, config=config)


TOLD = {
    "port": 5001,
    "name": "Simulated LLM 1 (small)",
    "status": "available",
    "lastUsed": TIME,
    "config": {"temperature": 0.7, "max_length": 1000},
}


async def test_instances_are_listed_registered_changed_and_removed(gateway: Gateway, peers: Peers) -> None:
    peers.answer(contract.LIST_INSTANCES, Instances(instances=[instance()]))
    for rpc in (contract.CREATE_INSTANCE, contract.GET_INSTANCE, contract.UPDATE_INSTANCE, contract.DELETE_INSTANCE):
        peers.answer(rpc, instance())
    assert await gateway.get("/api/llm/instances") == [TOLD]
    assert await gateway.get("/api/llm/instances/5001") == TOLD
    body = {"port": 5001, "name": "Mine", "host": "10.0.0.5", "auth_token": "sk-1"}
    assert await gateway.post("/api/llm/instances", body, status=201) == TOLD
    asked = peers.asked(contract.CREATE_INSTANCE)
    assert (asked.host, asked.config) == ("10.0.0.5", InstanceConfig())
    config = {"temperature": 0.1, "max_length": 5}
    status, answer, _ = await gateway.call("PUT", "/api/llm/instances/5001", json={"config": config})
    assert (status, answer) == (200, TOLD)
    assert peers.asked(contract.UPDATE_INSTANCE).config == InstanceConfig(temperature=0.1, max_length=5)
    status, answer, _ = await gateway.call("DELETE", "/api/llm/instances/5001")
    assert (status, answer) == (200, {"message": "LLM instance deleted successfully"})


async def test_a_test_tells_whether_it_answers(gateway: Gateway, peers: Peers) -> None:
    peers.answer(contract.TEST_INSTANCE, InstanceTest(connected=True, model_info=MISTRAL, timestamp=MOMENT))
    assert await gateway.get("/api/llm/test/5001") == {
        "connected": True,
        "modelInfo": {"model": "Mistral-7B", "version": "1.0"},
        "timestamp": TIME,
    }
    gone = InstanceTest(connected=False, model_info=None, timestamp=MOMENT, error="The engine could not be reached")
    peers.answer(contract.TEST_INSTANCE, gone)
    assert await gateway.get("/api/llm/test/5001") == {
        "connected": False,
        "modelInfo": None,
        "timestamp": TIME,
        "error": "The engine could not be reached",
    }


async def test_its_information_is_what_both_apis_say(gateway: Gateway, peers: Peers) -> None:
    info = InstanceInfo(
        port=5001, timestamp=MOMENT, connected=True, model_info=MISTRAL, kobold=MISTRAL, openai=[LISTED]
    )
    peers.answer(contract.DESCRIBE_INSTANCE, info)
    assert await gateway.get("/api/llm/info/5001") == {
        "port": 5001,
        "timestamp": TIME,
        "connected": True,
        "koboldApiAvailable": True,
        "openAiApiAvailable": True,
        "modelInfo": {"model": "Mistral-7B", "version": "1.0"},
        "apiDetails": {
            "kobold": {"model": "Mistral-7B", "version": "1.0"},
            "openai": {"data": [{"id": "local-model", "object": "model", "created": 1677610602, "owned_by": "user"}]},
        },
        "endpointInfo": {"info": {"version": "1.0", "api_format": ["kobold", "openai"]}},
    }
    peers.answer(
        contract.DESCRIBE_INSTANCE,
        InstanceInfo(port=5001, timestamp=MOMENT, connected=False, model_info=None, kobold=None, openai=None),
    )
    body = await gateway.get("/api/llm/info/5001")
    assert (body["connected"], body["koboldApiAvailable"], body["openAiApiAvailable"]) == (False, False, False)
    assert body["apiDetails"] == {"kobold": None, "openai": None}
    assert body["endpointInfo"] == {"info": {"version": None, "api_format": []}}


async def test_a_port_without_an_instance_is_not_found(gateway: Gateway, peers: Peers) -> None:
    message = "No LLM instance is registered on port 4999"
    peers.answer(contract.TEST_INSTANCE, Refused(RefusalCode.NOT_FOUND, message))
    status, body, _ = await gateway.call("GET", "/api/llm/test/4999")
    assert (status, body) == (404, {"error": message})
    status, body, _ = await gateway.call("GET", "/api/llm/test/99999")
    assert (status, list(body)) == (400, ["error"])
