"""Payloads: what one step of a workflow asks which instance (document C)."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/payloads"


class Payloads(Family[R]):
    """`client.payloads`"""

    @operation
    def list(self, **filters: Unpack[requests.PayloadsQuery]) -> Steps[list[answers.Payload]]:
        """All payloads, or those whose name holds a text, or that use a block."""
        return self._get(_BASE, list[answers.Payload], **filters)

    @operation
    def create(self, **fields: Unpack[requests.CreatePayload]) -> Steps[answers.SavedPayload]:
        """Makes a payload of blocks."""
        return self._post(_BASE, answers.SavedPayload, fields)

    @operation
    def get(self, payload_id: int) -> Steps[answers.Payload]:
        """One payload, with its blocks."""
        return self._get(at(_BASE, payload_id), answers.Payload)

    @operation
    def update(self, payload_id: int, **fields: Unpack[requests.UpdatePayload]) -> Steps[answers.SavedPayload]:
        """Changes the given fields, which makes the next version."""
        return self._put(at(_BASE, payload_id), answers.SavedPayload, fields)

    @operation
    def delete(self, payload_id: int, **how: Unpack[requests.DeletePayloadsQuery]) -> Steps[answers.Told]:
        """Deletes a payload; `force` takes it out of the workflows that use it."""
        return self._delete(at(_BASE, payload_id), answers.Told, **how)

    @operation
    def preview(self, payload_id: int, **fields: Unpack[requests.PreviewPayload]) -> Steps[answers.PayloadPreview]:
        """The prompt that it would send, without asking any model."""
        return self._post(at(_BASE, payload_id, "preview"), answers.PayloadPreview, fields)

    @operation
    def restore(self, payload_id: int, version: int) -> Steps[answers.SavedPayload]:
        """Makes an earlier version the newest."""
        return self._post(at(_BASE, payload_id, "versions", version, "restore"), answers.SavedPayload)

    @flow
    def versions(self, payload_id: int, *, limit: int | None = None) -> Flow[answers.PayloadVersion]:
        """Its versions, newest first."""
        path = at(_BASE, payload_id, "versions")
        return self._pages(path, answers.PayloadVersionPage, lambda page: page.items, limit)
