"""The dashboard in a real browser: Chromium, driven by Playwright, where both are installed."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from journey_async import Graph, Journey, input_node
from tests.dashboard.conftest import GRAPH

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SHOTS = os.environ.get("JOURNEY_SCREENSHOTS")  # a folder: keep pictures for the docs

pytestmark = [
    pytest.mark.exhaustive,  # a browser takes seconds to start
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian: apt-get install chromium)"),
]


@pytest.fixture
async def page(site: str, request: pytest.FixtureRequest) -> AsyncIterator[Page]:
    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 900}})
    credentials: Any = {"username": "ops", "password": "secret"}
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(base_url=site, http_credentials=credentials, **options)
        page = await context.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        await browser.close()
    assert complaints == []


async def shot(page: Page, name: str) -> None:
    if SHOTS:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png")


async def opened(journey: Journey, page: Page) -> str:
    execution = await journey.start_execution(GRAPH, {"price": 10, "customer": "Mario"})
    await journey.get_value(execution, "total", wait_any=True)
    await page.goto(f"/executions/{execution.id}")
    await page.wait_for_selector("#live[data-following=yes]")
    return execution.id


async def test_a_page_follows_what_happens(journey: Journey, page: Page) -> None:
    execution_id = await opened(journey, page)
    state = page.locator("#node-warning .state")
    assert await state.inner_text() == "blocked"
    assert await page.locator(".diagram [data-node=warning]").get_attribute("class") == "blocked"
    await journey.set_value(execution_id, "price", 60)
    await page.locator("#node-warning .state.set").wait_for()
    assert await page.locator("#node-warning code").inner_text() == '"120 is much"'
    assert await page.locator(".diagram [data-node=warning]").get_attribute("class") == "set"
    await shot(page, "execution")


async def test_it_is_used_by_keyboard(journey: Journey, page: Page) -> None:
    await opened(journey, page)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.locator("#why-warning summary").focus()
    await page.keyboard.press("Enter")
    assert "total > 100" in await page.locator("#why-warning pre").inner_text()
    await page.locator(".diagram a[data-node=warning]").focus()
    await page.keyboard.press("Enter")
    assert page.url.endswith("#node-warning")


async def test_a_button_asks_and_then_does(journey: Journey, page: Page) -> None:
    execution_id = await opened(journey, page)
    page.once("dialog", lambda dialog: dialog.dismiss())
    await page.get_by_role("button", name="Archive").click()
    assert (await journey.load(execution_id)).archived_at is None
    page.once("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Archive").click()
    await page.get_by_role("button", name="Carry on").wait_for()
    assert (await journey.load(execution_id, include_archived=True)).archived_at is not None


@pytest.mark.parametrize(
    "page",
    [{"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"}],
    indirect=True,
)
async def test_it_is_readable_on_a_phone_in_the_dark(journey: Journey, page: Page) -> None:
    await opened(journey, page)
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not await page.evaluate(wide)
    paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(20, 24, 31)"
    await shot(page, "phone")
    for path in ("/", "/executions", f"/graph?name={GRAPH.name.replace('&', '%26')}&version=v1"):
        await page.goto(path)
        assert not await page.evaluate(wide), path


async def test_the_overview_and_the_funnel(journey: Journey, page: Page) -> None:
    for price in (1, 30, 60, 80):
        execution = await journey.start_execution(GRAPH, {"price": price})
        await journey.get_value(execution, "total", wait_any=True)
    await page.goto("/")
    await shot(page, "overview")
    await page.get_by_role("link", name="shop & <more>").click()
    await page.locator(".diagram svg").wait_for()
    assert await page.locator(".funnel tbody tr").count() >= 2
    await shot(page, "graph")
    await page.get_by_role("link", name="Executions", exact=True).click()
    await page.get_by_label("Condition").fill("total > 100")
    await page.get_by_role("button", name="Search").click()
    assert await page.locator("tbody tr").count() == 2
    await shot(page, "executions")


async def test_a_graph_is_chosen_and_searched(journey: Journey, page: Page) -> None:
    await journey.start_execution(Graph("other", "v1", [input_node("x")]))
    execution = await journey.start_execution(GRAPH, {"price": 10})
    await page.goto("/executions")
    await page.get_by_label("Graph").select_option(label=f"{GRAPH.name} v1")
    await page.get_by_role("button", name="Search").click()
    assert await page.locator("tbody th").all_inner_texts() == [execution.id]
    chosen = page.get_by_label("Graph").locator("option:checked")
    assert await chosen.inner_text() == f"{GRAPH.name} v1"
