"""A base model with its adapters: one generation at a time, first come, first served."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from engines.load import Load
from engines.local.adapters import Adapter, AdapterRack
from engines.local.decoding import Finished, Piece, decode
from engines.local.embedding import Embedded, embed
from engines.local.loading import Weights
from engines.local.prompts import Prompt, encode
from engines.local.sampling import Sampling
from engines.openai_wire import overloaded


@dataclass(frozen=True)
class Limits:
    """`waiting`: most requests in line behind the one that runs. `completion_tokens`: most tokens of one answer."""

    waiting: int
    completion_tokens: int


@dataclass(frozen=True)
class _Model:
    weights: Weights
    rack: AdapterRack


class Resident:
    """Owns the thread that alone touches the model, so that no two requests see each other's adapter.

    It takes requests before its weights have arrived; they wait in line for them. Its methods belong to the event loop.
    A request is in line from the first step of `generate`, without an await before it, so whoever has just got hold
    of a resident can use it before anyone can retire it.
    """

    def __init__(self, name: str, limits: Limits, load: Load) -> None:
        self.name = name
        self.load = load
        self._limits = limits
        self._model: Future[_Model] = Future()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"model-{name}")
        self._jobs = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together. Only after `arrived`."""
        return self._model.result(timeout=0).weights.context_length

    @property
    def busy(self) -> bool:
        return self._jobs > 0

    def arrived(self, weights: Weights) -> None:
        """Lets the line move."""
        self._model.set_result(_Model(weights, AdapterRack(weights.model)))

    def failed(self, error: BaseException) -> None:
        """Answers all in line with `error`."""
        self._model.set_exception(error)

    async def generate(
        self, prompt: Prompt, sampling: Sampling, adapter: Adapter | None
    ) -> AsyncGenerator[Piece | Finished, None]:
        """Answers `prompt` as `adapter`, or as the base model. The last item is the `Finished`.

        Closing the generator stops the generation at its next token. Raises ApiError: 503 if too many wait, 400 if
        the prompt does not fit.
        """
        self._check_line()
        events: asyncio.Queue[Piece | Finished | BaseException] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        cancelled = threading.Event()

        def emit(event: Piece | Finished | BaseException) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        def work(model: _Model) -> None:
            if cancelled.is_set():
                return
            model.rack.select(adapter)
            ids = encode(prompt, model.weights.tokenizer, adapter.chat_template if adapter else None)
            decode(model.weights, ids, sampling, emit, cancelled, self._limits.completion_tokens)

        job = self._submit(work, emit)
        try:
            while True:
                event = await events.get()
                if isinstance(event, BaseException):
                    raise event
                yield event
                if isinstance(event, Finished):
                    self.load.count(event.prompt_tokens, event.completion_tokens)
                    return
        finally:
            cancelled.set()
            job.cancel()

    async def embed(self, prompts: Sequence[Prompt], adapter: Adapter | None) -> Embedded:
        """The vectors of all prompts, in one turn. Raises ApiError: 503 if too many wait, 400 if one does not fit."""
        self._check_line()
        found: list[Embedded] = []
        cancelled = threading.Event()

        def work(model: _Model) -> None:
            if not cancelled.is_set():
                model.rack.select(adapter)
                found.append(embed(model.weights, prompts, cancelled))

        job = self._submit(work)
        try:
            await asyncio.wrap_future(job)
        finally:
            cancelled.set()
        self.load.count(found[0].tokens, 0)
        return found[0]

    async def attach(self, adapter: Adapter) -> None:
        """Puts an adapter on the model when those before it are done. Raises ApiError (400) if it does not fit."""
        await asyncio.wrap_future(self._submit(lambda model: model.rack.select(adapter)))

    def detach(self, adapter: Adapter) -> None:
        """Takes an adapter off when its turn comes; requests in line before that are still answered with it."""
        self._submit(lambda model: model.rack.remove(adapter))

    async def retire(self) -> None:
        """Waits for what is in line and lets go of the model. The caller sees to it that nothing more comes."""
        await self._idle.wait()
        self._thread.shutdown(wait=False)
        self._model = Future()

    def _check_line(self) -> None:
        if self._jobs > self._limits.waiting:
            raise overloaded(f"{self._jobs} requests are before this one at the model `{self.name}`.")

    def _submit(
        self, work: Callable[[_Model], None], on_error: Callable[[BaseException], None] | None = None
    ) -> Future[None]:
        def run() -> None:
            try:
                work(self._model.result())
            except Exception as error:
                if on_error is None:
                    raise
                on_error(error)

        loop = asyncio.get_running_loop()
        job = self._thread.submit(run)
        self._count(+1)
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._count, -1))
        return job

    def _count(self, change: int) -> None:
        # The model's next resident may share the load while this one retires, so it is changed and not set.
        was_running, self._jobs = self._jobs > 0, self._jobs + change
        running = (self._jobs > 0) - was_running
        self.load.running += running
        self.load.waiting += change - running
        if self._jobs:
            self._idle.clear()
        else:
            self._idle.set()
