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
)
from ar_guidance.tools.dev.chromium import ADVICE, find_chromium
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
SECONDS = 120


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The installed Chromium; absent, the tests fail on CI and are skipped elsewhere."""
    path = find_chromium()
    if path is None or shutil.which(path) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(ADVICE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def comfy_page(host: RunningHost, chromium: Browser, tmp_path: Path) -> Iterator[ComfyPage]:  # noqa: F811
    """A page with the host's frontend open, past its first-run dialogs."""
    host.client.request(
        "/settings",
        {"Comfy.TutorialCompleted": True, "Comfy.Workflow.WarnBlueprintOverwrite": False},
    )
    context = chromium.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(SECONDS * 1000)
    page = ComfyPage(context.new_page(), tmp_path)
    page.open(host.url)
    yield page
    context.close()
