"""Trained models (document E)."""

from pathlib import Path
from typing import cast

from pydantic import ConfigDict, PrivateAttr

from llm_platform.core.binding import Bound, Family, R, flow, operation
from llm_platform.core.effects import Do, Flow, Request, Steps
from llm_platform.core.requests import at, texts
from llm_platform.core.retrying import exchange
from llm_platform.core.transfers import FileName, Progress, fetch, unpack
from llm_platform.schemas import answers

Files = list[Path]

_BASE = "/api/v1/models"
_ARCHIVE = "application/x-tar"
_AS_IT_IS = (".tar", ".gguf")


class Model(answers.Model, Bound[R]):
    """A model, which can be downloaded."""

    model_config = ConfigDict(ignored_types=(operation,))
    _runner: R = PrivateAttr()

    @operation
    def download(
        self,
        path: FileName,
        *,
        format: str = "adapter",  # noqa: A002 - document E's name
        progress: Progress | None = None,
    ) -> Steps[Files]:
        """See `client.models.download`."""
        return download(self, self.model_id, path, format, progress)

    @operation
    def card(self) -> Steps[str]:
        """Its card, as Markdown."""
        return card(self, self.model_id)


class Models(Family[R]):
    """`client.models`"""

    @flow
    def list(self, *, base_model: str | None = None, limit: int | None = None) -> Flow[answers.ModelSummary]:
        """Trained models, newest first."""
        return self._pages(_BASE, answers.ModelPage, lambda page: page.models, limit, base_model=base_model)

    @operation
    def get(self, model_id: str) -> Steps[Model[R]]:
        """One model, by its id or name."""
        found = yield from self._get(at(_BASE, model_id), answers.Model)
        model = cast(Model[R], Model.model_construct(found.model_fields_set, **found.__dict__))
        model._runner = self._runner
        return model

    @operation
    def card(self, model_id: str) -> Steps[str]:
        """Its card, as Markdown."""
        return card(self, model_id)

    @operation
    def download(
        self,
        model_id: str,
        path: FileName,
        *,
        format: str = "adapter",  # noqa: A002 - document E's name
        progress: Progress | None = None,
    ) -> Steps[Files]:
        """Downloads an export (`adapter`, `merged` or `gguf`) into the folder `path`; the files that are there then.

        A `path` that ends in `.tar` or `.gguf` is the file to keep what is sent in, as it is. A connection that breaks
        is taken up where it was.
        """
        return download(self, model_id, path, format, progress)


def card(bound: Bound[R], model_id: str) -> Steps[str]:
    request = Request("GET", at(_BASE, model_id, "card"), headers={"Accept": "text/markdown"})
    return (yield from exchange(request, bound._runner.retries)).body.decode()


def download(bound: Bound[R], model_id: str, path: FileName, kind: str, progress: Progress | None) -> Steps[Files]:
    target = Path(path)
    request = Request("GET", at(_BASE, model_id, "download"), texts({"format": kind}))
    as_it_is = target.suffix in _AS_IT_IS
    folder = target.parent if as_it_is else target
    fetched = yield from fetch(request, folder, bound._runner.retries, progress)
    if as_it_is or fetched.media != _ARCHIVE:
        kept = target if as_it_is else folder / fetched.name
        yield from Do(lambda: fetched.path.replace(kept))
        return [kept]
    try:
        return (yield from Do(lambda: unpack(fetched.path, folder)))
    finally:
        fetched.path.unlink(missing_ok=True)
