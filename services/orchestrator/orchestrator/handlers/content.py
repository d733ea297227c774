"""Content that a model writes: each kind is an action of its own, whose prompt anyone may edit (document B)."""

from collections.abc import AsyncIterator, Callable
from typing import Any

from common.database import Connection
from contracts import content as contract
from contracts.actions import RunEntered
from contracts.base import FinalT
from contracts.content import (
    ExpandSection,
    Expansion,
    GenerateIdea,
    GenerateSocial,
    Idea,
    OptimizeSeo,
    Post,
    Section,
    SeoSuggestions,
    SocialPosts,
)
from orchestrator.deps import HANDLERS, Deps
from orchestrator.domain.actions.failures import not_found
from orchestrator.domain.actions.purposes import Purpose
from orchestrator.engine import executions
from orchestrator.store import actions, posts

_MOST_SECTIONS = 200
"""Of a post that is optimised: no model reads more."""
_ANY_KEYWORDS = "whatever its readers would search for"


@HANDLERS.on_stream(contract.GENERATE_IDEA)
def generate_idea(deps: Deps, request: GenerateIdea) -> AsyncIterator[RunEntered | Idea]:
    return _write(deps, Purpose.IDEA, request.model_dump(), Idea.model_validate)


@HANDLERS.on_stream(contract.EXPAND_SECTION)
async def expand_section(deps: Deps, request: ExpandSection) -> AsyncIterator[RunEntered | Expansion]:
    async with deps.database.connection() as connection:
        post, section = await _section(connection, request.section_id)
    values = {**_about(post, section), "tone": request.tone, "platforms": request.platforms}
    async for item in _write(deps, Purpose.SECTION, values, Expansion.model_validate, post_id=post.id):
        yield item


@HANDLERS.on_stream(contract.OPTIMIZE_SEO)
async def optimize_seo(deps: Deps, request: OptimizeSeo) -> AsyncIterator[RunEntered | SeoSuggestions]:
    async with deps.database.connection() as connection:
        post = await posts.get(connection, request.post_id)
        if post is None:
            raise not_found("Post", request.post_id)
        sections, _ = await posts.sections(connection, post.id, limit=_MOST_SECTIONS, offset=0)
    values = {
        "post_title": post.title,
        "summary": post.summary,
        "content": "\n\n".join(f"## {section.title}\n\n{section.content}".rstrip() for section in sections),
        "keywords": ", ".join(request.keywords) or _ANY_KEYWORDS,
    }
    async for item in _write(deps, Purpose.SEO, values, SeoSuggestions.model_validate, post_id=post.id):
        yield item


@HANDLERS.on_stream(contract.GENERATE_SOCIAL)
async def generate_social(deps: Deps, request: GenerateSocial) -> AsyncIterator[RunEntered | SocialPosts]:
    async with deps.database.connection() as connection:
        post, section = await _section(connection, request.section_id)
    values = {**_about(post, section), "platforms": request.platforms}
    async for item in _write(deps, Purpose.SOCIAL, values, _social_posts, post_id=post.id):
        yield item


def _social_posts(written: dict[str, Any]) -> SocialPosts:
    return SocialPosts(posts=written)


async def _section(connection: Connection, section_id: int) -> tuple[Post, Section]:
    section = await posts.section(connection, section_id)
    post = None if section is None else await posts.get(connection, section.post_id)
    if section is None or post is None:
        raise not_found("Section", section_id)
    return post, section


def _about(post: Post, section: Section) -> dict[str, Any]:
    return {"post_title": post.title, "section_title": section.title, "content": section.content}


async def _write(
    deps: Deps,
    purpose: Purpose,
    values: dict[str, Any],
    shape: Callable[[dict[str, Any]], FinalT],
    *,
    post_id: int | None = None,
) -> AsyncIterator[RunEntered | FinalT]:
    """That the run is entered, and what the model wrote, in the form of `purpose`. Raises `Refused`."""
    async with deps.database.connection() as connection:
        action = await actions.of_purpose(connection, purpose)
    assert action is not None  # noqa: S101 - it is never deleted
    async for item in executions.execute(deps, action, values, post_id=post_id):
        yield item if isinstance(item, RunEntered) else shape(item.output_data or {})
