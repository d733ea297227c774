"""Engines as document C knows them: by their port, each with what a completion has where it says nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from contracts.base import RefusalCode, Refused
from contracts.instances import CreateInstance, InstanceConfig, ListedModel, ModelInfo, UpdateInstance, port_of
from llm_router.domain.addresses import parsed_api_base
from llm_router.domain.engines import Question

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Probe:
    """What an engine answers on both APIs: `kobold` and `openai` are None where one does not, `error` says why."""

    kobold: ModelInfo | None = None
    openai: list[ListedModel] | None = None
    error: str | None = None

    @property
    def connected(self) -> bool:
        return self.kobold is not None or self.openai is not None

    @property
    def model_info(self) -> ModelInfo | None:
        """What the engine says of itself: KoboldAI's API knows its version too."""
        if self.kobold is not None:
            return self.kobold
        if self.openai is None:
            return None
        return ModelInfo(model=self.openai[0].id if self.openai else None, version=None)


def configured(question: Question, configs: Mapping[int, InstanceConfig]) -> Question:
    """The question with what the instance that it is for says, where it says nothing itself. `configs` are by port."""
    at = port_of(question.model)
    if at is None or (config := configs.get(at[0])) is None:
        return question
    said = {"temperature": config.temperature, "max_tokens": config.max_length}
    return question.model_copy(update={name: value for name, value in said.items() if getattr(question, name) is None})


def api_base_of(request: CreateInstance | UpdateInstance) -> str | None:
    """Where the instance is; None where the request does not say.

    Raises `Refused(INVALID)` where it says it twice, and for what is no place.
    """
    if request.host is not None and request.api_base is not None:
        message = "name either the host or the api_base"
        raise Refused(RefusalCode.INVALID, message, {"errors": [{"field": "host", "message": message}]})
    if request.host is not None:
        host = f"[{request.host}]" if ":" in request.host else request.host
        api_base: str | None = f"http://{host}:{request.port}"
    else:
        api_base = request.api_base
    if api_base is not None:
        parsed_api_base(api_base)
    return api_base


def check_free(port: int, taken: Iterable[tuple[int | None, str]]) -> None:
    """Raises `Refused(CONFLICT)` naming the engine that has the port. `taken` are ports and names."""
    for other, name in taken:
        if other == port:
            message = f"Port {port} names the engine {name!r} already"
            raise Refused(RefusalCode.CONFLICT, message, {"errors": [{"field": "port", "message": message}]})


def no_instance(port: int) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"No LLM instance is registered on port {port}", {"port": port})
