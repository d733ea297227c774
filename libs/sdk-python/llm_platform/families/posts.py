"""Posts and their sections, which content is written about."""

from typing import Unpack

from llm_platform.core.binding import Family, R, flow, operation
from llm_platform.core.effects import Flow, Steps
from llm_platform.core.requests import at
from llm_platform.schemas import answers, requests

_BASE = "/api/v1/posts"


class Posts(Family[R]):
    """`client.posts`"""

    @flow
    def list(self, *, limit: int | None = None) -> Flow[answers.Post]:
        """Posts."""
        return self._pages(_BASE, answers.PostPage, lambda page: page.items, limit)

    @operation
    def create(self, **fields: Unpack[requests.CreatePost]) -> Steps[answers.Post]:
        """Makes a post."""
        return self._post(_BASE, answers.Post, fields)

    @operation
    def get(self, post_id: int) -> Steps[answers.Post]:
        """One post."""
        return self._get(at(_BASE, post_id), answers.Post)

    @operation
    def update(self, post_id: int, **fields: Unpack[requests.UpdatePost]) -> Steps[answers.Post]:
        """Changes the given fields."""
        return self._put(at(_BASE, post_id), answers.Post, fields)

    @operation
    def delete(self, post_id: int) -> Steps[answers.Post]:
        """Deletes a post with its sections."""
        return self._delete(at(_BASE, post_id), answers.Post)

    @flow
    def sections(self, post_id: int, *, limit: int | None = None) -> Flow[answers.Section]:
        """A post's sections, in their order."""
        return self._pages(at(_BASE, post_id, "sections"), answers.SectionPage, lambda page: page.items, limit)

    @operation
    def create_section(self, post_id: int, **fields: Unpack[requests.CreateSection]) -> Steps[answers.Section]:
        """Makes a section."""
        return self._post(at(_BASE, post_id, "sections"), answers.Section, fields)

    @operation
    def get_section(self, post_id: int, section_id: int) -> Steps[answers.Section]:
        """One section."""
        return self._get(at(_BASE, post_id, "sections", section_id), answers.Section)

    @operation
    def update_section(
        self, post_id: int, section_id: int, **fields: Unpack[requests.UpdateSection]
    ) -> Steps[answers.Section]:
        """Changes the given fields."""
        return self._put(at(_BASE, post_id, "sections", section_id), answers.Section, fields)

    @operation
    def delete_section(self, post_id: int, section_id: int) -> Steps[answers.Section]:
        """Deletes a section."""
        return self._delete(at(_BASE, post_id, "sections", section_id), answers.Section)
