"""Blocks: pieces of text that payloads are made of (document C)."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/blocks"


class Blocks(Family[R]):
    """`client.blocks`"""

    @operation
    def list(self, **filters: Unpack[requests.BlocksQuery]) -> Steps[list[answers.Block]]:
        """All blocks, or those of a folder, with a tag, or whose title or content holds a text."""
        return self._get(_BASE, list[answers.Block], **filters)

    @operation
    def create(self, **fields: Unpack[requests.CreateBlock]) -> Steps[answers.Block]:
        """Makes a block."""
        return self._post(_BASE, answers.Block, fields)

    @operation
    def get(self, block_id: int) -> Steps[answers.Block]:
        """One block."""
        return self._get(at(_BASE, block_id), answers.Block)

    @operation
    def update(self, block_id: int, **fields: Unpack[requests.UpdateBlock]) -> Steps[answers.Block]:
        """Changes the given fields, which makes the next version."""
        return self._put(at(_BASE, block_id), answers.Block, fields)

    @operation
    def delete(self, block_id: int, **how: Unpack[requests.DeleteBlocksQuery]) -> Steps[answers.Told]:
        """Deletes a block; `force` takes it out of the payloads that use it."""
        return self._delete(at(_BASE, block_id), answers.Told, **how)

    @operation
    def restore(self, block_id: int, version: int) -> Steps[answers.Block]:
        """Makes an earlier version the newest."""
        return self._post(at(_BASE, block_id, "versions", version, "restore"), answers.Block)

    @flow
    def versions(self, block_id: int, *, limit: int | None = None) -> Flow[answers.BlockVersion]:
        """Its versions, newest first."""
        return self._pages(at(_BASE, block_id, "versions"), answers.BlockVersionPage, lambda page: page.items, limit)
