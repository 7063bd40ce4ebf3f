"""Run one workflow on a booted host and leave its images in `demo/` (run inside `.venv` by `dev.py demo`)."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from .console import ROOT, Problem, report, say
from .host_client import HostClient, Json, Result
from .host_process import start_host
from .hosts import HOSTS, NEWEST

PICTURES = ROOT / "demo"


def main() -> int:
    """Boot, run, save."""
    try:
        name, prompt, workflow = first_workflow()
        say(f"starting ComfyUI {NEWEST.version}")
        running = start_host(NEWEST, HOSTS / "run" / "demo")
    except Problem as problem:
        return report(problem)
    try:
        client = HostClient(running.url)
        device = client.system_stats()["devices"][0]["name"]
        say(f"running workflows/{name}.json on {device}")
        result = client.run(prompt, workflow, on_event=ProgressPrinter(prompt), timeout=1800)
        if result.status != "success":
            raise Problem(result.error or f"the run ended as '{result.status}'")
        for path in save_pictures(client, result):
            say(f"  {path}")
    except Problem as problem:
        return report(problem)
    finally:
        running.stop()
    return 0


def first_workflow() -> tuple[str, Json, Json]:
    """The name of the first example, its API form and its UI form."""
    for path in sorted((ROOT / "workflows").glob("*.json")):
        twin = path.parent / "api" / path.name
        if not twin.is_file():
            raise Problem(f"{path.name} has no API-format twin in workflows/api/")
        return path.stem, json.loads(twin.read_text("utf-8")), json.loads(path.read_text("utf-8"))
    raise Problem("there is no workflow in workflows/")


def save_pictures(client: HostClient, result: Result) -> list[Path]:
    """Fetch the images of a finished run into `demo/`: the saved ones, or the previews where none was saved."""
    saved = [image for image in result.images if image["type"] == "output"]
    PICTURES.mkdir(exist_ok=True)
    paths = []
    for image in saved or result.images:
        path = PICTURES / Path(image["filename"]).name
        path.write_bytes(client.image(image))
        paths.append(path)
    if not paths:
        raise Problem("the workflow ran but put out no image")
    return paths


class ProgressPrinter:
    """Prints which node runs and how far it is: every step on a terminal, about ten lines elsewhere."""

    def __init__(self, prompt: Json) -> None:
        self.titles = {
            key: node.get("_meta", {}).get("title") or node["class_type"]
            for key, node in prompt.items()
        }
        self.shown: tuple[str, int] = ("", -1)
        self.started = time.monotonic()

    def __call__(self, kind: str, data: Json) -> None:
        """Handle one message of the host."""
        if kind != "progress":
            return
        value, total, node = int(data["value"]), int(data["max"]), data.get("node", "")
        share = value if sys.stdout.isatty() or total <= 12 else 10 * value // max(total, 1)
        if (node, share) != self.shown:
            self.shown = (node, share)
            say(
                f"  {self.titles.get(node, node)}: step {value}/{total}  ({time.monotonic() - self.started:.1f} s)"
            )


if __name__ == "__main__":
    sys.exit(main())
