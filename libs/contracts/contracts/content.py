"""Posts, their sections, and what a model writes about them (document B). The orchestrator answers all of it."""

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts.actions import EXECUTION_REFUSALS, EXECUTION_SECONDS, RunEntered
from contracts.base import FinalT, Message, RefusalCode, RequestT, Rpc, Stream, Timestamp
from contracts.pages import Page, PageRequest
from contracts.prompts import Id

Title = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"\S")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=r"\S")]
"""A few words, such as a topic or a tone."""
Keyword = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"\S")]
Platform = Annotated[str, StringConstraints(min_length=1, max_length=50, pattern=r"\S")]
Platforms = Annotated[list[Platform], Field(min_length=1, max_length=20)]

# Posts


class Post(Message):
    id: int
    title: str
    summary: str
    created_at: Timestamp
    updated_at: Timestamp


class ListPosts(PageRequest):
    """Posts, newest first."""


class PostPage(Page[Post]):
    """Posts, newest first."""


class CreatePost(Message):
    title: Title
    summary: str = Field(default="", max_length=20_000)


class GetPost(Message):
    post_id: Id


class UpdatePost(Message):
    """Changes the given fields."""

    post_id: Id
    title: Title | None = None
    summary: str | None = Field(default=None, max_length=20_000)


class Section(Message):
    """A part of a post. Sections are ordered by `position`, those of the same position by age."""

    id: int
    post_id: int
    position: int
    title: str
    content: str
    created_at: Timestamp
    updated_at: Timestamp


class ListSections(PageRequest):
    """The sections of a post, in order."""

    post_id: Id


class SectionPage(Page[Section]):
    """The sections of a post, in order."""


class CreateSection(Message):
    """Without a `position` it comes last."""

    post_id: Id
    title: Title
    content: str = Field(default="", max_length=200_000)
    position: int | None = Field(default=None, ge=0, le=2**31 - 2)


class GetSection(Message):
    post_id: Id
    section_id: Id


class UpdateSection(Message):
    """Changes the given fields."""

    post_id: Id
    section_id: Id
    title: Title | None = None
    content: str | None = Field(default=None, max_length=200_000)
    position: int | None = Field(default=None, ge=0, le=2**31 - 2)


_UNKNOWN = (RefusalCode.NOT_FOUND,)

LIST_POSTS = Rpc("orchestrator.v1.posts.list", ListPosts, PostPage)
CREATE_POST = Rpc("orchestrator.v1.posts.create", CreatePost, Post)
GET_POST = Rpc("orchestrator.v1.posts.get", GetPost, Post, refusals=_UNKNOWN)
UPDATE_POST = Rpc("orchestrator.v1.posts.update", UpdatePost, Post, refusals=_UNKNOWN)
DELETE_POST = Rpc("orchestrator.v1.posts.delete", GetPost, Post, refusals=_UNKNOWN)

LIST_SECTIONS = Rpc("orchestrator.v1.sections.list", ListSections, SectionPage, refusals=_UNKNOWN)
CREATE_SECTION = Rpc("orchestrator.v1.sections.create", CreateSection, Section, refusals=_UNKNOWN)
GET_SECTION = Rpc("orchestrator.v1.sections.get", GetSection, Section, refusals=_UNKNOWN)
UPDATE_SECTION = Rpc("orchestrator.v1.sections.update", UpdateSection, Section, refusals=_UNKNOWN)
DELETE_SECTION = Rpc("orchestrator.v1.sections.delete", GetSection, Section, refusals=_UNKNOWN)

# What a model writes


class GenerateIdea(Message):
    topic: Words
    style: Words = "informative"
    audience: Words = "Scottish heritage enthusiasts"


class Idea(Message):
    """An idea for a post: its headings are the `outline`."""

    title: str
    outline: list[str]
    keywords: list[str]


class ExpandSection(Message):
    section_id: Id
    tone: Words = "professional"
    platforms: Platforms = ["blog"]


class Expansion(Message):
    """A section written out, with a snippet for each platform that was asked for."""

    content: str
    keywords: list[str]
    social_media_snippets: dict[str, str]


class OptimizeSeo(Message):
    post_id: Id
    keywords: Annotated[list[Keyword], Field(max_length=100)]


class SeoSuggestions(Message):
    title_suggestions: list[str]
    meta_description: str
    keyword_suggestions: list[str]


class GenerateSocial(Message):
    section_id: Id
    platforms: Platforms = ["tiktok", "instagram"]


class SocialPosts(Message):
    """A post for each platform that was asked for, by its name."""

    posts: dict[str, str]


def _written(verb: str, request: type[RequestT], final: type[FinalT]) -> Stream[RequestT, RunEntered, FinalT]:
    return Stream(
        f"orchestrator.v1.content.{verb}",
        request,
        RunEntered,
        final,
        refusals=EXECUTION_REFUSALS,
        timeout=EXECUTION_SECONDS,
    )


GENERATE_IDEA = _written("generate_idea", GenerateIdea, Idea)
EXPAND_SECTION = _written("expand_section", ExpandSection, Expansion)
OPTIMIZE_SEO = _written("optimize_seo", OptimizeSeo, SeoSuggestions)
GENERATE_SOCIAL = _written("generate_social", GenerateSocial, SocialPosts)
