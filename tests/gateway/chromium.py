"""A Chromium for the tests of pages: this machine's, or else Debian's, unpacked beside the other tools of the tests.

It is fetched once, into the virtual environment, and installed nowhere: that takes apt and no root. A machine that has
no Chromium and cannot fetch one fails these tests, and is told what to do.
"""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, Playwright

VARIABLE = "CHROMIUM"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_OPTIONS = ("--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update")
_FETCHED = Path(sys.prefix) / "chromium"
_PROGRAM = "usr/lib/chromium/chromium"
_ADVICE = (
    "The tests of pages need a browser, and there is none. Install Chromium or Chrome (on Debian `apt-get install"
    f" chromium`), or name the program of one in {VARIABLE}."
)
_PATIENCE = 300


class NoBrowser(Exception):
    """There is no browser and none can be fetched; the message says what to do."""


@dataclass(frozen=True)
class Chromium:
    """The program, and what its environment needs besides ours."""

    program: str
    environment: dict[str, str] = field(default_factory=dict)


def find() -> Chromium:
    """The browser to test with. Raises `NoBrowser`."""
    named = os.environ.get(VARIABLE)
    if named is not None:
        if shutil.which(named) is None:
            raise NoBrowser(f"{VARIABLE} names {named}, which is not a program")
        return Chromium(named)
    for name in _NAMES:
        if (program := shutil.which(name)) is not None:
            return Chromium(program)
    if not (_FETCHED / _PROGRAM).exists():
        _fetch(_FETCHED)
    return _unpacked(_FETCHED)


async def launch(playwright: Playwright) -> Browser:
    """Starts the browser, without a screen and without any talk of its own to hosts elsewhere. Raises `NoBrowser`."""
    found = find()
    return await playwright.chromium.launch(
        executable_path=found.program,
        env={**os.environ, **found.environment},
        chromium_sandbox=False,
        args=[*_OPTIONS],
    )


def _unpacked(root: Path) -> Chromium:
    libraries = root / f"usr/lib/{platform.machine()}-linux-gnu"
    environment = {"LD_LIBRARY_PATH": f"{libraries}:{libraries / 'pulseaudio'}"}
    if (root / "etc/fonts/fonts.conf").exists():
        environment["FONTCONFIG_SYSROOT"] = str(root)
    return Chromium(str(root / _PROGRAM), environment)


def _fetch(root: Path) -> None:
    """Unpacks Debian's Chromium, and the packages it needs that this machine lacks, into `root`."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NoBrowser(_ADVICE)
    work = root.with_name(f"{root.name}.{os.getpid()}")
    try:
        for directory in ("lists/partial", "archives/partial", "root"):
            (work / directory).mkdir(parents=True)
        # Lists and archives of our own: the machine's may be empty, or not ours to write.
        options = ("-o", f"Dir::State::Lists={work / 'lists'}", "-o", f"Dir::Cache={work}", "-o", "APT::Sandbox::User=")
        _run("apt-get", *options, "--quiet", "update")
        plan = _run("apt-get", *options, "--simulate", "--no-install-recommends", "install", "chromium")
        missing = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
        _run("apt-get", *options, "--quiet", "download", *missing, directory=work / "archives")
        for package in sorted((work / "archives").glob("*.deb")):
            _run("dpkg-deb", "--extract", str(package), str(work / "root"))
        (work / "root").rename(root)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(*command: str, directory: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoBrowser(f"{_ADVICE}\n{' '.join(command)} took too long") from error
    if done.returncode != 0:
        raise NoBrowser(f"{_ADVICE}\n{' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")
    return done.stdout
