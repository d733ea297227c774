"""The local engine: which models and adapters are in memory, and who answers a request."""

import asyncio
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TypeVar

from common import telemetry
from engines.load import Load
from engines.local.adapters import WHOLE, Adapter, LoadRequest, read_adapter
from engines.local.catalogue import Catalogue, Source
from engines.local.decoding import Finished, Piece
from engines.local.embedding import Embedded
from engines.local.loading import Weights, build, fetch
from engines.local.prompts import Prompt
from engines.local.resident import Limits, Resident
from engines.local.sampling import Sampling
from engines.local.settings import LocalSettings
from engines.openai_wire import ApiError, Json, internal_error, model_card, overloaded

OWNER = "local"

_MOST_LOADING = 8
"""Models that may be on their way into memory at once. A wrong name is one of them until the hub has said so."""

ResultT = TypeVar("ResultT")

log = telemetry.get_logger()


class LocalEngine:
    """Base models by name, loaded when first asked for, and adapters by name, each belonging to a base model.

    Lives on one event loop. Loading and generating happen in threads, so neither holds up other models or `/health`.
    """

    def __init__(self, settings: LocalSettings) -> None:
        self.loads: dict[str, Load] = {}
        self._settings = settings
        self._catalogue = Catalogue(settings.models_dir, settings.adapter_dir, hub=settings.hub)
        self._limits = Limits(settings.max_waiting, settings.max_completion_tokens)
        self._loaded: OrderedDict[str, Resident] = OrderedDict()
        """Least recently used first."""
        self._loading: dict[str, Resident] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Lock()
        self._adapters: dict[str, Adapter] = {}

    async def generate(self, name: str, prompt: Prompt, sampling: Sampling) -> AsyncGenerator[Piece | Finished, None]:
        """Answers as the model or adapter `name`, loading it first if it must. The last item is the `Finished`."""
        adapter = self._adapters.get(name)
        resident = self._resident(adapter.base if adapter is not None else self._catalogue.resolve(name))
        async with aclosing(resident.generate(prompt, sampling, adapter)) as events:
            async for event in events:
                yield event

    async def embed(self, name: str, prompts: Sequence[Prompt]) -> Embedded:
        """The vectors that the model or adapter `name` has for the prompts, loading it first if it must."""
        adapter = self._adapters.get(name)
        resident = self._resident(adapter.base if adapter is not None else self._catalogue.resolve(name))
        return await resident.embed(prompts, adapter)

    def cards(self) -> list[Json]:
        """All that can be asked for by name: models in the folder, models in memory, adapters."""
        created = dict(self._catalogue.local_models())
        loaded = (name for name in self._loaded if name not in created and not name.endswith(WHOLE))
        models = [self._card(name, created.get(name, 0), name) for name in (*created, *loaded)]
        adapters = [
            self._card(
                adapter.name, adapter.created, adapter.base.name, parent=None if adapter.whole else adapter.base.name
            )
            for adapter in self._adapters.values()
        ]
        return models + adapters

    async def load_adapter(self, asked: LoadRequest) -> None:
        """Makes an adapter answer to its name, and loads its base model for it.

        Raises ApiError (400, 404) and changes nothing if the name is taken, its files are wrong or do not fit.
        """
        self._check_name(asked)
        adapter = read_adapter(asked, self._catalogue, int(time.time()))
        try:
            await self._resident(adapter.base).attach(adapter)
            self._check_name(asked)
        except BaseException:  # the client's leaving included
            self._detach(adapter)
            raise
        replaced = self._adapters.get(adapter.name)
        self._adapters[adapter.name] = adapter
        if replaced is not None:
            self._detach(replaced)
        log.info("adapter loaded", adapter=adapter.name, base=adapter.base.name)

    def unload_adapter(self, name: str) -> None:
        """Forgets an adapter; requests already in line are still answered. Raises ApiError (404)."""
        adapter = self._adapters.pop(name, None)
        if adapter is None:
            raise ApiError(
                404, f"The lora adapter '{name}' cannot be found.", param="lora_name", code="adapter_not_found"
            )
        self._detach(adapter)
        log.info("adapter unloaded", adapter=name)

    async def close(self) -> None:
        """Lets go of all models. The requests must have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for resident in self._loading.values():  # cancelled before its first step
            resident.failed(internal_error())
        await asyncio.gather(*(resident.retire() for resident in self._loaded.values()))

    def _check_name(self, asked: LoadRequest) -> None:
        if not asked.lora_name:
            raise ApiError(400, "An adapter needs a name.", param="lora_name")
        if asked.lora_name in self._adapters and not asked.load_inplace:
            message = f"The lora adapter '{asked.lora_name}' has already been loaded."
            raise ApiError(400, message, param="lora_name", code="adapter_already_loaded")
        if asked.lora_name in self._loaded or asked.lora_name in dict(self._catalogue.local_models()):
            raise ApiError(400, f"'{asked.lora_name}' is the name of a base model.", param="lora_name")

    def _detach(self, adapter: Adapter) -> None:
        if adapter.whole:
            self._let_go(adapter.base.name)
            return
        # A base that is still loading has the adapter in line, if at all; one that was evicted has forgotten it.
        resident = self._loaded.get(adapter.base.name) or self._loading.get(adapter.base.name)
        if resident is not None:
            resident.detach(adapter)

    def _let_go(self, name: str) -> None:
        """Frees the memory of a whole model once its line is answered. One that is still loading is evicted in time."""
        resident = self._loaded.pop(name, None)
        if resident is not None:
            task = asyncio.create_task(resident.retire())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            log.info("model evicted", model=name)

    def _resident(self, source: Source) -> Resident:
        """The base model, in memory or on its way there. Raises ApiError (503) if too many are on their way."""
        name = source.name
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        if name not in self._loading:
            if len(self._loading) >= _MOST_LOADING:
                raise overloaded(f"{len(self._loading)} models are being loaded before `{name}`.", retry_after=5)
            resident = Resident(name, self._limits, self.loads.get(name, Load()))
            self._loading[name] = resident
            task = asyncio.create_task(self._load(source, resident))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._loading[name]

    async def _load(self, source: Source, resident: Resident) -> None:
        """Gives `resident` its weights, or all who wait for it the reason why not."""
        started = time.monotonic()
        try:
            folder = await _in_thread(lambda: fetch(source))
            async with self._room:
                await self._make_room()
                weights = await _in_thread(lambda: self._build(source.name, folder))
                del self._loading[source.name]
                self._loaded[source.name] = resident
        except BaseException as error:
            del self._loading[source.name]
            expected = isinstance(error, ApiError)
            log.warning("model not loaded", model=source.name, error=repr(error), exc_info=not expected)
            resident.failed(error if expected else internal_error())
            await resident.retire()
            if isinstance(error, Exception):
                return  # told to all who asked
            raise
        self.loads[source.name] = resident.load
        resident.arrived(weights)
        log.info("model loaded", model=source.name, seconds=round(time.monotonic() - started, 3))

    async def _make_room(self) -> None:
        """Evicts until one more model may be loaded: idle ones first, a busy one once its line is answered."""
        while len(self._loaded) >= self._settings.max_models:
            idle = [name for name, resident in self._loaded.items() if not resident.busy]
            name = idle[0] if idle else next(iter(self._loaded))
            await self._loaded.pop(name).retire()
            log.info("model evicted", model=name)

    def _build(self, name: str, folder: Path) -> Weights:
        return build(name, folder, self._settings.device, self._settings.dtype)

    def _card(self, name: str, created: int, weights: str, parent: str | None = None) -> Json:
        resident = self._loaded.get(weights)
        return model_card(
            name,
            created=created,
            owned_by=OWNER,
            parent=parent,
            max_model_len=resident.context_length if resident is not None else None,
            metadata={"loaded": resident is not None},
        )


async def _in_thread(function: Callable[[], ResultT]) -> ResultT:
    """Runs what blocks in a thread that does not keep the process alive: a stop does not wait for a download."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[ResultT] = loop.create_future()

    def settle(result: ResultT | None, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        try:
            result, error = function(), None
        except BaseException as raised:
            result, error = None, raised
        with suppress(RuntimeError):  # the loop has closed, nobody waits
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="loading", daemon=True).start()
    return await outcome
