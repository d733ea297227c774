"""Posts and their sections over the bus."""

import pytest

from common.bus import Bus
from contracts.base import RefusalCode
from contracts.content import (
    CREATE_POST,
    CREATE_SECTION,
    DELETE_POST,
    DELETE_SECTION,
    GET_POST,
    GET_SECTION,
    LIST_POSTS,
    LIST_SECTIONS,
    UPDATE_POST,
    UPDATE_SECTION,
    CreatePost,
    CreateSection,
    GetPost,
    GetSection,
    ListPosts,
    ListSections,
    Post,
    Section,
    UpdatePost,
    UpdateSection,
)

from .asking import refused

pytestmark = pytest.mark.usefixtures("service")


async def new_post(bus: Bus, title: str = "Castles") -> Post:
    return await bus.ask(CREATE_POST, CreatePost(title=title))


async def new_section(bus: Bus, post: Post, title: str, position: int | None = None) -> Section:
    return await bus.ask(CREATE_SECTION, CreateSection(post_id=post.id, title=title, position=position))


async def test_posts_are_made_changed_listed_and_deleted(caller: Bus) -> None:
    posts = [await new_post(caller, f"Post {number}") for number in range(3)]
    page = await caller.ask(LIST_POSTS, ListPosts(limit=2))
    assert ([post.id for post in page.items], page.total, page.has_more) == ([posts[2].id, posts[1].id], 3, True)
    changed = await caller.ask(UPDATE_POST, UpdatePost(post_id=posts[0].id, summary="All about it"))
    assert (changed.title, changed.summary) == ("Post 0", "All about it")
    assert changed.updated_at > changed.created_at
    assert await caller.ask(GET_POST, GetPost(post_id=posts[0].id)) == changed
    assert await caller.ask(DELETE_POST, GetPost(post_id=posts[0].id)) == changed
    async with refused(RefusalCode.NOT_FOUND):
        await caller.ask(GET_POST, GetPost(post_id=posts[0].id))


async def test_sections_are_ordered_by_position_and_come_last_by_default(caller: Bus) -> None:
    post = await new_post(caller)
    first = await new_section(caller, post, "First")
    last = await new_section(caller, post, "Last", 5)
    after = await new_section(caller, post, "After")
    between = await new_section(caller, post, "Between", 3)
    assert (first.position, after.position) == (0, 6)
    page = await caller.ask(LIST_SECTIONS, ListSections(post_id=post.id))
    assert [section.id for section in page.items] == [first.id, between.id, last.id, after.id]
    moved = await caller.ask(UPDATE_SECTION, UpdateSection(post_id=post.id, section_id=after.id, position=1))
    assert (moved.title, moved.position) == ("After", 1)
    await caller.ask(DELETE_SECTION, GetSection(post_id=post.id, section_id=first.id))
    page = await caller.ask(LIST_SECTIONS, ListSections(post_id=post.id, limit=1))
    assert ([section.id for section in page.items], page.total, page.has_more) == ([after.id], 3, True)


async def test_sections_belong_to_their_post_and_go_with_it(caller: Bus) -> None:
    post, other = await new_post(caller), await new_post(caller)
    section = await new_section(caller, post, "Here")
    here = GetSection(post_id=post.id, section_id=section.id)
    assert await caller.ask(GET_SECTION, here) == section
    elsewhere = GetSection(post_id=other.id, section_id=section.id)
    for rpc in (GET_SECTION, DELETE_SECTION):
        async with refused(RefusalCode.NOT_FOUND):
            await caller.ask(rpc, elsewhere)
    await caller.ask(DELETE_POST, GetPost(post_id=post.id))
    async with refused(RefusalCode.NOT_FOUND):
        await caller.ask(GET_SECTION, here)
    async with refused(RefusalCode.NOT_FOUND):
        await new_section(caller, post, "Nowhere")
    async with refused(RefusalCode.NOT_FOUND):
        await caller.ask(LIST_SECTIONS, ListSections(post_id=post.id))
