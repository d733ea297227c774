"""The command line against the whole platform: for people, for scripts, and what its exit says."""

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedded.platform import Platform
from llm_platform import Client, settings
from llm_platform.cli.app import run
from llm_platform.cli.exits import Exit
from llm_platform.schemas.answers import Approval

pytestmark = pytest.mark.e2e

Ran = Callable[..., str]
ROWS = "question,answer\nWhat is it?,A test.\nAnd this?,Another one.\n"


@pytest.fixture
def command(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ran:
    """Runs `llm-platform` as somebody who has logged in; what it wrote."""
    monkeypatch.setenv(settings.FILE_VARIABLE, str(tmp_path / "login.json"))
    monkeypatch.delenv(settings.KEY_VARIABLE, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    assert run(["login", platform.url, "--key", platform.admin_key]) == Exit.DONE
    capsys.readouterr()

    def ran(*arguments: str, exit_: Exit = Exit.DONE) -> str:
        code = run(list(arguments))
        told = capsys.readouterr()
        assert code == exit_, told.out + told.err
        return told.out if code == Exit.DONE else told.err

    return ran


def test_a_login_is_checked_and_kept_for_its_owner_alone(command: Ran, tmp_path: Path, platform: Platform) -> None:
    kept = tmp_path / "login.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert json.loads(kept.read_text()) == {"url": platform.url, "key": platform.admin_key}
    assert "admin" in command("whoami")
    assert "not valid" in command("login", platform.url, "--key", "llmp_wrong", exit_=Exit.NOT_ALLOWED)
    assert json.loads(kept.read_text())["key"] == platform.admin_key, "a wrong key replaces nothing"
    command("logout")
    assert not kept.exists()
    command("--url", platform.url, "jobs", "list", exit_=Exit.NOT_ALLOWED)


def test_a_kept_key_is_shown_to_its_own_platform_alone(command: Ran, platform: Platform) -> None:
    assert settings.find(platform.url + "/api/v1", None).key == platform.admin_key
    assert settings.find("http://elsewhere.example", None).key is None
    assert platform.admin_key not in repr(settings.find(None, None))


def test_a_data_set_goes_through_a_pipeline(command: Ran, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(ROWS)
    dataset = json.loads(command("--json", "upload", str(file)))
    assert dataset["rows"] == 2
    assert dataset["dataset_id"] in command("datasets", "list")
    assert "And this?" in command("datasets", "preview", dataset["dataset_id"])
    told = command("--json", "pipeline", "run", "--template", "validate", "--dataset", str(file)).splitlines()
    *records, end = [json.loads(line) for line in told]
    assert end["status"] == "completed"
    assert {record["level"] for record in records} <= {"INFO", "WARN", "METRIC"}
    assert end["job_id"] in command("jobs", "list")
    assert len(command("--json", "logs", end["job_id"], "--follow").splitlines()) == len(records)
    assert records[0]["message"] in command("logs", end["job_id"])
    assert "completed" in command("jobs", "show", end["job_id"])
    assert "freed_bytes" in command("jobs", "delete", end["job_id"])
    assert end["job_id"] not in command("jobs", "list")


def test_models_are_asked_and_what_it_cost_is_told(command: Ran) -> None:
    assert "simulated" in command("chat", "-m", "simulated-small", "Hello", "--max-tokens", "12")
    assert json.loads(command("--json", "chat", "-m", "simulated-small", "Hello", "--max-tokens", "5"))["content"]
    assert "model" in command("usage", "--by", "model")
    assert command("models", "list")


def test_actions_and_workflows_run(command: Ran, platform: Platform) -> None:
    assert "Summary" in command("actions", "list")
    assert "Simulated" in command("actions", "run", "1", "idea_seed=castles")
    with Client(platform.url, platform.admin_key) as client:
        port = next(each.port for each in client.instances.list() if each.name.startswith("Simulated"))
        block = client.blocks.create(title="Prompted", content="Name a {thing}.")
        payload = client.payloads.create(name="Prompted", llm_port=port, response_length=10, blocks=[block.id])
        workflow = client.workflows.create(name="Prompted", payloads=[payload.id])
    assert "simulated" in command("workflow", "run", str(workflow.id), "thing=river")
    last = json.loads(command("--json", "workflow", "run", str(workflow.id), "thing=lake").splitlines()[-1])
    assert last["type"] == "workflow_completed"


def test_a_run_that_waits_for_a_person_says_so_and_why_it_failed(command: Ran, platform: Platform) -> None:
    with Client(platform.url, platform.admin_key) as client, ThreadPoolExecutor(1) as person:
        block = client.blocks.create(title="Asked", content="Name a river.")
        payload = client.payloads.create(name="Asked", llm_port=1, blocks=[block.id], approval=True)
        workflow = client.workflows.create(name="Asked", payloads=[payload.id])

        def reject() -> int:
            asked = (told.data for told in client.events.watch(after=0) if isinstance(told.data, Approval))
            run_id = next(told.run_id for told in asked if told.payload_name == "Asked")
            client.runs.reject(run_id, reason="Not this one")
            return run_id

        rejected = person.submit(reject)
        told = command("workflow", "run", str(workflow.id), exit_=Exit.ENDED_BADLY)
        run_id = rejected.result(30)
    assert f"Asked waits for a person: `llm-platform workflow approve {run_id}`" in told
    assert "Not this one" in told
    assert "already" in command("workflow", "approve", str(run_id), exit_=Exit.REFUSED)


def test_keys_are_made_and_revoked(command: Ran) -> None:
    key = json.loads(command("--json", "keys", "create", "prompted", "--role", "viewer", "--usd", "2"))
    assert key["key"].startswith("llmp_")
    assert key["key_id"] in command("keys", "list")
    command("keys", "revoke", key["key_id"])
    assert key["key_id"] not in command("keys", "list")


@pytest.mark.parametrize(
    ("arguments", "exit_", "told"),
    [
        (("jobs", "show", "job_nobody"), Exit.NOT_FOUND, "NOT_FOUND"),
        (("download", "nobody", "/nowhere/at/all"), Exit.NOT_FOUND, "NOT_FOUND"),
        (("pipeline", "run"), Exit.USAGE, "template"),
        (("pipeline", "run", "--template", "finetune"), Exit.REFUSED, "400"),
        (("--url", "http://127.0.0.1:9", "whoami"), Exit.UNREACHABLE, "cannot be reached"),
        (("--key", "llmp_wrong", "whoami"), Exit.NOT_ALLOWED, "llm-platform login"),
        (("no-such-command",), Exit.USAGE, "no-such-command"),
    ],
)
def test_the_exit_says_what_became_of_it(command: Ran, arguments: tuple[str, ...], exit_: Exit, told: str) -> None:
    assert told in command(*arguments, exit_=exit_)


def test_the_key_and_the_message_may_come_from_pipes(
    command: Ran, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{platform.admin_key}\n"))
    assert json.loads(command("--json", "login", platform.url))["role"] == "admin"
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hello there"))
    assert "simulated" in command("chat", "-m", "simulated-small", "--max-tokens", "8")


def test_who_reads_only_the_beginning_breaks_nothing(command: Ran, platform: Platform) -> None:
    arguments = ["--url", platform.url, "--key", platform.admin_key, "actions", "list", "--json"]
    running = subprocess.Popen(
        [sys.executable, "-m", "llm_platform", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert running.stdout is not None
    running.stdout.close()
    assert running.stderr is not None
    assert (running.stderr.read(), running.wait()) == (b"", Exit.DONE)


def test_it_is_a_program_that_completes_itself(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path), "_LLM_PLATFORM_COMPLETE": "complete_bash"}
    words = {"COMP_WORDS": "llm-platform pip", "COMP_CWORD": "1"}
    program = Path(sys.executable).with_name("llm-platform")
    done = subprocess.run([program], env=environment | words, capture_output=True, text=True, check=False)
    assert "pipeline" in done.stdout
