"""`python -m embedded.demo`: the main job against a running platform; starts one, and stops it, if none runs."""

import argparse
import asyncio
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from rich.console import Console

from embedded.demo import questions, report
from embedded.demo.api import Api, ApiError
from embedded.demo.base_model import BASE_MODEL, make_base_model
from embedded.demo.tour import DemoFailed, Record, Tour
from embedded.errors import StartError
from embedded.platform import LOG_FILE, Platform
from embedded.secrets import ADMIN_KEY_FILE
from embedded.settings import Settings


def main() -> int:
    """Returns the exit status: 0 when every step held."""
    options = _options()
    settings = Settings()
    console = Console(highlight=False)
    started = time.monotonic()
    place = options.url or f"http://127.0.0.1:{settings.port}"
    with _platform(place, settings, console, may_start=options.url is None) as url:
        key = options.key or _admin_key(settings)
        library = questions.read_library()
        asked = questions.sample(library.functions, options.rows)
        work = settings.data_dir / "demo"
        file = work / "python-docs.csv"
        questions.write_csv(asked, file)
        base_model = options.base_model or _own_base_model(settings, library.prose, work, console)
        try:
            texts = [entry.question for entry in asked]
            record = asyncio.run(_walk(Api(url, key), console, base_model, file, texts, options.epochs))
        except (DemoFailed, ApiError) as error:
            console.print(f"\n[bold red]The demo failed:[/] {error}", markup=True)
            return 1
        report.show(console, record, url, str(settings.data_dir / ADMIN_KEY_FILE))
    console.print(f"\nThe whole demo took [bold]{time.monotonic() - started:.0f} s[/].")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--url", help="a running platform; by default the one of this machine, started if need be")
    parser.add_argument("--key", help="an API key of it; by default the admin key of this machine")
    parser.add_argument("--base-model", help="any Hugging Face id or a name under the models directory")
    parser.add_argument("--rows", type=int, default=2400, help="rows of the data set (default: 2400)")
    parser.add_argument("--epochs", type=float, default=2, help="epochs of training (default: 2)")
    return parser.parse_args()


async def _walk(api: Api, console: Console, base_model: str, file: Path, asked: list[str], epochs: float) -> Record:
    async with api:
        return await Tour(api, console, base_model, file.parent).walk(file, asked, epochs)


def _admin_key(settings: Settings) -> str:
    if settings.admin_key is not None:
        return settings.admin_key.get_secret_value()
    return (settings.data_dir / ADMIN_KEY_FILE).read_text(encoding="utf-8").strip()


def _own_base_model(settings: Settings, prose: list[str], work: Path, console: Console) -> str:
    """Makes the small base model once: no download of weights is needed to see the platform work."""
    out = settings.data_dir / "models" / BASE_MODEL
    if not out.exists():
        console.print("\n[bold]Making a small Llama and its tokenizer from the library's prose (once) ...[/]")
        make_base_model(out, work, lambda: prose)
    return BASE_MODEL


@contextmanager
def _platform(url: str, settings: Settings, console: Console, *, may_start: bool) -> Iterator[str]:
    """Where a platform answers for the duration of the block: the running one, or one started and stopped here."""
    if _answers(url):
        yield url
        return
    if not may_start:
        raise SystemExit(f"No platform answers at {url}")
    log = settings.data_dir / LOG_FILE
    console.print(f"No platform runs at {url}: starting one for the demo (its log: {log}) ...")
    try:
        with Platform(settings.data_dir, environment={}) as platform:
            yield platform.url
    except StartError as error:
        raise SystemExit(str(error)) from None


def _answers(url: str) -> bool:
    # As the rest of the demo: a proxy of the environment would look for the platform on a machine of its own.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/ready", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, HTTPException):
        return False


if __name__ == "__main__":
    sys.exit(main())
