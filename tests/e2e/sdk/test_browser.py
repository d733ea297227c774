"""The SDK for JavaScript in headless Chromium, against the whole platform."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Route, async_playwright

from embedded.platform import Platform
from llm_platform import Client
from tests.e2e.sdk.node import example
from tests.gateway import chromium

pytestmark = pytest.mark.e2e

PAGE = """<!doctype html><meta charset="utf-8"><title>The SDK</title>
<script type="importmap">{"imports": {"@llm-platform/sdk": "/sdk/index.js"}}</script>
<script type="module" src="/sdk-example.js"></script>"""
INSECURE = "delete Crypto.prototype.randomUUID; delete Crypto.prototype.subtle;"
"""What a page lacks whose platform has no certificate."""


@pytest.fixture
async def page(platform: Platform, built: Path) -> AsyncIterator[Page]:
    """A page of the platform's own address, on which somebody is logged in, and which has the package beside it."""
    script = example(platform.url) + "eventSource.onend = () => console.log('the end');\n"

    async def serve(route: Route) -> None:
        path = route.request.url.removeprefix(platform.url)
        if path == "/sdk.html":
            await route.fulfill(body=PAGE, content_type="text/html")
        elif path == "/sdk-example.js":
            await route.fulfill(body=script, content_type="text/javascript")
        else:
            await route.fulfill(path=built / "dist" / path.removeprefix("/sdk/"), content_type="text/javascript")

    async with async_playwright() as playwright:
        browser = await chromium.launch(playwright)
        opened = await browser.new_page()
        await opened.add_init_script(INSECURE)
        await opened.route(re.compile(re.escape(platform.url) + r"/sdk[./-].*"), serve)
        answer = await opened.request.post(
            platform.url + "/api/v1/login",
            data={"name": "admin", "password": (platform.data_dir / "admin.password").read_text().strip()},
        )
        assert answer.ok, await answer.text()
        yield opened
        await browser.close()


async def test_the_example_of_document_e_runs_as_it_is_written(page: Page, platform: Platform) -> None:
    async with page.expect_console_message(lambda message: message.text == "the end", timeout=60_000):
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        await page.goto(platform.url + "/sdk.html")
    logs = [line for line in told if line != "the end"]
    assert logs
    assert all(re.fullmatch(r"\[(INFO|WARN|ERROR|METRIC)\] .+", line) for line in logs), told


async def test_chats_stream_and_can_be_given_up_uploads_tell_how_far_they_are_and_jobs_are_steered(
    page: Page, platform: Platform
) -> None:
    await page.goto(platform.url + "/docs")
    seen = await page.evaluate(
        """async () => {
            const { LLMPlatformClient } = await import('/sdk/index.js');
            const client = new LLMPlatformClient();
            const asked = { model: 'simulated-small', messages: [{ role: 'user', content: 'Hello' }], maxTokens: 400 };
            const leave = new AbortController();
            const seen = { chunks: 0 };
            try {
              for await (const _ of client.withOptions({ signal: leave.signal }).chat.stream(asked)) {
                if (++seen.chunks === 3) leave.abort();
              }
            } catch (error) { seen.ended = error.name; }

            const rows = new File(['question,answer\\n', 'what,that\\n'.repeat(300000)], 'watched in a browser.csv');
            const through = [];
            const dataset = await client.datasets.upload(rows, { onProgress: (done) => through.push(done) });
            seen.isWhole = through.at(-1) === rows.size && through.length > 1;

            const agent = { agentClass: 'DatasetAgent', config: { datasetId: dataset.datasetId } };
            const nodes = Array.from({ length: 150 }, (_, n) => ({ ...agent, agentName: `a${n}` }));
            const edges = nodes.slice(1).map(({ agentName }, n) => ({ fromAgent: `a${n}`, toAgent: agentName }));
            const pipelineConfig = { nodes, edges, globalConfig: { useCache: false } };
            const { jobId } = await client.jobs.create({ pipelineConfig });
            const watching = client.jobs.watch(jobId);
            let last;
            for await (const message of watching) {
              if (!last) seen.cancelled = (await watching.cancel()).status;
              last = message;
            }
            seen.last = last.data.status;
            return seen;
        }"""
    )
    assert seen == {"chunks": 3, "ended": "AbortError", "isWhole": True, "cancelled": "cancelled", "last": "cancelled"}


async def test_events_are_heard_over_its_own_web_socket(page: Page, platform: Platform, sdk: Client, port: int) -> None:
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
