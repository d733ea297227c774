"""Rows of posts and their sections, which document B's content is written for (in document E's forms)."""

from contracts import content
from gateway.routes.table import Tag, asks

_POSTS = "/api/v1/posts"
_POST = "/api/v1/posts/{post_id}"
_SECTIONS = "/api/v1/posts/{post_id}/sections"
_SECTION = "/api/v1/posts/{post_id}/sections/{section_id}"

POSTS = (
    asks("GET", _POSTS, content.LIST_POSTS, tag=Tag.CONTENT, summary="List posts", description="Newest first."),
    asks(
        "POST",
        _POSTS,
        content.CREATE_POST,
        tag=Tag.CONTENT,
        summary="Create a post",
        status=201,
        example={"title": "Castles of the Highlands", "summary": "Five castles, and how to see them in a week."},
    ),
    asks("GET", _POST, content.GET_POST, tag=Tag.CONTENT, summary="Get a post"),
    asks(
        "PUT",
        _POST,
        content.UPDATE_POST,
        tag=Tag.CONTENT,
        summary="Change a post",
        description="Changes the given fields.",
    ),
    asks(
        "DELETE",
        _POST,
        content.DELETE_POST,
        tag=Tag.CONTENT,
        summary="Delete a post",
        description="Its sections go with it.",
    ),
    asks(
        "GET",
        _SECTIONS,
        content.LIST_SECTIONS,
        tag=Tag.CONTENT,
        summary="List the sections of a post",
        description="By position.",
    ),
    asks(
        "POST",
        _SECTIONS,
        content.CREATE_SECTION,
        tag=Tag.CONTENT,
        summary="Create a section",
        description="Without a `position` it comes last.",
        status=201,
        example={"title": "Eilean Donan", "content": "The castle stands on a small island."},
    ),
    asks("GET", _SECTION, content.GET_SECTION, tag=Tag.CONTENT, summary="Get a section"),
    asks(
        "PUT",
        _SECTION,
        content.UPDATE_SECTION,
        tag=Tag.CONTENT,
        summary="Change a section",
        description="Changes the given fields.",
    ),
    asks("DELETE", _SECTION, content.DELETE_SECTION, tag=Tag.CONTENT, summary="Delete a section"),
)
