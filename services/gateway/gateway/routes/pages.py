"""Rows of the pages for browsers and of what they are made of. They are open: what they show, they ask the API for."""

from contracts.base import Empty
from gateway.routes.table import Route, Special, Tag


def _open(path: str, summary: str, media: str = "text/html", *, special: Special = Special.PAGE) -> Route:
    return Route(
        method="GET",
        path=path,
        tag=Tag.PLATFORM,
        summary=summary,
        role=None,
        request=Empty,
        response=None,
        special=special,
        media=media,
    )


_SCRIPT = "text/javascript"
_STYLE = "text/css"

PAGES = (
    _open("/", "Leads to the API description", special=Special.LEAD),
    _open("/theme.css", "The look that the pages share", _STYLE),
    _open("/docs", "The API description as a page"),
    _open("/docs/page.js", "The description's script", _SCRIPT),
    _open("/docs/page.css", "The description's style", _STYLE),
    _open("/llm", "Leads to the page for trying prompts", special=Special.LEAD),
    _open("/llm/", "Try prompts: log in, choose a prompt and a model, see the answer come"),
    _open("/llm/page.js", "The script for trying prompts", _SCRIPT),
    _open("/llm/calls.js", "Its calls to the API", _SCRIPT),
    _open("/llm/templates.js", "Its prompt templates", _SCRIPT),
    _open("/llm/page.css", "Its style", _STYLE),
)
