"""`llm-platform`, or `python -m llm_platform`."""

import sys


def main() -> None:
    try:
        from llm_platform.cli.app import run  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        if error.name not in ("typer", "rich", "click"):
            raise
        sys.exit('The command line is an extra: pip install "llm-platform[cli]"')
    sys.exit(run())


if __name__ == "__main__":
    main()
