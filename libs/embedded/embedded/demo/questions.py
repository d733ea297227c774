"""Real input on every machine: the documentation strings of Python's standard library, as questions and answers."""

import ast
import csv
import random
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SKIPPED = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__", "turtledemo"}
_SHORTEST, _LONGEST = 40, 400
_SEED = 20


@dataclass(frozen=True)
class Documented:
    """A function of the standard library: how it is called, and the first paragraph of what its author says of it."""

    name: str
    signature: str
    summary: str

    @property
    def question(self) -> str:
        return f"What does `{self.name}` do and how is it called?"

    @property
    def answer(self) -> str:
        return f"`{self.signature}`: {self.summary}"


@dataclass(frozen=True)
class Library:
    """What the standard library says: of its functions, sorted by name, and in all its other prose.

    `prose` holds no answer of `functions`: text for a small base model to learn English from, and nothing more.
    """

    functions: list[Documented]
    prose: list[str]


def read_library() -> Library:
    """Reads the documentation strings of the standard library. Sources are parsed, never imported or run."""
    functions: dict[str, Documented] = {}
    prose: dict[str, None] = {}
    for tree, module in _modules():
        functions.update((entry.name, entry) for entry in _functions(tree.body, module))
        prose.update((paragraph, None) for paragraph in _prose(tree))
    answers = {entry.summary for entry in functions.values()}
    return Library([functions[name] for name in sorted(functions)], [text for text in prose if text not in answers])


def sample(functions: list[Documented], rows: int) -> list[Documented]:
    """The same `rows` entries at each call, or all there are."""
    return random.Random(_SEED).sample(functions, min(rows, len(functions)))  # noqa: S311 - a choice, not a secret


def write_csv(entries: list[Documented], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        writer.writerows((entry.question, entry.answer) for entry in entries)


def _modules() -> Iterator[tuple[ast.Module, str]]:
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if _SKIPPED & set(parts) or any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        try:
            yield ast.parse(path.read_text(encoding="utf-8")), ".".join(part for part in parts if part != "__init__")
        except (SyntaxError, UnicodeDecodeError):
            continue


def _prose(tree: ast.Module) -> Iterator[str]:
    """The paragraphs on modules and classes, and those after a function's first."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            paragraphs = (ast.get_docstring(node) or "").split("\n\n")
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                paragraphs = paragraphs[1:]
            yield from (text for text in (" ".join(p.split()) for p in paragraphs) if len(text) >= _SHORTEST)


def _functions(body: list[ast.stmt], prefix: str) -> Iterator[Documented]:
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _functions(node.body, f"{prefix}.{node.name}")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            summary = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
            if _SHORTEST <= len(summary) <= _LONGEST:
                name = f"{prefix}.{node.name}"
                yield Documented(name, f"{name}({ast.unparse(node.args)})", summary)
