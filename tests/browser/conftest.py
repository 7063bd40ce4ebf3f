"""Tests in a real browser against real ComfyUI servers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.hosts.running import (  # noqa: F401
    RunningHost,
    host,
    pytest_collection_modifyitems,
    pytest_runtest_makereport,
    started,
)
from ar_guidance.tools.dev.chromium import ADVICE, find_chromium
from ar_guidance.tools.dev.hosts import BY_VERSION, NEWEST_FRONTEND
from playwright.sync_api import Browser, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SECONDS = int(os.environ.get("AR_BROWSER_SECONDS", 120))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The installed Chromium; absent, the tests fail on CI and are skipped elsewhere."""
    path = find_chromium()
    if path is None or shutil.which(path) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=list(FLAGS), timeout=SECONDS * 1000
        )
        yield browser
        browser.close()


SCREENS = {
    f"{wanted.frontend.target.removeprefix('frontend-')} {renderer}": (
        wanted,
        renderer == "nodes 2.0",
    )
    for wanted in (*BY_VERSION.values(), NEWEST_FRONTEND)
    for renderer in ("litegraph", "nodes 2.0")
}


@pytest.fixture
def comfy_page(host: RunningHost, chromium: Browser, tmp_path: Path) -> Iterator[ComfyPage]:  # noqa: F811
    """A page with the host's frontend open, past its first-run dialogs."""
    yield from opened(host, chromium, tmp_path)


@pytest.fixture(params=sorted(SCREENS))
def screen(
    request: pytest.FixtureRequest,
    chromium: Browser,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ComfyPage]:
    """A page of every frontend, and of the newest published one, with both of its renderers."""
    wanted, vue = SCREENS[request.param]
    running = started(wanted, request.config, tmp_path_factory)
    yield from opened(running, chromium, tmp_path, vue)
    running.client.request("/settings", {"Comfy.VueNodes.Enabled": False})


def opened(
    running: RunningHost, chromium: Browser, folder: Path, vue: bool = False
) -> Iterator[ComfyPage]:
    """A fresh page of that host, which has forgotten what ran before: panels recall it."""
    running.client.request("/history", {"clear": True})
    settings = {
        "Comfy.Locale": "en",
        "Comfy.TutorialCompleted": True,
        "Comfy.Workflow.WarnBlueprintOverwrite": False,
        "Comfy.VueNodes.Enabled": vue,
    }
    running.client.request("/settings", settings)
    context = chromium.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(SECONDS * 1000)
    try:
        page = ComfyPage(context.new_page(), folder)
        page.open(running.url)
        yield page
    finally:
        context.close()
