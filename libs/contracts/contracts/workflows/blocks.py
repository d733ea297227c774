"""Blocks: texts that prompts are put together from."""

from pydantic import Field

from contracts.base import Message, Rpc, Timestamp
from contracts.pages import Page, PageRequest
from contracts.prompts import Id
from contracts.workflows.names import (
    CHANGED,
    CREATED,
    DELETED,
    UNKNOWN,
    Content,
    FolderPath,
    NumberedVersion,
    Tags,
    Title,
    Version,
)


class Block(Message):
    """A piece of text in its newest version."""

    id: int
    title: str
    content: str
    tags: str
    folder_path: str
    created_at: Timestamp
    updated_at: Timestamp


class BlockVersion(NumberedVersion):
    """A version, which never changes."""

    title: str
    content: str
    tags: str
    folder_path: str


class BlockFilter(Message):
    """`folder` also finds what is in its folders; `tag` is one of the tags; `search` is a part of title or content."""

    folder: str | None = Field(default=None, max_length=1000)
    tag: str | None = Field(default=None, max_length=2000)
    search: str | None = Field(default=None, max_length=300)


class ListBlocks(BlockFilter):
    """The first blocks by id after the id `after`."""

    after: int = Field(default=0, ge=0, le=2**63 - 1)


class BlockPage(Message):
    """As many as fit; `more` says that there are others."""

    blocks: list[Block]
    more: bool


class CreateBlock(Message):
    title: Title
    content: Content
    tags: Tags = ""
    folder_path: FolderPath = ""


class GetBlock(Message):
    block_id: Id


class UpdateBlock(Message):
    """Changes the given fields; what is another than before becomes the next version."""

    block_id: Id
    title: Title | None = None
    content: Content | None = None
    tags: Tags | None = None
    folder_path: FolderPath | None = None


class DeleteBlock(GetBlock):
    """One that payloads use is refused, unless `force` takes it out of them."""

    force: bool = False


class ListBlockVersions(PageRequest):
    block_id: Id


class BlockVersionPage(Page[BlockVersion]):
    """Versions, newest first."""


class RestoreBlock(GetBlock):
    """Makes what it was in `version` its next version."""

    version: Version


LIST_BLOCKS = Rpc("orchestrator.v1.blocks.list", ListBlocks, BlockPage)
CREATE_BLOCK = Rpc("orchestrator.v1.blocks.create", CreateBlock, Block, refusals=CREATED)
GET_BLOCK = Rpc("orchestrator.v1.blocks.get", GetBlock, Block, refusals=UNKNOWN)
UPDATE_BLOCK = Rpc("orchestrator.v1.blocks.update", UpdateBlock, Block, refusals=CHANGED)
DELETE_BLOCK = Rpc("orchestrator.v1.blocks.delete", DeleteBlock, Block, refusals=DELETED)
LIST_BLOCK_VERSIONS = Rpc("orchestrator.v1.blocks.versions", ListBlockVersions, BlockVersionPage, refusals=UNKNOWN)
RESTORE_BLOCK = Rpc("orchestrator.v1.blocks.restore", RestoreBlock, Block, refusals=CHANGED)
