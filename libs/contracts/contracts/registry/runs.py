"""Runs of jobs that are deleted: what models need of them stays, all else goes."""

from pydantic import Field

from contracts.base import Empty, Message, RefusalCode, Rpc


class CloseRun(Message):
    """A run that has ended is about to be deleted: nothing more is registered of it, and what only its log tells of its
    models is kept. Repeating it does no harm."""

    run_id: str


class FreeRun(Message):
    """Removes what a closed run has left in the object store, but for what belongs to models and what lies at the
    `kept` paths or below them."""

    run_id: str
    kept: list[str] = Field(default=[], max_length=10_000)


class RunFreed(Message):
    """`freed_bytes` are free since the run was closed. With `more` there is still something to remove: ask again."""

    freed_bytes: int
    more: bool


CLOSE_RUN = Rpc("registry.v1.runs.close", CloseRun, Empty, timeout=15.0, long=True)
FREE_RUN = Rpc(
    "registry.v1.runs.free", FreeRun, RunFreed, refusals=(RefusalCode.STORAGE_FAILED,), timeout=30.0, long=True
)
