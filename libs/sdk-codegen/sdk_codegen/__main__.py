"""`python -m sdk_codegen` writes what is made; with `--check` it only says whether that is up to date."""

import argparse
import sys
from pathlib import Path

import orjson

from gateway.openapi import document
from gateway.routes import ROUTES
from sdk_codegen import python, typescript
from sdk_codegen.reading import read

_LIBS = Path(__file__).resolve().parents[2]


def made() -> dict[Path, str]:
    """Every file that is made, and what belongs in it."""
    description = read(orjson.loads(document(ROUTES)))
    in_python, in_typescript = _LIBS / "sdk-python/llm_platform/schemas", _LIBS / "sdk-js/src/schemas"
    return {
        in_python / "answers.py": python.answers(description),
        in_python / "requests.py": python.requests(description),
        in_typescript / "answers.ts": typescript.answers(description),
        in_typescript / "requests.ts": typescript.requests(description),
        in_typescript / "shapes.ts": typescript.shapes(description),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="sdk_codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if anything is out of date")
    check = parser.parse_args().check
    old = [path for path, text in made().items() if not path.exists() or path.read_text() != text]
    if check and old:
        sys.exit(f"Out of date, run `make sdk`: {', '.join(str(path) for path in old)}")
    for path, text in made().items():
        if path in old:
            path.write_text(text)


if __name__ == "__main__":
    main()
