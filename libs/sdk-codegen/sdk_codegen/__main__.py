"""`python -m sdk_codegen` writes what is made; with `--check` it only says whether that is up to date."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import orjson

from gateway.openapi import document
from gateway.routes import ROUTES
from sdk_codegen import python, typescript
from sdk_codegen.reading import read

_ROOT = Path(__file__).resolve().parents[3]
_PYTHON = _ROOT / "libs/sdk-python/llm_platform/schemas"
_TYPESCRIPT = _ROOT / "libs/sdk-js/src/schemas"


def types() -> dict[Path, str]:
    """The modules of types that are made, and what belongs in them."""
    description = read(orjson.loads(document(ROUTES)))
    return {
        _PYTHON / "answers.py": python.answers(description),
        _PYTHON / "requests.py": python.requests(description),
        _TYPESCRIPT / "answers.ts": typescript.answers(description),
        _TYPESCRIPT / "requests.ts": typescript.requests(description),
        _TYPESCRIPT / "shapes.ts": typescript.shapes(description),
    }


def pages() -> dict[Path, str]:
    """The pages of reference that are made, and what belongs in them."""
    # The client itself stands on the types: only once these are there can it be imported.
    from sdk_codegen import reference  # noqa: PLC0415

    return {
        _ROOT / "docs/sdk-python.md": reference.python(),
        _ROOT / "docs/sdk-js.md": reference.javascript(_TYPESCRIPT.parent),
        _ROOT / "docs/sdk-calls.md": reference.both(_TYPESCRIPT.parent),
    }


def outdated(made: Mapping[Path, str]) -> list[Path]:
    return [path for path, text in made.items() if not path.exists() or path.read_text() != text]


def main() -> None:
    parser = argparse.ArgumentParser(prog="sdk_codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if anything is out of date")
    check = parser.parse_args().check
    for made in (types, pages):
        found = made()
        old = outdated(found)
        if check and old:
            sys.exit(f"Out of date, run `make sdk`: {', '.join(path.name for path in old)}")
        for path in old:
            path.write_text(found[path])


if __name__ == "__main__":
    main()
