"""What AR Decode sends to the browser, from real hosts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from ar_guidance.tests.hosts.graphs import generate
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import images

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"


def watched(host: RunningHost, mode: str) -> tuple[np.ndarray, list[dict], list[dict]]:
    """A run with that viewer: its images, what was sent at its end, what was sent while it ran."""
    ended, live = [], []

    def listen(kind: str, data: dict) -> None:
        if kind == "executed" and data["node"] == "decode":
            ended.extend(data["output"].get("ar_viewer", []))
        if kind == "ar_guidance.step":
            live.append(data)

    prompt = generate(seed=31, batch_size=30)
    prompt["decode"]["inputs"]["viewer"] = mode
    assert host.run(prompt, on_event=listen).status == "success"
    return images(host, prompt), ended, live


def test_viewer(host: RunningHost) -> None:
    unseen, nothing, silence = watched(host, "off")
    assert not nothing and not silence
    for mode in ("fast", "decoded"):
        seen, (sent,), live = watched(host, mode)
        assert np.array_equal(seen, unseen)  # looking changes nothing
        assert live and all((data["node"], data["count"]) == ("decode", 7) for data in live)
        assert [len(image["frames"]) for image in sent["pictures"]] == [7] * 4
        assert sent["batch"] == len(seen) and sent["grids"][-1] == [8, 8]
        assert len(json.dumps(sent)) < 300_000


def test_without_previews_nothing_is_decoded_or_sent_on_the_way(host: RunningHost) -> None:
    script = Path(__file__).with_name("quiet_run.py")
    files = (BUNDLED / name for name in ("emoji_var.safetensors", "emoji_tokenizer.safetensors"))
    command = [sys.executable, script, host.process.host.folder, *files]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout.splitlines()[-1])
    assert counts["none"] == [1, 0, 0]  # the finished image
    scales = 7
    assert counts["auto"] == [1 + scales, 1 + scales, scales]
