"""The pages, in a real browser: what a person sees and does there."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright, expect

from contracts import prompts, router
from contracts.base import RefusalCode, Refused
from contracts.prompts import Prompt, PromptPage
from contracts.router import ChatDelta, ChatReply, ServedModels
from contracts.router import TestPrompt as PromptToTest
from gateway.domain.trial import TrialDelta, trial_result
from gateway.edge.streams import STILL_HERE
from tests.gateway import chromium
from tests.gateway.conftest import Gateway
from tests.gateway.peers import MOMENT, REPLY, Peers, served
from tests.gateway.test_people import PASSWORD, person

PATIENCE = 5_000
"""Milliseconds that a page may take for one thing."""

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 740}
IDEAS = Prompt(
    id=7,
    name="Ideas",
    content="Three ideas about {topic} for {audience}:",
    variables=["topic", "audience"],
    version=1,
    created_at=MOMENT,
    updated_at=MOMENT,
)


class Engine:
    """Answers tests of prompts piece by piece, as the test lets it, and knows whether it was stopped."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.go_on = asyncio.Semaphore(0)
        self.stopped = asyncio.Event()

    async def answer(self, _: PromptToTest) -> AsyncIterator[ChatDelta | ChatReply]:
        try:
            for piece in self.pieces:
                await self.go_on.acquire()
                yield ChatDelta(content=piece)
            await self.go_on.acquire()
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped.set()
            raise
        whole = {"content": "".join(self.pieces), "cost": Decimal("0.00021000"), "time_to_first_token": 0.05}
        yield REPLY.model_copy(update=whole)


@dataclass
class Visits:
    """Opens pages as people of their own would: each has cookies of its own, and none may ask another host."""

    browser: Browser
    gateway: Gateway
    contexts: list[BrowserContext]
    problems: list[str]

    async def open(self, path: str = "/llm/", *, viewport: Any = DESKTOP, dark: bool = False) -> Page:
        context = await self.browser.new_context(
            base_url=self.gateway.url, viewport=viewport, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda said: self._heed(said.text))
        page.on("request", self._check_host)
        await page.goto(path)
        return page

    def _heed(self, said: str) -> None:
        # Chromium reports what the policy of the page forbids, and every refused request, which tests make.
        if "Content Security Policy" in said or "Trusted" in said:
            self.problems.append(said)

    def _check_host(self, request: Request) -> None:
        if not request.url.startswith((self.gateway.url, "data:")):
            self.problems.append(f"asked {request.url}")

    async def log_in(self, name: str, **options: Any) -> Page:
        page = await self.open(**options)
        await log_in(page, name)
        await expect(page.locator("#bench")).to_be_visible()
        return page


async def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    await page.get_by_role("textbox", name="Name").fill(name)
    await page.get_by_role("textbox", name="Password", exact=True).fill(password)
    await page.get_by_role("button", name="Log in").click()


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright, await chromium.launch(playwright) as launched:
        yield launched


@pytest.fixture
async def visits(browser: Browser, gateway: Gateway, peers: Peers) -> AsyncIterator[Visits]:
    peers.answer(router.LIST_SERVED_MODELS, ServedModels(models=[served("small"), served("big", number=2)]))
    peers.answer(prompts.LIST_PROMPTS, PromptPage(prompts=[IDEAS], more=False))
    visits = Visits(browser, gateway, [], [])
    yield visits
    for context in visits.contexts:
        await context.close()
    assert visits.problems == []


def test_a_machine_without_a_browser_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(chromium.VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(chromium, "_FETCHED", tmp_path / "chromium")
    with pytest.raises(chromium.NoBrowser, match="Install Chromium or Chrome"):
        chromium.find()


async def test_who_logs_in_wrongly_is_told_and_who_logs_in_rightly_is_in(visits: Visits, gateway: Gateway) -> None:
    user = await person(gateway)
    page = await visits.open()
    await expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    await log_in(page, user["name"], "not the password")
    await expect(page.get_by_role("alert").filter(has_text="wrong")).to_be_visible()
    await expect(page.locator("#bench")).to_be_hidden()
    await log_in(page, user["name"])
    await expect(page.locator("#who")).to_have_text(user["name"])
    await page.reload()
    await expect(page.locator("#bench")).to_be_visible()


async def test_an_answer_comes_as_it_is_made_or_is_waited_for(visits: Visits, gateway: Gateway, peers: Peers) -> None:
    engine = Engine("Hello", " there", ", <b>friend</b>")
    peers.stream(router.TEST_STREAM, engine.answer)
    page = await visits.log_in((await person(gateway))["name"])
    await page.get_by_role("textbox", name="Prompt").fill("Greet me")
    await page.get_by_label("Input").fill("I am Ada")
    await page.get_by_label("Model").select_option("small")
    await page.get_by_label("Temperature").fill("0.2")
    await page.get_by_label("Max tokens").fill("64")
    await page.get_by_label("Max tokens").press("Control+Enter")
    output = page.locator("#output")
    for shown in ("Hello", "Hello there", "Hello there, <b>friend</b>"):
        engine.go_on.release()
        await expect(output).to_have_text(shown)
        await expect(page.locator("#facts")).to_be_hidden()
    engine.go_on.release()
    await expect(page.locator("#state")).to_have_text("Finished")
    await expect(page.locator("#facts")).to_contain_text("100 ms")
    await expect(page.locator("#facts")).to_contain_text("3 in, 2 out")
    await expect(page.locator("#facts")).to_contain_text("$0.00021")
    asked = peers.asked(router.TEST_STREAM)
    assert (asked.prompt, asked.input, asked.model_name) == ("Greet me", "I am Ada", "small")
    assert (asked.temperature, asked.max_tokens) == (0.2, 64)
    delta, result = TrialDelta(content="At last").model_dump_json(), trial_result(REPLY).model_dump_json()
    events = f"event: delta\ndata: {delta}\n\n", f"event: result\ndata: {result}\n\n"
    body = "".join(STILL_HERE.decode() + event for event in events)
    await page.route("**/api/v1/llm/test", lambda route: route.fulfill(content_type="text/event-stream", body=body))
    await page.get_by_role("button", name="Run").click()
    await expect(output).to_have_text("At last")
    await expect(page.locator("#state")).to_have_text("Finished")


async def test_stop_stops_the_engine_and_keeps_what_there_was(visits: Visits, gateway: Gateway, peers: Peers) -> None:
    engine = Engine("Half", " and more")
    peers.stream(router.TEST_STREAM, engine.answer)
    page = await visits.log_in((await person(gateway))["name"])
    await page.get_by_role("textbox", name="Prompt").fill("Go on for ever")
    await page.get_by_role("button", name="Run").click()
    engine.go_on.release()
    await expect(page.locator("#output")).to_have_text("Half")
    await page.get_by_role("button", name="Stop").click()
    await asyncio.wait_for(engine.stopped.wait(), 2)
    await expect(page.locator("#state")).to_contain_text("Stopped after")
    await expect(page.locator("#output")).to_have_text("Half")
    await expect(page.locator("#failure")).to_be_hidden()
    await expect(page.get_by_role("button", name="Run")).to_be_enabled()


async def test_a_prompt_is_chosen_and_its_variables_are_filled_in(
    visits: Visits, gateway: Gateway, peers: Peers
) -> None:
    engine = Engine("One")
    peers.stream(router.TEST_STREAM, engine.answer)
    page = await visits.log_in((await person(gateway))["name"])
    await page.get_by_label("Start from").select_option("Ideas")
    await page.get_by_role("button", name="Run").click()
    await expect(page.locator("#notice")).to_have_text("Fill in: topic, audience.")
    await page.get_by_label("topic").fill("{braces} and $& dollars")
    await page.get_by_label("audience").fill("children")
    await page.get_by_role("button", name="Run").click()
    engine.go_on.release()
    await expect(page.locator("#output")).to_have_text("One")
    asked = peers.asked(router.TEST_STREAM)
    assert (asked.prompt, asked.input) == ("Three ideas about {braces} and $& dollars for children:", "")


@pytest.mark.parametrize("after_a_piece", [False, True])
async def test_an_error_is_shown_with_its_type_and_what_to_do(
    after_a_piece: bool, visits: Visits, gateway: Gateway, peers: Peers
) -> None:
    async def fail(_: PromptToTest) -> AsyncIterator[ChatDelta | ChatReply]:
        if after_a_piece:
            yield ChatDelta(content="Hel")
        raise Refused(RefusalCode.ENGINE_UNAVAILABLE, "No engine serves 'small' now")

    peers.stream(router.TEST_STREAM, fail)
    page = await visits.log_in((await person(gateway))["name"])
    await page.get_by_role("textbox", name="Prompt").fill("Greet me")
    await page.get_by_role("button", name="Run").click()
    failure = page.locator("#failure")
    await expect(failure).to_contain_text("engine_unavailable")
    await expect(failure).to_contain_text("No engine serves 'small' now")
    await expect(failure.get_by_role("listitem").first).to_have_text("Check that the engine of this model runs.")
    await expect(failure).to_contain_text("This may pass by itself.")
    await expect(page.locator("#state")).to_have_text("Failed")
    await expect(page.locator("#output")).to_have_text("Hel" if after_a_piece else "")
    await expect(page.locator("#output")).to_be_visible(visible=after_a_piece)


async def test_logging_out_everywhere_ends_the_session_of_another_browser(visits: Visits, gateway: Gateway) -> None:
    name = (await person(gateway))["name"]
    here, there = await visits.log_in(name), await visits.log_in(name)
    await here.locator("#account summary").click()
    await here.get_by_role("button", name="Log out everywhere").click()
    await expect(here.get_by_role("button", name="Log in")).to_be_visible()
    await there.get_by_role("textbox", name="Prompt").fill("Greet me")
    await there.get_by_role("button", name="Run").click()
    await expect(there.get_by_role("alert").filter(has_text="The session is over")).to_be_visible()
    await expect(there.locator("#bench")).to_be_hidden()
    await log_in(there, name)
    await expect(there.get_by_role("textbox", name="Prompt")).to_have_value("Greet me")


async def test_whoever_logs_in_next_sees_nothing_of_who_was_here(visits: Visits, gateway: Gateway) -> None:
    page = await visits.log_in((await person(gateway))["name"])
    await page.get_by_role("textbox", name="Prompt").fill("A secret")
    await page.locator("#account summary").click()
    await page.get_by_role("button", name="Log out", exact=True).click()
    await log_in(page, (await person(gateway))["name"])
    await expect(page.get_by_role("textbox", name="Prompt")).to_have_value("")

    await page.get_by_role("textbox", name="Prompt").fill("Another secret")
    await page.context.clear_cookies()
    await page.get_by_role("button", name="Run").click()
    await log_in(page, (await person(gateway))["name"])
    await expect(page.get_by_role("textbox", name="Prompt")).to_have_value("")


async def test_a_password_is_changed(visits: Visits, gateway: Gateway) -> None:
    name = (await person(gateway))["name"]
    page = await visits.log_in(name)
    await page.locator("#account summary").click()
    await page.get_by_role("button", name="Change password").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Password now").fill("not this")
    await dialog.get_by_label("New password").fill("yet another password")
    await dialog.get_by_role("button", name="Change").click()
    await expect(dialog.get_by_role("alert")).to_have_text("The password now is not your password.")
    await dialog.get_by_label("Password now").fill(PASSWORD)
    await dialog.get_by_role("button", name="Change").click()
    await expect(dialog).to_be_hidden()
    await page.locator("#account summary").click()
    await page.get_by_role("button", name="Log out", exact=True).click()
    await log_in(page, name, "yet another password")
    await expect(page.locator("#bench")).to_be_visible()


async def test_a_request_of_the_browser_without_the_token_changes_nothing(visits: Visits, gateway: Gateway) -> None:
    page = await visits.log_in((await person(gateway))["name"])
    ask = """async (headers) => {
        const body = JSON.stringify({ prompt: "a" });
        const response = await fetch("/api/v1/llm/test", { method: "POST", body, headers });
        return [response.status, (await response.json()).message, document.cookie];
    }"""
    status, message, cookies = await page.evaluate(ask, {"Content-Type": "application/json"})
    assert (status, cookies) == (403, "")
    assert "X-CSRF-Token" in message


async def test_a_viewer_may_look_and_not_run(visits: Visits, gateway: Gateway) -> None:
    page = await visits.log_in((await person(gateway, role="viewer"))["name"])
    await expect(page.get_by_role("button", name="Run")).to_be_disabled()
    await expect(page.locator("#notice")).to_contain_text("needs the role member")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_pages_fit_their_screens(viewport: dict[str, int], visits: Visits, gateway: Gateway) -> None:
    page = await visits.log_in((await person(gateway))["name"], viewport=viewport, dark=viewport is PHONE)
    docs = await visits.open("/docs", viewport=viewport)
    await expect(docs.get_by_role("heading", name="LLM Platform")).to_be_visible()
    for shown in (page, docs):
        assert await shown.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


async def test_the_api_s_description_is_rendered_and_tried_in_the_session(
    visits: Visits, gateway: Gateway, peers: Peers
) -> None:
    peers.answer(router.TEST_PROMPT, router.TestResult(result="Hi", model="m", duration=0.5))
    page = await visits.log_in((await person(gateway))["name"])
    await page.get_by_role("link", name="API").click()
    await page.get_by_label("Search").fill("/api/v1/llm/test")
    await page.locator("#post_api_v1_llm_test summary").first.click()
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".try pre")).to_contain_text('"result": "Hi"')

    await page.get_by_label("Search").fill("pause a job")
    await page.locator("#post_api_v1_jobs_job_id_pause summary").first.click()
    await page.get_by_role("button", name="Send").click()
    await expect(page.locator(".try .bad")).to_have_text("Fill in: job_id.")
    await expect(page.get_by_label("job_id")).to_be_focused()
