"""Take the images of shared workflows that a ComfyUI cannot run yet: python -m tools.missing_images [NAME ...].

Starts the newest tested ComfyUI with the newest tested frontend, once without the pack and once with it, and writes
docs/images/missing-*.png: what is seen when a workflow is opened whose nodes or whose model files are not there.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from .dev.chromium import find_chromium
from .dev.host_client import HostClient
from .dev.host_process import PACK_FOLDER, free_port, prepare_base, start_at
from .dev.hosts import NEWEST_FRONTEND
from .pack import ROOT
from .screenshots import PLAIN, TEXT_FROM, WINDOW

if TYPE_CHECKING:
    from ar_guidance.tests.browser.comfy_page import ComfyPage

NEEDS_FILES = "07 LlamaGen with SoftCFG"
SECONDS = 6  # until all is drawn


@contextmanager
def page_of(with_pack: bool) -> Iterator["ComfyPage"]:
    """A browser's page on a ComfyUI of its own."""
    from ar_guidance.tests.browser.comfy_page import ComfyPage
    from ar_guidance.tests.browser.conftest import FLAGS
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        prepare_base(Path(name))
        if not with_pack:
            (Path(name) / "custom_nodes" / PACK_FOLDER).unlink()
        host = start_at(free_port(), NEWEST_FRONTEND, Path(name), ())
        try:
            settings = dict.fromkeys(PLAIN, False) | {"Comfy.TutorialCompleted": True, TEXT_FROM: 0}
            HostClient(host.url).request("/settings", settings)
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
            page = ComfyPage(browser.new_page(viewport=WINDOW), Path(name))
            page.page.set_default_timeout(120_000)
            page.open(host.url)
            yield page
            browser.close()
        finally:
            host.stop()


def keep(page: "ComfyPage", name: str) -> None:
    """Save all that is seen once the notice's details are open."""
    page.page.get_by_role("button", name="View details").click()
    page.page.wait_for_timeout(1000 * SECONDS)
    path = ROOT / "docs" / "images" / f"missing-{name}.png"
    shot = Image.open(page.screenshot(name)).convert("RGB")
    shot.quantize(128, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1000} kB")


def without_the_pack() -> None:
    """A workflow whose nodes are not there."""
    from ar_guidance.tests.hosts.examples import example

    with page_of(with_pack=False) as page:
        page.load(example("01 First image - no download")[1])
        keep(page, "pack")


def without_the_files() -> None:
    """A workflow whose model files are not there."""
    from ar_guidance.tests.hosts.examples import example

    with page_of(with_pack=True) as page:
        page.load(example(NEEDS_FILES)[1])
        keep(page, "files")


IMAGES: dict[str, Callable[[], None]] = {"pack": without_the_pack, "files": without_the_files}


def main(names: Sequence[str]) -> None:
    """Take those named, or all."""
    for name in names or IMAGES:
        IMAGES[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
