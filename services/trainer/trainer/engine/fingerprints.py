"""Fingerprints: short texts that differ when the content of an object, a prefix or a model differs."""

import hashlib
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from common import compression
from common.objects import ObjectStore, S3Path
from contracts import pipeline

_ROOMS = {
    Path(__file__).parent.parent: ("agents/**/*.py", "domain/**/*.py", "engine/**/*.py"),
    Path(compression.__file__).parent: ("compression.py", "datafiles/**/*.py"),
    Path(pipeline.__file__).parent: ("**/*.py",),
}
LIBRARIES = (
    "gguf",
    "huggingface_hub",
    "jinja2",
    "numpy",
    "orjson",
    "peft",
    "polars",
    "pydantic",
    "pydantic_core",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
    "zstandard",
)
"""All that the agents' program imports."""


async def fingerprint_objects(store: ObjectStore, path: str) -> str | None:
    """Of an object, or of all objects below a prefix: their names, sizes and entity tags; None when there are none.

    Raises `Refused(STORAGE_FAILED)` when the store is away, ValueError for a path that is none.
    """
    place = S3Path.parse(path)
    found = await store.list(place)
    below = place.key.rstrip("/") + "/"
    mine = [info for info in found if info.path.key == place.key or info.path.key.startswith(below)]
    lines = [f"{info.path.key[len(place.key) :]} {info.size} {info.etag}" for info in mine]
    return _digest(lines) if lines else None


def fingerprint_model(models_dir: Path, reference: str) -> str:
    """Of a model's folder: names, sizes and times of its files. A model from elsewhere is known by its reference."""
    root = Path(os.path.abspath(models_dir))  # noqa: PTH100 - as models are found: a link may lead out, `..` may not
    folder = Path(os.path.abspath(root / reference))  # noqa: PTH100
    if root not in folder.parents or not folder.is_dir():
        return reference
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    stats = [(file.relative_to(folder).as_posix(), file.stat()) for file in files]
    return _digest([f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats])


def fingerprint_code() -> str:
    """Of the agents' program, and of the libraries that what they make depends on."""
    lines = [f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}" for name, file in program().items()]
    return _digest([*lines, *(f"{name} {version(name)}" for name in LIBRARIES)])


def program() -> Mapping[str, Path]:
    """The files of the agents' program by name: the agents, what reads data sets, and what configures both."""
    return {
        f"{package.name}/{file.relative_to(package).as_posix()}": file
        for package, rooms in _ROOMS.items()
        for room in rooms
        for file in sorted(package.glob(room))
    }


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
