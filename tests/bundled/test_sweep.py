"""The sweep goes on where it stopped; its document says what its data say."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from ar_guidance.guidance.ssg import SSG

ROOT = Path(__file__).resolve().parents[2]
DATA = json.loads((ROOT / "docs" / "data" / "sweep.json").read_text(encoding="utf-8"))
DOCUMENT = (ROOT / "docs" / "guidance-sweep.md").read_text(encoding="utf-8")


def script(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_sweep_makes_only_what_is_missing(tmp_path) -> None:
    arguments = ["--seeds", "1", "--pictures", "3", "--workers", "1", "--only", "SSG alone"]
    arguments += ["--output", str(tmp_path)]
    first = script("sweep", *arguments)
    assert first.returncode == 0, first.stderr
    made = sorted(tmp_path.glob("*.npz"))
    assert [path.stem for path in made] == [f"ssg-alone-{b}~0~3" for b in ("0.4", "0.8", "1.2")]
    with np.load(made[0]) as stored:
        assert stored["features"].shape == (3, 128) and stored["right"].shape == (3,)
        assert stored["evenness"].shape == stored["divergence"].shape == (3, 7)
    before = made[0].read_bytes()
    made[1].unlink()
    again = script("sweep", *arguments)
    assert again.stdout.splitlines() == [f"1/1 {made[1].stem}"]
    assert made[1].is_file() and made[0].read_bytes() == before


def test_tables_are_those_of_the_data() -> None:
    done = script("sweep_document", "--check")
    assert done.returncode == 0, f"run python -m benchmarks.sweep_document {done.stderr}"


def test_every_setting_has_at_least_five_seeds() -> None:
    assert len(DATA["scale"]) >= 40
    for row in (*DATA["scale"], *DATA["token"]):
        assert len(row["seeds"]) >= 5, row["method"]
        for name in ("frechet", "accuracy", "evenness", "divergence"):
            assert len(row[name]) == 4 * len(row["seeds"])


def test_images_of_the_document_exist() -> None:
    images = re.findall(r"!\[[^]]*\]\(([^)]+)\)", DOCUMENT)
    assert len(images) >= 5
    assert all((ROOT / "docs" / image).is_file() for image in images)


def test_the_default_beta_is_the_one_the_document_names() -> None:
    assert f"default β of {SSG().beta:g}" in DOCUMENT
    assert any(r["method"] == "CFG + SSG" and r["strength"] == SSG().beta for r in DATA["scale"])
