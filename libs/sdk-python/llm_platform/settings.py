"""Where the platform is and who asks: what is given, else the environment, else what `llm-platform login` kept."""

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from llm_platform.errors import NotConfigured

URL_VARIABLE = "LLM_PLATFORM_URL"
KEY_VARIABLE = "LLM_PLATFORM_API_KEY"
FILE_VARIABLE = "LLM_PLATFORM_CONFIG"
DEFAULT_URL = "http://localhost:8000"
_ADDRESS = re.compile(r"https?://[^/\s?#]+[^\s?#]*", re.IGNORECASE)
_KEY = re.compile(r"[!-~]+")
_SUFFIXES = ("/api/v1/llm", "/api/v1", "/api", "/v1")


@dataclass(frozen=True)
class Login:
    """A platform's address, and a key of it."""

    url: str
    key: str | None = field(repr=False)


def find(base_url: str | None, api_key: str | None) -> Login:
    """What holds. A kept key is shown to the platform that it was kept for, and to no other.

    Raises `NotConfigured` for what can be no address, or no key.
    """
    kept = load()
    url = base_url or os.environ.get(URL_VARIABLE) or (kept.url if kept else DEFAULT_URL)
    key = api_key or os.environ.get(KEY_VARIABLE) or (kept.key if kept and _same(kept.url, url) else None)
    if not _ADDRESS.fullmatch(url.strip()):
        raise NotConfigured(f"{url!r} is no address: it has to be like {DEFAULT_URL}")
    if key is not None and not _KEY.fullmatch(key := key.strip()):
        raise NotConfigured("The API key holds characters that no key has")
    return Login(url.strip(), key)


def root(base_url: str) -> str:
    """The platform's own address: each document names another base below it."""
    url = base_url.rstrip("/")
    return next((url.removesuffix(suffix) for suffix in _SUFFIXES if url.endswith(suffix)), url)


def path() -> Path:
    """Where logins are kept."""
    if (named := os.environ.get(FILE_VARIABLE)) is not None:
        return Path(named)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "llm-platform" / "login.json"


def load() -> Login | None:
    """What is kept. Raises `NotConfigured` for a file that cannot be read."""
    file = path()
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return Login(str(kept["url"]), str(kept["key"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotConfigured(f"{file} cannot be read: log in again ({error})") from error


def save(login: Login) -> Path:
    """Keeps a login for its owner's eyes alone (mode 600), from the first byte on."""
    file = path()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = file.with_name(file.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as writer:
        json.dump({"url": login.url, "key": login.key}, writer)
    partial.replace(file)
    return file


def forget() -> bool:
    """Whether there was anything to forget."""
    try:
        path().unlink()
    except FileNotFoundError:
        return False
    return True


def _same(one: str, other: str) -> bool:
    return root(one) == root(other)
