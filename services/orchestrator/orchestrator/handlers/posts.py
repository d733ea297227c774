"""Posts and their sections: listed, made, changed, deleted."""

from contracts import content as contract
from contracts.base import RefusalCode, Refused
from contracts.content import (
    CreatePost,
    CreateSection,
    GetPost,
    GetSection,
    ListPosts,
    ListSections,
    Post,
    PostPage,
    Section,
    SectionPage,
    UpdatePost,
    UpdateSection,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain import pages
from orchestrator.store import posts


@HANDLERS.on(contract.LIST_POSTS)
async def list_posts(deps: Deps, request: ListPosts) -> PostPage:
    async with deps.database.connection() as connection:
        found, total = await posts.page(connection, limit=request.limit, offset=request.offset)
    return PostPage.of(pages.fitting(found), total, request)


@HANDLERS.on(contract.CREATE_POST)
async def create_post(deps: Deps, request: CreatePost) -> Post:
    async with deps.database.connection() as connection:
        return await posts.insert(connection, request.title, request.summary)


@HANDLERS.on(contract.GET_POST)
async def get_post(deps: Deps, request: GetPost) -> Post:
    async with deps.database.connection() as connection:
        return _found(await posts.get(connection, request.post_id), request)


@HANDLERS.on(contract.UPDATE_POST)
async def update_post(deps: Deps, request: UpdatePost) -> Post:
    async with deps.database.connection() as connection:
        changed = await posts.update(connection, request.post_id, title=request.title, summary=request.summary)
    return _found(changed, request)


@HANDLERS.on(contract.DELETE_POST)
async def delete_post(deps: Deps, request: GetPost) -> Post:
    """What it was. Its sections go with it."""
    async with deps.database.connection() as connection:
        return _found(await posts.delete(connection, request.post_id), request)


def _found(post: Post | None, request: GetPost | UpdatePost | ListSections | CreateSection) -> Post:
    if post is None:
        raise _no_post(request.post_id)
    return post


def _no_post(post_id: int) -> Refused:
    return Refused(RefusalCode.NOT_FOUND, f"There is no post {post_id}", {"post_id": post_id})


# Sections


@HANDLERS.on(contract.LIST_SECTIONS)
async def list_sections(deps: Deps, request: ListSections) -> SectionPage:
    async with deps.database.connection() as connection:
        post = _found(await posts.get(connection, request.post_id), request)
        found, total = await posts.sections(connection, post.id, limit=request.limit, offset=request.offset)
    return SectionPage.of(pages.fitting(found), total, request)


@HANDLERS.on(contract.CREATE_SECTION)
async def create_section(deps: Deps, request: CreateSection) -> Section:
    async with deps.database.connection() as connection:
        made = await posts.insert_section(
            connection, request.post_id, title=request.title, content=request.content, position=request.position
        )
    if made is None:
        raise _no_post(request.post_id)
    return made


@HANDLERS.on(contract.GET_SECTION)
async def get_section(deps: Deps, request: GetSection) -> Section:
    async with deps.database.connection() as connection:
        section = await posts.section(connection, request.section_id)
    return _found_section(section if section is not None and section.post_id == request.post_id else None, request)


@HANDLERS.on(contract.UPDATE_SECTION)
async def update_section(deps: Deps, request: UpdateSection) -> Section:
    async with deps.database.connection() as connection:
        changed = await posts.update_section(
            connection,
            request.post_id,
            request.section_id,
            position=request.position,
            title=request.title,
            content=request.content,
        )
    return _found_section(changed, request)


@HANDLERS.on(contract.DELETE_SECTION)
async def delete_section(deps: Deps, request: GetSection) -> Section:
    """What it was."""
    async with deps.database.connection() as connection:
        deleted = await posts.delete_section(connection, request.post_id, request.section_id)
    return _found_section(deleted, request)


def _found_section(section: Section | None, request: GetSection | UpdateSection) -> Section:
    if section is None:
        message = f"There is no section {request.section_id} in post {request.post_id}"
        metadata = {"post_id": request.post_id, "section_id": request.section_id}
        raise Refused(RefusalCode.NOT_FOUND, message, metadata)
    return section
