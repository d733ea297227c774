"""The page for trying prompts on a fresh platform: from the first password to an engine that stops."""

import asyncio

import pytest
from playwright.async_api import async_playwright, expect

from embedded.platform import Platform
from embedded.secrets import ADMIN_PASSWORD_FILE
from tests.gateway import chromium
from tests.llm_router.upstream import Upstream, hang_after_a_word

pytestmark = pytest.mark.e2e


async def test_the_first_user_logs_in_sees_answers_come_and_stops_an_engine(
    platform: Platform, engine: Upstream
) -> None:
    password = (platform.data_dir / ADMIN_PASSWORD_FILE).read_text().strip()
    model = engine.names()[0]
    async with async_playwright() as playwright, await chromium.launch(playwright) as browser:
        page = await browser.new_page(base_url=platform.url)
        await page.goto("/llm")
        await page.get_by_role("textbox", name="Name").fill("admin")
        await page.get_by_role("textbox", name="Password", exact=True).fill(password)
        await page.get_by_role("button", name="Log in").click()
        await page.get_by_label("Model").select_option(model)
        # The documents' example, which a new platform has.
        await page.get_by_label("Start from").select_option(index=1)
        for field in await page.locator("#fields textarea").all():
            await field.fill("three words")
        await page.get_by_role("button", name="Run").click()
        await expect(page.locator("#facts")).to_contain_text(model)
        await expect(page.locator("#output")).to_have_text("One two three")

        assert not engine.left.is_set()
        engine.faults.append(hang_after_a_word)
        await page.get_by_role("button", name="Run").click()
        await expect(page.locator("#output")).to_have_text("One")
        await page.get_by_role("button", name="Stop").click()
        await asyncio.wait_for(engine.left.wait(), 1)
        await expect(page.locator("#state")).to_contain_text("Stopped after")
