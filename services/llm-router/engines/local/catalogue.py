"""Which models a name can mean, and which folders may be read: nothing outside the two that the settings name."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engines.openai_wire import ApiError, model_not_found

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")


@dataclass(frozen=True)
class Source:
    """Where a base model comes from. `name` is what it is called in answers; without a path it is a Hugging Face id."""

    name: str
    path: Path | None


class Catalogue:
    """The base models in `models_dir`, and if `hub` is on everything on the Hugging Face hub."""

    def __init__(self, models_dir: Path, adapter_dir: Path, *, hub: bool) -> None:
        self._models_dir = Path(os.path.normpath(models_dir.absolute()))
        self._adapter_dir = adapter_dir.resolve()
        self._hub = hub

    def local_models(self) -> Iterator[tuple[str, int]]:
        """Name and age (Unix seconds) of each model in the folder: `name` or, as on the hub, `owner/name`."""
        for pattern in ("*/config.json", "*/*/config.json"):
            for config in sorted(self._models_dir.glob(pattern)):
                inside_another = (config.parent.parent / "config.json").is_file()
                if not inside_another:
                    yield config.parent.relative_to(self._models_dir).as_posix(), int(config.stat().st_mtime)

    def resolve(self, name: str) -> Source:
        """What `name` means: a folder in the models folder (by name or path), else a Hugging Face id.

        Raises ApiError: 400 for a name that leads out of the folder, 404 for one that means nothing.
        """
        if "\0" in name or "\\" in name or ".." in name.split("/"):
            raise _refused_path("model", name)
        # Only the name is normalised, no link followed: what the owner of the folder links into it may be served.
        path = Path(os.path.normpath(self._models_dir / name))
        if path.is_relative_to(self._models_dir) and (path / "config.json").is_file():
            return Source(path.relative_to(self._models_dir).as_posix(), path)
        if Path(name).is_absolute() and not path.is_relative_to(self._models_dir):
            raise _refused_path("model", name)
        if self._hub and _HUB_ID.fullmatch(name):
            return Source(name, None)
        raise model_not_found(name)

    def adapter_folder(self, path: str) -> Path:
        """The folder that `path` means, absolute or relative to the adapter folder.

        Adapters come from other services, so links are followed before the check. Raises ApiError (400, 404).
        """
        if "\0" in path:
            raise _refused_path("lora_path", path)
        folder = (self._adapter_dir / path).resolve()
        if not folder.is_relative_to(self._adapter_dir):
            raise _refused_path("lora_path", path)
        if not folder.is_dir():
            raise ApiError(404, f"No adapter found at {path}.", param="lora_path", code="adapter_not_found")
        return folder


def _refused_path(param: str, path: str) -> ApiError:
    return ApiError(400, f"{path!r} leads out of the folder that this engine serves.", param=param)
