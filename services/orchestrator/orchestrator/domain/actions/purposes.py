"""The content actions of document B: which variables their prompts may have, and the form that their answers have."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.base import RefusalCode, Refused

Json = dict[str, Any]


class Purpose(StrEnum):
    """What the platform itself uses an action for. Such an action can be changed, and not deleted."""

    IDEA = "generate-idea"
    SECTION = "expand-section"
    SEO = "optimize-seo"
    SOCIAL = "generate-social"


@dataclass(frozen=True)
class Text:
    """A text. `about` tells the model what is wanted."""

    about: str


@dataclass(frozen=True)
class Texts:
    """A list of texts. `lines` says that they are sentences, which commas do not part."""

    about: str
    lines: bool = False


@dataclass(frozen=True)
class TextByName:
    """A text for each of `names`."""

    about: str
    names: tuple[str, ...]


Field = Text | Texts | TextByName
Form = Mapping[str, Field]
"""The fields of an answer."""

VARIABLES: Mapping[Purpose, frozenset[str]] = {
    Purpose.IDEA: frozenset({"topic", "style", "audience"}),
    Purpose.SECTION: frozenset({"post_title", "section_title", "content", "tone", "platforms"}),
    Purpose.SEO: frozenset({"post_title", "summary", "content", "keywords"}),
    Purpose.SOCIAL: frozenset({"post_title", "section_title", "content", "platforms"}),
}
"""What is known when a content action runs."""


def check_variables(purpose: Purpose | None, names: list[str], *, field: str = "content") -> None:
    """Raises `Refused(INVALID)` for a prompt that asks for what its action can never know."""
    if purpose is None:
        return
    if unknown := [name for name in names if name not in VARIABLES[purpose]]:
        known = ", ".join(sorted(VARIABLES[purpose]))
        message = f"{', '.join(unknown)}: not known when {purpose} runs; it knows {known}"
        raise Refused(
            RefusalCode.INVALID,
            "The prompt is not valid for what it is used for",
            {"errors": [{"field": field, "message": message}]},
        )


def form(purpose: Purpose, values: Mapping[str, Any]) -> Form:
    """The form of the answer to a prompt with these values."""
    keywords = Texts("search keywords")
    match purpose:
        case Purpose.IDEA:
            return {
                "title": Text("the title of the post"),
                "outline": Texts("the headings of its sections, in order", lines=True),
                "keywords": keywords,
            }
        case Purpose.SECTION:
            return {
                "content": Text("the whole text of the section"),
                "keywords": keywords,
                "social_media_snippets": TextByName("a short text", platforms(values)),
            }
        case Purpose.SEO:
            return {
                "title_suggestions": Texts("better titles", lines=True),
                "meta_description": Text("a meta description of at most 160 characters"),
                "keyword_suggestions": keywords,
            }
        case Purpose.SOCIAL:
            return {name: Text(f"the text of a post for {name}") for name in platforms(values)}


def platforms(values: Mapping[str, Any]) -> tuple[str, ...]:
    """The platforms that an execution names, as a list or with commas, each once. Raises `Refused(INVALID)`."""
    given = values.get("platforms")
    names = given.split(",") if isinstance(given, str) else given if isinstance(given, list) else []
    found = tuple(dict.fromkeys(name.strip() for name in names if isinstance(name, str) and name.strip()))
    if not found:
        raise Refused(
            RefusalCode.INVALID,
            "Missing variables: platforms",
            {"errors": [{"field": "input_data.platforms", "message": "name at least one platform"}]},
        )
    return found


def schema(wanted: Form) -> Json:
    """The form as JSON schema, of which OpenAI's strict mode takes all."""
    return _object({name: _schema(field) for name, field in wanted.items()})


def _schema(field: Field) -> Json:
    match field:
        case Text():
            return {"type": "string", "description": field.about}
        case Texts():
            return {"type": "array", "items": {"type": "string"}, "description": field.about}
        case TextByName():
            return _object(
                {name: {"type": "string", "description": f"{field.about} for {name}"} for name in field.names}
            )


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def example(wanted: Form) -> Json:
    """The form as a model best understands it: filled with what is wanted."""
    return {name: _example(field) for name, field in wanted.items()}


def _example(field: Field) -> Any:
    match field:
        case Text():
            return f"<{field.about}>"
        case Texts():
            return [f"<{field.about}>", "…"]
        case TextByName():
            return {name: f"<{field.about} for {name}>" for name in field.names}
