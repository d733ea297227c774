"""JSON is looked for generously and taken strictly: whatever a model writes, the form is kept or the lack is named."""

import pytest

from orchestrator.domain.actions.answers import Misshapen, shaped
from orchestrator.domain.actions.purposes import Purpose, example, form, schema

IDEA = form(Purpose.IDEA, {})
WANTED = {"title": "T", "outline": ["a, b", "c"], "keywords": ["x", "y"]}


@pytest.mark.parametrize(
    "text",
    [
        '{"title": "T", "outline": ["a, b", "c"], "keywords": ["x", "y"]}',
        'Sure!\n```json\n{"title": "T", "outline": ["a, b", "c"], "keywords": ["x", "y"]}\n```\nEnjoy {it}.',
        '{"title": "T", "outline": ["a, b", "c",], "keywords": ["x", "y",],}',
        '{"Title": " T ", "Outline": "1. a, b\\n2. c", "KEYWORDS": "x, y", "more": 1}',
        '{"idea": {"title": "T", "outline": [{"heading": "a, b"}, "c"], "keywords": ["x", "y"]}}',
        '{"x": {} } {"title": ["T"], "outline": "a, b\\n- c", "keywords": "x\\ny"}',
        '{"title": "T", "outline": ["a, b", "c"], "keywords": ["x", "y"]}{"title": "another"}',
    ],
    ids=range(7),
)
def test_the_form_is_found(text: str) -> None:
    assert shaped(text, IDEA) == WANTED


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ("{" * 10_000, "no JSON object"),
        ('{"a":' * 5_000, "no JSON object"),
        ('{"title": "T"}', "lacks outline, keywords"),
        ('{"title": "T", "outline": null, "keywords": ["x"]}', "lacks outline"),
        ('{"title": " ", "outline": ["a"], "keywords": ["x"]}', "title must be a text"),
        ('{"title": true, "outline": ["a"], "keywords": ["x"]}', "title must be a text"),
        ('{"title": "T", "outline": [], "keywords": ["x"]}', "outline must be a list"),
        ('{"title": "T", "outline": {"a": 1}, "keywords": ["x"]}', "outline must be a list"),
    ],
    ids=range(10),
)
def test_what_is_wrong_is_named(text: str, why: str) -> None:
    with pytest.raises(Misshapen, match=why):
        shaped(text, IDEA)


def test_halves_of_characters_are_no_text() -> None:
    text = '{"title": "\\ud800", "outline": ["a"], "keywords": ["x"]}'
    assert shaped(text, IDEA)["title"] == "?"


def test_texts_by_name_are_found_however_names_are_written() -> None:
    wanted = form(Purpose.SECTION, {"platforms": ["Twitter / X", "blog", "blog"]})
    text = '{"content": "c", "keywords": ["k"], "socialMediaSnippets": {"twitter x": "t", "Blog": ["b1", "b2"]}}'
    snippets = shaped(text, wanted)["social_media_snippets"]
    assert snippets == {"Twitter / X": "t", "blog": "b1\nb2"}


@pytest.mark.parametrize("purpose", Purpose)
def test_the_schema_is_one_that_strict_modes_take_and_the_example_has_its_fields(purpose: Purpose) -> None:
    wanted = form(purpose, {"platforms": "tiktok, instagram"})
    described = schema(wanted)
    assert described["additionalProperties"] is False
    assert described["required"] == list(described["properties"]) == list(example(wanted))
