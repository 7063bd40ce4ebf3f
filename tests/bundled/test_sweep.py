"""The sweep's document says what its data say."""

import json
import re
import subprocess
import sys
from pathlib import Path

from ar_guidance.guidance.ssg import SSG

ROOT = Path(__file__).resolve().parents[2]
DATA = json.loads((ROOT / "docs" / "data" / "sweep.json").read_text(encoding="utf-8"))
DOCUMENT = (ROOT / "docs" / "guidance-sweep.md").read_text(encoding="utf-8")


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_tables_are_those_of_the_data() -> None:
    done = script("sweep_document", "--check")
    assert done.returncode == 0, f"run python -m benchmarks.sweep_document {done.stderr}"


def test_images_of_the_document_exist() -> None:
    images = re.findall(r"!\[[^]]*\]\(([^)]+)\)", DOCUMENT)
    assert len(images) >= 5
    assert all((ROOT / "docs" / image).is_file() for image in images)


def test_the_default_beta_is_the_one_the_document_names() -> None:
    assert f"default β of {SSG().beta:g}" in DOCUMENT
    assert any(r["method"] == "CFG + SSG" and r["strength"] == SSG().beta for r in DATA["scale"])
