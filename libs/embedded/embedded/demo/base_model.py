"""The small base model of the demo, made once from the prose of Python's standard library.

    python -m embedded.demo.base_model MODEL_DIR WORK_DIR PROGRAM ARGUMENTS...

makes it if need be and then becomes the program: an engine that serves it.
"""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from embedded.demo import questions

BASE_MODEL = "docs-llama"


def make_base_model(out: Path, work: Path, prose: Callable[[], list[str]], *, quiet: bool = False) -> None:
    """Writes the model into `out` unless it is there. Another process that is making it is waited for.

    Raises subprocess.CalledProcessError with what the trainer said when it fails; unless `quiet`, that was shown.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with (out.parent / f".{out.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if out.exists():
            return
        work.mkdir(parents=True, exist_ok=True)
        text = work / "prose.txt"
        text.write_text("\n\n".join(prose()), encoding="utf-8")
        command = [sys.executable, "-m", "trainer.tiny_model", "--text", str(text), "--out", str(out)]
        subprocess.run(command, check=True, capture_output=quiet, text=True)


def main() -> None:
    out, work, *program = sys.argv[1:]
    if not Path(out).exists():
        _say("making_base_model", model=Path(out).name)
        started = time.monotonic()
        try:
            make_base_model(Path(out), Path(work), lambda: questions.read_library().prose, quiet=True)
        except subprocess.CalledProcessError as error:
            sys.exit(f"The base model could not be made: {error.stderr}")
        _say("base_model_made", model=Path(out).name, seconds=round(time.monotonic() - started))
    os.execv(program[0], program)  # noqa: S606 - that is its purpose


def _say(event: str, **details: object) -> None:
    print(json.dumps({"event": event, **details}), flush=True)


if __name__ == "__main__":
    main()
