"""Lists, page by page: document E's form, for every list to which no document gives another."""

from collections.abc import Sequence
from typing import Generic, Self, TypeVar

from pydantic import Field

from contracts.base import Message

ItemT = TypeVar("ItemT", bound=Message)


class PageRequest(Message):
    """At most `limit` items, after the first `offset`."""

    limit: int = Field(default=20, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=2**31 - 1)


class Page(Message, Generic[ItemT]):
    """A page of a list that has `total` items."""

    items: list[ItemT]
    total: int
    limit: int
    offset: int
    has_more: bool

    @classmethod
    def of(cls, items: Sequence[ItemT], total: int, asked: PageRequest) -> Self:
        """The page with these items, which may be fewer than were asked for."""
        return cls(
            items=list(items),
            total=total,
            limit=asked.limit,
            offset=asked.offset,
            has_more=asked.offset + len(items) < total,
        )
