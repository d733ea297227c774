"""The SDK for JavaScript in Node and Chromium, against the whole platform: document E's example, and every family."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, async_playwright

from embedded.platform import Platform
from llm_platform import Client
from tests.e2e.cutting import Cutter
from tests.gateway import chromium

pytestmark = pytest.mark.e2e

BIN = Path(sys.executable).parent
"""Node is here too, as a wheel."""
NODE_PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"
PACKAGE = Path(__file__).parents[2] / "libs/sdk-js"
SCRIPTS = Path(__file__).parent / "javascript"
MOST_PACKED = 60_000

# Document E, "JavaScript SDK (Example)".
EXAMPLE = """\
import { LLMPlatformClient } from '@llm-platform/sdk';

const client = new LLMPlatformClient({
  baseUrl: 'http://localhost:8000/api/v1'
});

// Upload dataset
const dataset = await client.datasets.upload(file);

// Submit job
const job = await client.jobs.create({
  pipelineConfig: { ... }
});

// Stream logs (SSE)
const eventSource = client.logs.stream(job.runId);
eventSource.onmessage = (event) => {
  const log = JSON.parse(event.data);
  console.log(`[${log.level}] ${log.message}`);
};
"""
PIPELINE = """{
    nodes: [
      { agentName: 'dataset', agentClass: 'DatasetAgent', config: { datasetId: dataset.datasetId } },
      { agentName: 'validation', agentClass: 'ValidationAgent', config: {} },
    ],
    edges: [{ fromAgent: 'dataset', toAgent: 'validation' }],
  }"""
ROWS = "question,answer\nWhat is it?,A test.\nAnd this?,Another one.\n"


def filled(url: str) -> str:
    """The example, its blanks filled in."""
    return EXAMPLE.replace("http://localhost:8000", url).replace("{ ... }", PIPELINE)


@pytest.fixture(scope="module")
def built() -> Path:
    """The package, built as its users would."""
    if not (PACKAGE / "node_modules/.package-lock.json").exists():
        npm("ci", "--no-audit", "--no-fund")
    npm("run", "build")
    return PACKAGE


def npm(*command: str) -> str:
    done = subprocess.run(
        [BIN / "npm", *command],
        cwd=PACKAGE,
        env={**os.environ, "PATH": NODE_PATH},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def workspace(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package is installed."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "node_modules/@llm-platform").mkdir(parents=True)
    (folder / "node_modules/@llm-platform/sdk").symlink_to(built)
    for script in SCRIPTS.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


@pytest.fixture(scope="module")
def sdk(platform: Platform) -> Iterator[Client]:
    with Client(platform.url, platform.admin_key) as client:
        yield client


@pytest.fixture(scope="module")
def cutter(platform: Platform) -> Iterator[Cutter]:
    with Cutter(platform.url).listening() as cutter:
        yield cutter


def node(workspace: Path, platform: Platform, *arguments: str) -> list[str]:
    """The lines that a script writes."""
    access = {"LLM_PLATFORM_URL": platform.url, "LLM_PLATFORM_API_KEY": platform.admin_key}
    done = subprocess.run(
        [BIN / "node", *arguments],
        cwd=workspace,
        env={**os.environ, "PATH": NODE_PATH, **access},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def lines(workspace: Path, platform: Platform) -> list[str]:
    """What the example writes in Node."""
    file = f"const file = new File([{json.dumps(ROWS)}], 'training_data.csv');\n"
    (workspace / "example.mjs").write_text(file + filled(platform.url))
    return node(workspace, platform, "example.mjs")


def test_the_example_of_document_e_runs_in_node_as_it_is_written(lines: list[str]) -> None:
    assert len(lines) > 2
    assert all(re.fullmatch(r"\[(INFO|WARN|ERROR|METRIC)\] .+", line) for line in lines)


def test_every_family_and_its_errors_in_node(workspace: Path, platform: Platform, sdk: Client) -> None:
    port = next(instance.port for instance in sdk.instances.list() if instance.name.startswith("Simulated"))
    node(workspace, platform, "families.mjs", platform.url, str(port))


def test_the_example_of_the_documentation_runs(workspace: Path, platform: Platform) -> None:
    (workspace / "tour.mjs").write_text((PACKAGE / "examples/tour.mjs").read_text())
    assert any("404 NOT_FOUND" in line for line in node(workspace, platform, "tour.mjs"))


def test_it_has_no_dependencies_and_packs_small(built: Path) -> None:
    described = json.loads((built / "package.json").read_text())
    assert "dependencies" not in described
    packed = json.loads(npm("pack", "--dry-run", "--json"))
    [package] = packed if isinstance(packed, list) else packed.values()
    assert package["size"] < MOST_PACKED
    assert {Path(file["path"]).suffix for file in package["files"]} <= {".js", ".ts", ".json", ".md"}


def test_a_log_that_is_cut_comes_whole_in_node(
    workspace: Path, platform: Platform, cutter: Cutter, sdk: Client, lines: list[str]
) -> None:
    run_id = next(sdk.jobs.list()).run_id
    whole = [record.message for record in sdk.logs.history(run_id)]
    cutter.cut(down=(700, 900))
    assert [json.loads(line) for line in node(workspace, platform, "cut.mjs", cutter.url, "logs", run_id)] == whole
    assert cutter.cuts == 2


def test_events_that_are_cut_come_whole_in_node(
    workspace: Path, platform: Platform, cutter: Cutter, sdk: Client
) -> None:
    port = next(instance.port for instance in sdk.instances.list() if instance.name.startswith("Simulated"))
    block = sdk.blocks.create(title="Cut", content="Name a sea.")
    payload = sdk.payloads.create(name="Cut", llm_port=port, response_length=40, blocks=[block.id])
    run_id = sdk.workflows.execute(sdk.workflows.create(name="Cut", payloads=[payload.id]).id).run_id
    whole = [event.id for event in sdk.runs.follow(run_id)]
    cutter.cut(down=(500,))
    heard = node(workspace, platform, "cut.mjs", cutter.url, "events", str(run_id))
    assert [int(line) for line in heard] == whole
    assert cutter.cuts == 1


def test_a_chat_that_is_cut_is_an_error_in_node(workspace: Path, platform: Platform, cutter: Cutter) -> None:
    cutter.cut(down=(3000,))
    heard = [json.loads(line) for line in node(workspace, platform, "cut.mjs", cutter.url, "chat", "")]
    assert len(heard) > 1
    assert heard[-1] == "broken"


# A browser

PAGE = """<!doctype html><meta charset="utf-8"><title>The SDK</title>
<script type="importmap">{"imports": {"@llm-platform/sdk": "/sdk/index.js"}}</script>
<script type="module" src="/sdk-example.js"></script>"""
MEDIA = {".js": "text/javascript", ".html": "text/html"}


@pytest.fixture
async def page(platform: Platform, built: Path) -> AsyncIterator[Page]:
    """A page of the platform's own address, on which somebody is logged in, and which has the package beside it."""
    file = f"const file = new File([{json.dumps(ROWS)}], 'training_data.csv');\n"
    example = file + filled(platform.url) + "eventSource.onend = () => console.log('the end');\n"

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(platform.url)
        if path == "/sdk.html":
            await route.fulfill(body=PAGE, content_type="text/html")
        elif path == "/sdk-example.js":
            await route.fulfill(body=example, content_type="text/javascript")
        else:
            await route.fulfill(path=built / "dist" / path.removeprefix("/sdk/"), content_type="text/javascript")

    async with async_playwright() as playwright:
        browser = await chromium.launch(playwright)
        opened = await browser.new_page()
        await opened.route(re.compile(re.escape(platform.url) + r"/sdk[./-].*"), serve)
        answer = await opened.request.post(
            platform.url + "/api/v1/login",
            data={"name": "admin", "password": (platform.data_dir / "admin.password").read_text().strip()},
        )
        assert answer.ok, await answer.text()
        yield opened
        await browser.close()


async def test_the_example_of_document_e_runs_in_chromium_as_it_is_written(page: Page, platform: Platform) -> None:
    async with page.expect_console_message(lambda message: message.text == "the end", timeout=60_000):
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        await page.goto(platform.url + "/sdk.html")
    logs = [line for line in told if line != "the end"]
    assert logs
    assert all(re.fullmatch(r"\[(INFO|WARN|ERROR|METRIC)\] .+", line) for line in logs), told


async def test_a_browser_hears_events_over_its_own_web_socket(page: Page, platform: Platform, sdk: Client) -> None:
    port = next(instance.port for instance in sdk.instances.list() if instance.name.startswith("Simulated"))
    block = sdk.blocks.create(title="Heard", content="Name a bay.")
    payload = sdk.payloads.create(name="Heard", llm_port=port, response_length=10, blocks=[block.id])
    run_id = sdk.workflows.execute(sdk.workflows.create(name="Heard", payloads=[payload.id]).id).run_id
    whole = [event.type for event in sdk.runs.follow(run_id)]
    # A page that no server has sent may not open WebSockets on this machine.
    await page.goto(platform.url + "/docs")
    heard = await page.evaluate(
        """async (runId) => {
            const { LLMPlatformClient } = await import('/sdk/index.js');
            const types = [];
            for await (const event of new LLMPlatformClient().events.watch({ runId, after: 0 })) {
              types.push(event.type);
              if (event.type.startsWith('workflow_')) return types;
            }
        }""",
        run_id,
    )
    assert heard == whole
