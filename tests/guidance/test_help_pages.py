"""Help pages are made from the dataclasses and are up to date; every node has one."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_guidance_pages_are_up_to_date() -> None:
    script = ROOT / "tools" / "help_pages.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"run python tools/help_pages.py: {done.stdout}{done.stderr}"


def test_every_node_has_a_page_and_its_pictures_exist() -> None:
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "nodes").glob("*.py"))
    source += "".join(p.read_text(encoding="utf-8") for p in (ROOT / "guidance").glob("*.py"))
    ids = set(re.findall(r'node_id(?:: ClassVar\[str\] )?\s?=\s?"(AR\w+)"', source))
    assert len(ids) >= 8
    for node in ids:
        page = ROOT / "web" / "docs" / f"{node}.md"
        assert page.is_file(), f"{node} has no help page"
        pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
        assert pictures, f"{page.name} has no picture: tools/node_pictures.py takes one"
        for picture in pictures:
            assert (page.parent / picture).is_file(), f"{page.name}: {picture} is missing"
