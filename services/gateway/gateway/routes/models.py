"""Rows of document E: trained models."""

from contracts import registry
from contracts.base import Message
from contracts.registry import GetDownload, LossPlot, ModelCard
from gateway.routes.table import Route, Special, Tag, View, asks


class DownloadModel(GetDownload):
    """`presigned` asks for URLs of the object store instead of the bytes."""

    presigned: bool = False


class PresignedFile(Message):
    """One file of an export, under its name there."""

    name: str
    url: str
    size: int
    sha256: str | None


class PresignedDownload(Message):
    """URLs that need no key until they expire, `expires_in` seconds from now. `url` is that of an only file."""

    url: str | None
    expires_in: int
    files: list[PresignedFile]


def _markdown(card: ModelCard) -> str:
    return card.markdown


def _svg(plot: LossPlot) -> str:
    return plot.svg


MODELS = (
    asks(
        "GET",
        "/api/v1/models",
        registry.LIST_MODELS,
        tag=Tag.MODELS,
        summary="List trained models",
        description="Those that have all that is asked for, the newest first.",
    ),
    asks(
        "GET",
        "/api/v1/models/{model_id}",
        registry.GET_MODEL,
        tag=Tag.MODELS,
        summary="Get a model",
        description=(
            "Here and below a model is named by its id; by its name, which is the newest of that name; or by"
            " `name@version`, `name@alias` or `name@latest`."
        ),
    ),
    asks(
        "PATCH",
        "/api/v1/models/{model_id}",
        registry.UPDATE_MODEL,
        tag=Tag.MODELS,
        summary="Change a model's description and tags",
    ),
    asks(
        "DELETE",
        "/api/v1/models/{model_id}",
        registry.DELETE_MODEL,
        tag=Tag.MODELS,
        summary="Delete a model and free what it held",
        description=(
            "A model that was deployed, has an alias or is to be compared by a job that goes on is deleted with"
            " `force` only. What another model shares stays until that goes too."
        ),
    ),
    Route(
        method="GET",
        path="/api/v1/models/{model_id}/download",
        tag=Tag.MODELS,
        summary="Download a model",
        description=(
            "An export of one file is that file, one of several a tar archive, made as it is sent; `quantization`"
            " chooses one of several GGUF files. With `presigned` the answer is URLs of the object store, as JSON. A"
            " download that broke off goes on with `Range` and `If-Range`."
        ),
        role="viewer",
        request=DownloadModel,
        response=None,
        media="application/octet-stream",
        special=Special.DOWNLOAD_MODEL,
        refusals=registry.GET_DOWNLOAD.refusals,
    ),
    asks(
        "GET",
        "/api/v1/models/{model_id}/card",
        registry.GET_MODEL_CARD,
        tag=Tag.MODELS,
        summary="Get a model's card, as Markdown",
        view=View(None, _markdown, "text/markdown"),
    ),
    asks(
        "GET",
        "/api/v1/models/{model_id}/loss.svg",
        registry.GET_LOSS_PLOT,
        tag=Tag.MODELS,
        summary="Get the losses of a model's training, as an image",
        view=View(None, _svg, "image/svg+xml"),
    ),
    asks(
        "GET",
        "/api/v1/models/{model_id}/lineage",
        registry.GET_LINEAGE,
        tag=Tag.MODELS,
        summary="Follow a model back to the rows it was made of",
    ),
    asks(
        "GET",
        "/api/v1/models/{model_id}/compare/{other_id}",
        registry.COMPARE_MODELS,
        tag=Tag.MODELS,
        summary="Compare two models",
    ),
    asks(
        "POST",
        "/api/v1/models/{model_id}/deploy",
        registry.DEPLOY_MODEL,
        tag=Tag.MODELS,
        summary="Serve a model, loaded before it is asked",
    ),
    asks(
        "POST",
        "/api/v1/models/{model_id}/undeploy",
        registry.UNDEPLOY_MODEL,
        tag=Tag.MODELS,
        summary="End serving a model",
        description="A model that has aliases is served on, unless `force` is given, which removes them.",
    ),
    asks(
        "PUT",
        "/api/v1/models/{model_id}/aliases/{alias}",
        registry.SET_ALIAS,
        tag=Tag.MODELS,
        summary="Have an alias name a model",
        description=(
            "Who asks for `name@alias` is answered by this model from the moment it is loaded, and by the one that the"
            " alias named before until then: no request fails."
        ),
    ),
    asks(
        "DELETE",
        "/api/v1/models/{model_id}/aliases/{alias}",
        registry.REMOVE_ALIAS,
        tag=Tag.MODELS,
        summary="Remove an alias",
    ),
)
