"""The command line without any platform: what is interrupted, what cannot be, and what data may do to a terminal."""

import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from llm_platform import Client, NotConfigured
from llm_platform.cli.app import run
from llm_platform.cli.exits import Exit
from llm_platform.cli.following import Losses
from llm_platform.cli.output import Output, console
from llm_platform.schemas.answers import LogRecord


def shown(monkeypatch: pytest.MonkeyPatch, *, width: int) -> Output:
    """What writes to a terminal of that width; its `out` knows what was written."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    made = console(stderr=True)
    made.width, made.record = width, True
    return Output(made, made, as_json=False)


def test_an_interrupted_command_says_so_by_its_exit_and_nothing_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "llm_platform", "--url", url, "--key", "llmp_x", "whoami"]
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        server.accept()
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=30)
    assert (running.returncode, "Traceback" in told) == (Exit.INTERRUPTED, False), told


@pytest.mark.parametrize("arguments", [["--version"], ["-h"], ["jobs", "-h"], ["jobs", "list", "--json", "-h"]])
def test_help_and_version_are_where_people_look_for_them(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == Exit.DONE
    assert capsys.readouterr().out


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://example.org", "http://", "not an address"])
def test_what_is_no_address_is_told_before_anything_is_asked(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotConfigured, match="no address"):
        Client(url, "llmp_x")
    assert run(["--url", url, "--key", "llmp_x", "whoami"]) == Exit.USAGE
    assert "no address" in capsys.readouterr().err


def test_what_can_be_no_key_is_told_and_white_space_around_one_is_none_of_it() -> None:
    with pytest.raises(NotConfigured, match="characters"):
        Client("http://127.0.0.1:9", "llmp_…")
    Client("http://127.0.0.1:9", " llmp_x\n").close()


def test_data_is_shown_as_it_is_and_does_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    output = shown(monkeypatch, width=200)
    output.table([{"id": "[red]a[/b]", "name": ":smile: \x1b[31m"}], "id", "name")
    output.text("\x1b]0;title\x07[bold]")
    told = output.out.export_text()
    assert "[red]a[/b]" in told
    assert ":smile:" in told
    assert "[bold]" in told
    assert "\x1b" not in told


def test_measurements_are_told_as_people_read_them(monkeypatch: pytest.MonkeyPatch) -> None:
    output = shown(monkeypatch, width=200)
    output.table([{"metrics": {"perplexity": 1012.3971784344678, "rows": 40}}], "metrics")
    assert "perplexity 1012, rows 40" in output.out.export_text()


def test_a_table_that_has_no_room_is_told_one_below_the_other_with_its_ids_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = {"job_id": "job_" + "x" * 20, "status": "completed", "created_at": datetime(2026, 11, 21, tzinfo=UTC)}
    wide, narrow = (shown(monkeypatch, width=width) for width in (80, 40))
    for output in (wide, narrow):
        output.table([row], *row)
    assert len(wide.out.export_text().splitlines()) == 2
    lines = narrow.out.export_text().splitlines()
    assert max(map(len, lines)) <= 40
    assert any(str(row["job_id"]) in line for line in lines)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_plot_of_the_loss_fits_the_terminal(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = Losses()
    for step in range(1, 300):
        fields: dict[str, Any] = {
            "step": step,
            "total_steps": 300,
            "loss": 3 / step,
            "eval_loss": 1.5,
            "tokens_per_second": 1234.5,
        }
        losses.take(LogRecord(run_id="r", timestamp=datetime.now(UTC), agent="a", level="METRIC", message="", **fields))
    output = shown(monkeypatch, width=width)
    output.out.print(losses.drawn(width))
    lines = output.out.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert "step 299 of 300" in "".join(lines[8:])


@pytest.mark.parametrize(("variables", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_are_left_out_where_they_are_not_wanted(
    variables: dict[str, str],
    is_coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in {"TERM": "xterm", "FORCE_COLOR": "1", **variables}.items():
        monkeypatch.setenv(name, value)
    console(stderr=False).print("told", style="red")
    assert ("\x1b[31m" in capsys.readouterr().out) is is_coloured
