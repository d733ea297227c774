"""Trained models (document E)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Unpack, cast

from pydantic import ConfigDict, PrivateAttr

from llm_platform.core.binding import Bound, Family, R, flow, operation
from llm_platform.core.effects import Do, Flow, Request, Steps
from llm_platform.core.requests import at, texts
from llm_platform.core.retrying import exchange
from llm_platform.core.transfers import Fetched, FileName, Progress, compare, digests_of, fetch, unpack
from llm_platform.schemas import answers, requests

Files = list[Path]
Query = Mapping[str, str | None]

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
        quantization: str | None = None,
        progress: Progress | None = None,
    ) -> Steps[Files]:
        """See `client.models.download`."""
        return download(self, self.model_id, path, {"format": format, "quantization": quantization}, progress)

    @operation
    def card(self) -> Steps[str]:
        """Its card, as Markdown."""
        return card(self, self.model_id)


class Models(Family[R]):
    """`client.models`"""

    @flow
    def list(self, *, limit: int | None = None, **filters: Unpack[requests.ModelsQuery]) -> Flow[answers.ModelSummary]:
        """Trained models, newest first."""
        return self._pages(_BASE, answers.ModelPage, lambda page: page.models, limit, **filters)

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
    def update(self, model_id: str, **fields: Unpack[requests.UpdateModel]) -> Steps[answers.Model]:
        """Changes the given fields."""
        return self._ask("PATCH", at(_BASE, model_id), answers.Model, json=fields)

    @operation
    def delete(self, model_id: str, **how: Unpack[requests.DeleteModelsQuery]) -> Steps[answers.ModelDeleted]:
        """Deletes a model with what it holds; `force` even if it is deployed, has an alias, or a job compares it."""
        return self._delete(at(_BASE, model_id), answers.ModelDeleted, **how)

    @operation
    def lineage(self, model_id: str) -> Steps[answers.ModelLineage]:
        """What it was made of, and what was made of it."""
        return self._get(at(_BASE, model_id, "lineage"), answers.ModelLineage)

    @operation
    def compare(self, model_id: str, other_id: str) -> Steps[answers.ModelComparison]:
        """Two models side by side."""
        return self._get(at(_BASE, model_id, "compare", other_id), answers.ModelComparison)

    @operation
    def loss_curve(self, model_id: str) -> Steps[str]:
        """How its loss went in training, drawn as SVG."""
        return text(self, at(_BASE, model_id, "loss.svg"), "image/svg+xml")

    @operation
    def deploy(self, model_id: str) -> Steps[answers.ModelDeployment]:
        """Has it loaded and asked under its name."""
        return self._post(at(_BASE, model_id, "deploy"), answers.ModelDeployment)

    @operation
    def undeploy(self, model_id: str, **how: Unpack[requests.UndeployModel]) -> Steps[answers.ModelDeployment]:
        """Ends that; `force` even if it has aliases, which it removes."""
        return self._post(at(_BASE, model_id, "undeploy"), answers.ModelDeployment, how)

    @operation
    def set_alias(self, model_id: str, alias: str) -> Steps[answers.Alias]:
        """Lets `name@alias` be this model; no request fails meanwhile."""
        return self._put(at(_BASE, model_id, "aliases", alias), answers.Alias, {})

    @operation
    def remove_alias(self, model_id: str, alias: str) -> Steps[answers.Alias]:
        """Takes an alias away."""
        return self._delete(at(_BASE, model_id, "aliases", alias), answers.Alias)

    @operation
    def download(
        self,
        model_id: str,
        path: FileName,
        *,
        format: str = "adapter",  # noqa: A002 - document E's name
        quantization: str | None = None,
        progress: Progress | None = None,
    ) -> Steps[Files]:
        """Downloads an export (`adapter`, `merged` or `gguf`) into the folder `path`; the files that are there then.

        A `path` that ends in `.tar` or `.gguf` is the file to keep what is sent in, as it is. A connection that breaks
        is taken up where it was. Raises `ValueError` for a path that ends in `.gguf` where more than one file is meant.
        """
        return download(self, model_id, path, {"format": format, "quantization": quantization}, progress)


def card(bound: Bound[R], model_id: str) -> Steps[str]:
    return text(bound, at(_BASE, model_id, "card"), "text/markdown")


def text(bound: Bound[R], path: str, media: str) -> Steps[str]:
    request = Request("GET", path, headers={"Accept": media})
    return (yield from exchange(request, bound._runner.retries)).body.decode()


def download(bound: Bound[R], model_id: str, path: FileName, query: Query, progress: Progress | None) -> Steps[Files]:
    model = yield from bound._get(at(_BASE, model_id), answers.Model)
    target = Path(path)
    as_it_is = target.suffix in _AS_IT_IS
    if target.suffix == ".gguf" and query["quantization"] is None:
        _refuse_several(model, query["format"])
    folder = target.parent if as_it_is else target
    # By its id from here on: a name may be another model's meanwhile.
    request = Request("GET", at(_BASE, model.model_id, "download"), texts(query))
    fetched = yield from fetch(request, folder, bound._runner.retries, progress)
    known = {file.name: file.sha256 for file in model.files if file.format == query["format"]}
    try:
        return (yield from Do(lambda: _kept(fetched, target if as_it_is else None, folder, known)))
    finally:
        fetched.path.unlink(missing_ok=True)


def _refuse_several(model: answers.Model, wanted: str | None) -> None:
    """They are sent as an archive, which nothing that reads GGUF takes for a model. Raises `ValueError`."""
    names = [file.name for file in model.files if file.format == wanted]
    if len(names) > 1:
        raise ValueError(
            f"{model.model_id} has {len(names)} files as {wanted}: {', '.join(names)}. Name one by its quantization,"
            " or a folder or a path that ends in .tar for all"
        )


def _kept(fetched: Fetched, target: Path | None, folder: Path, known: Mapping[str, str]) -> Files:
    """The files, where they belong, once they are known to be what was sent."""
    if fetched.media != _ARCHIVE:
        # One of several GGUF files may have been asked for.
        compare({fetched.name: fetched.sha256}, {fetched.name: known.get(fetched.name, fetched.sha256)})
        return [fetched.path.replace(target or folder / fetched.name)]
    if target is not None:
        compare(digests_of(fetched.path), known)
        return [fetched.path.replace(target)]
    arrived = unpack(fetched.path, folder)
    compare(arrived, known)
    return [folder / name for name in arrived]
