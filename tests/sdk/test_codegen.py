"""What is made from the API's description is up to date, and the reading of schemas."""

import pytest

from sdk_codegen.__main__ import outdated, pages, types
from sdk_codegen.reading import Choice, ListOf, MapOf, Named, OneOf, Scalar, class_name, type_of


def test_everything_that_is_made_is_up_to_date() -> None:
    old = [path.name for path in outdated(types() | pages())]
    assert not old, f"run `make sdk` and commit: {', '.join(old)}"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "integer", "minimum": 1}, Scalar("integer")),
        ({"type": "string", "format": "date-time"}, Scalar("moment")),
        ({"enum": ["a", "b"], "type": "string"}, Choice(("a", "b"))),
        ({"$ref": "#/components/schemas/Prices-Input"}, Named("Prices")),
        ({"type": "array", "items": {"type": "string"}}, ListOf(Scalar("string"))),
        ({"type": "object", "additionalProperties": {"type": "number"}}, MapOf(Scalar("number"))),
        ({"type": "object"}, MapOf(Scalar("any"))),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, OneOf((Scalar("string"), Scalar("null")))),
        ({"anyOf": [{"type": "string"}, {"anyOf": [{"type": "string"}]}]}, Scalar("string")),
        ({"title": "Anything"}, Scalar("any")),
    ],
)
def test_a_schema_has_a_type(schema: dict[str, object], expected: object) -> None:
    assert type_of(schema) == expected


def test_a_schema_without_a_type_is_refused_rather_than_guessed() -> None:
    with pytest.raises(ValueError, match="no type is known"):
        type_of({"type": "string-ish"})


def test_of_two_modules_classes_each_is_named_after_its_module() -> None:
    assert class_name("contracts__run_events__Response") == "RunEventsResponse"
    assert class_name("Prices-Output") == "Prices"
