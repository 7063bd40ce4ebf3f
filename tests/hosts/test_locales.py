"""The English words are those of the schemas, and both hosts hand out every language."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tools.dev.hosts import NEWEST

ROOT = Path(__file__).resolve().parents[2]
LISTING = """
from pathlib import Path
from tools import locales, untranslated
untranslated.LOCALES = Path({folder!r}) / "locales"
untranslated.SCRIPTS = Path({folder!r}) / "web" / "js"
raise SystemExit(locales.main())
"""


@pytest.mark.host
def test_english_is_up_to_date() -> None:
    command = [sys.executable, "-m", "tools.locales", "--check", "--host", NEWEST.folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"run python -m tools.locales: {done.stdout}{done.stderr}"


def test_hosts_hand_out_every_language(host: RunningHost) -> None:
    sent = json.loads(host.client.request("/i18n"))
    info = host.object_info()
    for language in ("en", "zh", "zh-TW"):
        file = ROOT / "locales" / language / "nodeDefs.json"
        words = json.loads(file.read_text(encoding="utf-8"))
        assert words.items() <= sent[language]["nodeDefs"].items()
        ours = {
            node
            for node in info
            if node.startswith("AR") and info[node]["category"].startswith("AR Guidance")
        }
        # What another language lacks is shown in English: `python -m tools.locales` lists it.
        assert words.keys() == ours if language == "en" else words.keys() <= ours
        for node in words:  # an older host has no curve widget; every other input is there
            inputs = {
                name
                for kind in ("required", "optional")
                for name in info[node]["input"].get(kind, {})
            }
            said = words[node]["inputs"].keys()
            assert language != "en" or inputs <= said, node
            assert said - inputs <= {"curve", "control_after_generate"}


@pytest.mark.host
def test_what_is_still_english_is_listed_and_nothing_fails(tmp_path: Path) -> None:
    """As for a new node that nobody has translated."""
    for folder in ("locales", "web/js"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    words = tmp_path / "locales" / "zh" / "nodeDefs.json"
    nodes = json.loads(words.read_text(encoding="utf-8"))
    del nodes["ARSampler"], nodes["ARGrid"]["inputs"]["title"]
    words.write_text(json.dumps(nodes), encoding="utf-8")
    script = tmp_path / "web" / "js" / "option_words.mjs"
    text = script.read_text(encoding="utf-8")
    script.write_text(text.replace('  constant: "恒定",\n', ""), encoding="utf-8")
    command = [sys.executable, "-c", LISTING.format(folder=str(tmp_path)), "--check", "--host"]
    done = subprocess.run(
        [*command, NEWEST.folder], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    (listed,) = [line for line in done.stdout.splitlines() if line.startswith("zh: still English")]
    assert {"ARSampler", "ARGrid/inputs/title/name", "constant"} <= set(
        listed.split(": ", 2)[2].split("; ")
    )
