"""A ComfyUI page in headless Chromium, driven through the frontend's own `app` object."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, Response

# The frontend begins with a graph of its own, or the last one: what is loaded before that would be replaced by it.
READY = """() => window.app?.graph?.nodes?.length && window.app?.extensionManager?.setting
  && !document.querySelector('.p-progressspinner')"""
LOCAL = "http://127.0.0.1"
RUN_SECONDS = 300  # a run on a slow, busy machine, at most
LISTEN = """() => {
  window.arEnded = null;
  for (const kind of ['execution_success', 'execution_error', 'execution_interrupted'])
    window.comfyAPI.api.api.addEventListener(kind, (event) => { window.arEnded ??= { kind, detail: event.detail } });
}"""


class ComfyPage:
    """One open page."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page = page
        self.folder = folder
        self.queued: dict[str, Any] = {}  # what was last sent to the host, in API format
        self.problems: list[str] = []  # errors in the console and uncaught exceptions
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self.on_console)

    def on_console(self, message: ConsoleMessage) -> None:
        """Keep what the page logs as an error, but for pages of the internet that the frontend cannot reach."""
        url = message.location.get("url", "")
        if message.type == "error" and (not url or url.startswith(LOCAL)):
            self.problems.append(f"{message.text} ({url})")

    def open(self, url: str) -> None:
        """Go to a host and wait until its graph can be used."""
        self.page.goto(url)
        self.page.wait_for_function(READY)

    def reload(self) -> None:
        """Load the page again, as F5 does."""
        self.page.reload()
        self.page.wait_for_function(READY)

    def load(self, workflow: dict[str, Any]) -> None:
        """Show a workflow in UI format, all of it in view."""
        self.page.evaluate(
            "async (workflow) => { await window.app.loadGraphData(workflow) }", workflow
        )
        self.page.evaluate(
            "() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView')"
        )

    def prompt(self) -> dict[str, Any]:
        """The shown graph in API format, as the frontend would queue it."""
        return self.page.evaluate("async () => (await window.app.graphToPrompt()).output")

    def queue(self) -> dict[str, Any]:
        """Run the shown graph to its end: `kind` (execution_success, execution_error, ..., refused) and `detail`."""
        self.page.evaluate(LISTEN)
        with self.page.expect_response(is_prompt_reply) as reply:
            self.page.evaluate("() => { window.app.queuePrompt(0) }")
        self.queued = reply.value.request.post_data_json["prompt"]
        if not reply.value.ok:
            return {"kind": "refused", "detail": reply.value.json()}
        ended = "() => window.arEnded"
        return self.page.wait_for_function(ended, timeout=RUN_SECONDS * 1000).json_value()

    def images_of(self, node: int) -> list[str]:
        """The addresses of the images that a node shows."""
        self.page.wait_for_function(
            "(id) => window.app.graph.getNodeById(id)?.imgs?.every((i) => i.complete)", arg=node
        )
        return self.page.evaluate(
            "(id) => window.app.graph.getNodeById(id).imgs.map((image) => image.src)", node
        )

    def screenshot(self, name: str) -> Path:
        """Save what is seen as `name`.png, in the folder AR_SCREENSHOTS or else in the test's own."""
        folder = Path(os.environ.get("AR_SCREENSHOTS", self.folder))
        folder.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(500)  # let the canvas draw
        path = folder / f"{name}.png"
        self.page.screenshot(path=path)
        return path


def is_prompt_reply(response: Response) -> bool:
    """Whether this is the host's answer to a queued prompt."""
    return response.request.method == "POST" and response.url.endswith("/prompt")
