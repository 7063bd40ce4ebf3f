"""The English words are those of the schemas, and both hosts hand out every language."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tools.dev.hosts import NEWEST

ROOT = Path(__file__).resolve().parents[2]


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
        assert words.keys() == ours
        for node in ours:  # an older host has no curve widget; every other input is there
            inputs = {
                name
                for kind in ("required", "optional")
                for name in info[node]["input"].get(kind, {})
            }
            assert inputs - words[node]["inputs"].keys() == set(), node
            assert words[node]["inputs"].keys() - inputs <= {"curve", "control_after_generate"}


SHOWN_AS_THEY_ARE = {"label", "size", "checkpoint", "tokenizer", "file", "precision", "colours"}


def test_every_choice_has_chinese_words(host: RunningHost) -> None:
    """Lists of files, classes, sizes and proper names are shown as they are."""
    words = (ROOT / "web" / "js" / "option_words.mjs").read_text(encoding="utf-8")
    lacking = set()
    for node, about in host.object_info().items():
        if not node.startswith("AR") or not about["category"].startswith("AR Guidance"):
            continue
        for kind in ("required", "optional"):
            for name, (choices, *more) in about["input"].get(kind, {}).items():
                given = (
                    choices
                    if isinstance(choices, list)
                    else (more[0] if more else {}).get("options", [])
                )
                if name not in SHOWN_AS_THEY_ARE and "direction" not in str(given):
                    lacking |= {
                        str(choice)
                        for choice in given
                        if f'"{choice}": "' not in words and f'  {choice}: "' not in words
                    }
    assert {name for name in lacking if "." not in name} <= {"softmax", "bundled"}, sorted(lacking)
