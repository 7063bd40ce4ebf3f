"""Help pages are made from the dataclasses and are up to date; every node has one."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ar_guidance.tools.help_inspection import SHEETS
from ar_guidance.tools.notation import printed
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("maker", ["tools.help_pages", "tools.method_table"])
def test_what_is_made_of_the_methods_is_up_to_date(maker: str) -> None:
    command = [sys.executable, "-m", maker, "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run python3 dev.py docs: {done.stdout}{done.stderr}"


def test_every_node_has_a_page_and_its_images_exist() -> None:
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "nodes").rglob("*.py"))
    source += "".join(p.read_text(encoding="utf-8") for p in (ROOT / "guidance").glob("*.py"))
    ids = set(re.findall(r'node_id(?:: ClassVar\[str\] )?\s?=\s?"(AR\w+)"', source))
    assert len(ids) >= 8
    for node in ids:
        page = ROOT / "web" / "docs" / f"{node}.md"
        assert page.is_file(), f"{node} has no help page"
        images = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
        assert images, f"{page.name} has no image: tools/node_pictures.py takes one"
        for image in images:
            assert (page.parent / image).is_file(), f"{page.name}: {image} is missing"


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("ARGuidanceMap", "map"),
        ("ARGuidanceMetrics", "metrics"),
        ("ARGuidanceSpectrum", "spectrum"),
        ("ARFindScale", "find-scale"),
    ],
)
def test_inspecting_nodes_show_what_they_give(node: str, name: str) -> None:
    page, path = ROOT / "web" / "docs" / f"{node}.md", f"images/{name}.png"
    assert f"]({path})" in page.read_text(encoding="utf-8")
    assert (page.parent / path).stat().st_size < 40_000
    assert name in SHEETS


@pytest.mark.parametrize("name", ["map", "metrics", "spectrum"])  # a search takes minutes
def test_the_images_are_those_the_bundled_model_gives(name: str) -> None:
    shown = Image.open(ROOT / "web" / "docs" / "images" / f"{name}.png").convert("RGB")
    made = SHEETS[name]().convert("RGB")
    assert made.size == shown.size
    # Rounding may differ between machines; another image would differ over whole areas.
    difference = np.abs(np.asarray(made, float) - np.asarray(shown, float)).max(-1)
    assert (difference > 8).mean() < 0.01


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("u + gamma (c - u)", "u + γ (c − u)"),
        ("gamma' A G, `gamma` - D' at a model's end", "γ′ A G, `gamma` − D′ at a model's end"),
        ("1 - p / Sigma p, G^T / sqrt V", "1 − p / Σp, Gᵀ / √V"),
        ("u~ <- D_perp + eta D_par", "ũ ← D⊥ + η D∥"),
        ("beta-like theta, wellness, γ already", "β-like theta, wellness, γ already"),
    ],
)
def test_formulas_are_printed(written: str, expected: str) -> None:
    assert printed(written) == expected
