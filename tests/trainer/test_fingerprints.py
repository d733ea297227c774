"""The fingerprint of the agents' program: whatever decides what they make is in it."""

import ast
import sys
from pathlib import Path

from trainer.engine import fingerprints

_OURS = {"common", "contracts", "trainer"}
_MEANS = {"objects", "telemetry"}
"""What of `common` has no say in what an agent makes."""


def _imports(file: Path) -> set[str]:
    """The modules that a file imports, by their full names."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}


def test_the_program_holds_what_it_imports_the_reader_of_data_sets_too() -> None:
    program = fingerprints.program()
    imported = {name for file in program.values() for name in _imports(file)}
    libraries = {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) - _OURS
    assert libraries == set(fingerprints.LIBRARIES)
    shared = {name.split(".")[1] for name in imported if name.startswith("common.")} - _MEANS
    assert shared == {"compression", "datafiles"}
    assert {"common/compression.py", "common/datafiles/json_lines.py", "trainer/engine/reading.py"} <= program.keys()
