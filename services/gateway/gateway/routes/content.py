"""Rows of what a model writes about posts (document B): the answer has the documented form, or is a clear error."""

from pydantic import RootModel

from contracts import content
from contracts.base import Message
from contracts.content import SeoSuggestions, SocialPosts
from gateway.routes.table import Quota, Tag, executes, view

_KEPT = "Each is an action whose prompt anyone may edit; the execution is kept as a run of it."


class SeoAnswer(Message):
    suggestions: SeoSuggestions


class SocialAnswer(RootModel[dict[str, str]]):
    """A post for each platform, by its name."""


def _seo(suggestions: SeoSuggestions) -> SeoAnswer:
    return SeoAnswer(suggestions=suggestions)


def _social(social: SocialPosts) -> SocialAnswer:
    return SocialAnswer(social.posts)


CONTENT = (
    executes(
        "/api/v1/llm/generate-idea",
        content.GENERATE_IDEA,
        tag=Tag.CONTENT,
        summary="Generate an idea for a post",
        description=_KEPT,
        quota=Quota.EXECUTION,
        example={"topic": "Castles of the Highlands"},
    ),
    executes(
        "/api/v1/llm/expand-section/{section_id}",
        content.EXPAND_SECTION,
        tag=Tag.CONTENT,
        summary="Write out a section of a post",
        description=_KEPT,
        quota=Quota.EXECUTION,
        example={"tone": "professional", "platforms": ["blog"]},
    ),
    executes(
        "/api/v1/llm/optimize-seo/{post_id}",
        content.OPTIMIZE_SEO,
        tag=Tag.CONTENT,
        summary="Suggest how a post is found more easily",
        description=_KEPT,
        view=view(SeoAnswer, _seo),
        quota=Quota.EXECUTION,
        example={"keywords": ["castles", "highlands"]},
    ),
    executes(
        "/api/v1/llm/generate-social/{section_id}",
        content.GENERATE_SOCIAL,
        tag=Tag.CONTENT,
        summary="Announce a section on social media",
        description=_KEPT,
        view=view(SocialAnswer, _social),
        quota=Quota.EXECUTION,
        example={"platforms": ["tiktok", "instagram"]},
    ),
)
