"""The SDK for JavaScript in Node, against the whole platform: document E, every family, connections that are cut."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from gateway.domain.archive import archive
from llm_platform import Client
from tests.e2e.cutting import Cutter
from tests.e2e.sdk.conftest import Example
from tests.e2e.sdk.node import PACKAGE, Node, example, npm

pytestmark = pytest.mark.e2e

MOST_PACKED = 60_000
CONFIGURATION = {"strict": True, "noEmit": True, "target": "ES2022", "types": [], "skipLibCheck": False}


@pytest.fixture(scope="module")
def lines(node: Node) -> list[str]:
    """What the example writes in Node."""
    (node.folder / "example.mjs").write_text(example(node.platform.url))
    return node.run("example.mjs")


def test_the_example_of_document_e_runs_in_node_as_it_is_written(lines: list[str]) -> None:
    assert len(lines) > 2
    assert all(re.fullmatch(r"\[(INFO|WARN|ERROR|METRIC)\] .+", line) for line in lines)


def test_every_family_and_its_errors_in_node(node: Node, port: int) -> None:
    node.run("families.mjs", node.platform.url, str(port))


def test_sums_are_those_of_node_and_files_in_archives_are_held_to_them(node: Node) -> None:
    files = {"config.json": bytes(300), "weights.bin": b"the weights" * 7000, "empty": b""}
    folder = f"a-model-with-ä-name-{'long' * 30}"
    texts = [(f"{folder}/{name}", data.decode()) for name, data in files.items()]
    # Names that the old format has no room for, and those that it has.
    parts = [*archive([], *texts)[:-1], *archive([], ("SHA256SUMS", "as it is"))]
    (node.folder / "made.tar").write_bytes(b"".join(part for part in parts if isinstance(part, bytes)))
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    (node.folder / "sums.json").write_text(json.dumps(sums))
    node.run("sums.mjs")


def test_the_example_of_the_documentation_runs(node: Node) -> None:
    (node.folder / "tour.mjs").write_text((PACKAGE / "examples/tour.mjs").read_text())
    assert any("404 NOT_FOUND" in line for line in node.run("tour.mjs"))


def test_it_has_no_dependencies_and_packs_small(built: Path) -> None:
    described = json.loads((built / "package.json").read_text())
    assert "dependencies" not in described
    packed = json.loads(npm("pack", "--dry-run", "--json"))
    [package] = packed if isinstance(packed, list) else packed.values()
    assert package["size"] < MOST_PACKED
    assert {Path(file["path"]).suffix for file in package["files"]} <= {".js", ".ts", ".json", ".md"}


@pytest.mark.parametrize(("module", "resolution"), [("Node16", "Node16"), ("ESNext", "Bundler")])
def test_a_strict_project_finds_its_types(node: Node, module: str, resolution: str) -> None:
    options = CONFIGURATION | {"module": module, "moduleResolution": resolution}
    (node.folder / "package.json").write_text('{"type": "module"}')
    (node.folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["consumer.ts"]}))
    node.run(PACKAGE / "node_modules/typescript/bin/tsc")


# Connections that are cut in the middle, or never open


def test_what_is_long_in_coming_is_waited_for_and_files_are_whole_of_which_only_the_end_is_missing(node: Node) -> None:
    node.run("ends.mjs")


@pytest.mark.parametrize("flag", ["--no-experimental-websocket", "--experimental-websocket"])
def test_a_socket_that_does_not_open_is_given_up(flag: str, node: Node) -> None:
    node.run(flag, "handshakes.mjs")


def test_a_log_that_is_cut_comes_whole(node: Node, cutter: Cutter, sdk: Client, lines: list[str]) -> None:
    run_id = next(sdk.jobs.list()).run_id
    whole = [record.message for record in sdk.logs.history(run_id)]
    cutter.cut(down=(700, 900))
    assert node.heard(cutter.url, "logs", run_id) == whole
    assert cutter.cuts == 2


def test_events_that_are_cut_come_whole(node: Node, cutter: Cutter, sdk: Client, port: int) -> None:
    block = sdk.blocks.create(title="Cut", content="Name a sea.")
    payload = sdk.payloads.create(name="Cut", llm_port=port, response_length=40, blocks=[block.id])
    run_id = sdk.workflows.execute(sdk.workflows.create(name="Cut", payloads=[payload.id]).id).run_id
    whole = [event.id for event in sdk.runs.follow(run_id)]
    cutter.cut(down=(500,))
    assert node.heard(cutter.url, "events", str(run_id)) == whole
    assert cutter.cuts == 1


def test_a_chat_that_is_cut_is_an_error(node: Node, cutter: Cutter) -> None:
    cutter.cut(down=(3000,))
    heard = node.heard(cutter.url, "chat")
    assert len(heard) > 1
    assert heard[-1] == "broken"


@pytest.mark.parametrize("how", ["in one go", "watched"])
def test_an_upload_that_is_cut_is_kept_once(how: str, node: Node, cutter: Cutter, sdk: Client) -> None:
    cutter.cut(up=(300_000, 700_000))
    [(rows, is_rising, last)] = node.heard(cutter.url, "upload", how)
    assert (rows, is_rising, cutter.cuts) == (400_000, True, 2)
    [kept] = [dataset for dataset in sdk.datasets.list(limit=20) if dataset.filename == f"{how}.csv"]
    assert last == (kept.size_bytes if how == "watched" else None)


def test_a_download_that_is_cut_goes_on(
    node: Node, cutter: Cutter, sdk: Client, example: Example, tmp_path: Path
) -> None:
    model_id = sdk.jobs.get(f"job_{example.run_id}").model_id
    assert model_id is not None
    cutter.cut(down=(200_000, 100_000, 5_000))
    [(done, total)] = node.heard(cutter.url, "download", model_id)
    assert cutter.cuts == 3
    [whole] = sdk.models.download(model_id, tmp_path / "whole.tar")
    assert (node.folder / "download.tar").read_bytes() == whole.read_bytes()
    assert done == total == whole.stat().st_size
