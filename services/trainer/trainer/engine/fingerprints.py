"""Fingerprints: short texts that differ when the content of an object, a prefix or a model differs."""

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

from common.objects import ObjectStore, S3Path

_ROOMS = ("agents", "domain", "engine")
_LIBRARIES = ("gguf", "peft", "polars", "safetensors", "tokenizers", "torch", "transformers")


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
    root = Path(__file__).parent.parent
    files = sorted(file for room in _ROOMS for file in (root / room).rglob("*.py"))
    lines = [f"{file.relative_to(root).as_posix()} {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    return _digest([*lines, *(f"{name} {version(name)}" for name in _LIBRARIES)])


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
