"""Rows of uploads that can be resumed."""

from contracts import registry
from contracts.base import Empty, Message, RefusalCode
from gateway.domain.resumable import UploadState
from gateway.routes.table import Route, Special, Tag


class UploadReference(Message):
    upload_id: str


UPLOADS = (
    Route(
        method="POST",
        path="/api/v1/datasets/uploads",
        tag=Tag.DATASETS,
        summary="Begin an upload that can be resumed",
        description=(
            "By tus 1.0 (core, creation, expiration, termination): `Upload-Length` says how many bytes will come,"
            " `Upload-Metadata` has the `filename` and, if it is not to be found out, the `format`. `Location` is where"
            " to send them."
        ),
        role="member",
        request=Empty,
        response=UploadState,
        special=Special.CREATE_UPLOAD,
        status=201,
        refusals=(RefusalCode.INVALID, RefusalCode.TOO_LARGE),
    ),
    Route(
        method="GET",
        path="/api/v1/datasets/uploads/{upload_id}",
        tag=Tag.DATASETS,
        summary="Get how much of an upload is there",
        description="`HEAD` answers the same in `Upload-Offset` and `Upload-Length`.",
        role="member",
        request=UploadReference,
        response=UploadState,
        special=Special.GET_UPLOAD,
        refusals=(RefusalCode.NOT_FOUND,),
    ),
    Route(
        method="PATCH",
        path="/api/v1/datasets/uploads/{upload_id}",
        tag=Tag.DATASETS,
        summary="Send more of an upload",
        description=(
            "The body, `application/offset+octet-stream`, is what comes behind `Upload-Offset`. With the last byte the"
            " file becomes a data set, whose address is `Location`, or is refused."
        ),
        role="member",
        request=UploadReference,
        response=None,
        special=Special.APPEND_UPLOAD,
        status=204,
        refusals=(RefusalCode.NOT_FOUND, RefusalCode.TOO_LARGE, *registry.REGISTER_DATASET.refusals),
    ),
    Route(
        method="DELETE",
        path="/api/v1/datasets/uploads/{upload_id}",
        tag=Tag.DATASETS,
        summary="Give up an upload",
        role="member",
        request=UploadReference,
        response=None,
        special=Special.END_UPLOAD,
        status=204,
        refusals=(RefusalCode.NOT_FOUND, RefusalCode.STORAGE_FAILED),
    ),
)
