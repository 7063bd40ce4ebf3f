"""What AR Decode sends to the browser, from real hosts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from ar_guidance.tests.hosts.graphs import cfg, generate, node
from ar_guidance.tests.hosts.running import RunningHost, run_inside
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
        strip = sent.pop("strip")
        assert len(strip) == len(seen) and len(json.dumps(strip)) < 4_000 * len(seen)
        assert len(json.dumps(sent)) < 300_000


def test_without_previews_nothing_is_decoded_or_sent_on_the_way(host: RunningHost) -> None:
    files = (BUNDLED / name for name in ("emoji_var.safetensors", "emoji_tokenizer.safetensors"))
    printed = run_inside(host.process.host, "quiet_run", *files)
    counts = json.loads(printed.splitlines()[-1])
    assert counts["none"] == [1, 0, 0]  # the finished image
    scales = 7
    assert counts["auto"] == [1 + scales, 1 + scales, scales]


def test_bundled_runs_are_as_the_browser_foresees_them(host: RunningHost) -> None:
    foreseen = json.loads((BUNDLED.parent / "web" / "bundled.json").read_text())
    choices = host.object_info("ARLoadCheckpoint")["ARLoadCheckpoint"]["input"]["required"]
    listed = choices["checkpoint"][0]
    listed = choices["checkpoint"][1]["options"] if isinstance(listed, str) else listed
    assert {name for name in listed if name.startswith("bundled")} == set(foreseen)
    for name, run in foreseen.items():
        sent: list[dict] = []

        def listen(kind: str, data: dict, sent: list[dict] = sent) -> None:
            if kind == "executed":
                sent.extend(data["output"].get("ar_schedule", []))

        prompt = generate(name)
        assert host.run(prompt, on_event=listen).status == "success"
        assert sent == [run]


def test_a_list_of_another_length_is_noted(host: RunningHost) -> None:
    notes: list[str] = []

    def listen(kind: str, data: dict) -> None:
        if kind == "executed":
            notes.extend(data["output"].get("ar_notes", []))

    prompt = generate()
    prompt["cfg"] = cfg(["sampler", 0], 4.0, schedule="list", values="1, 2, 5")
    assert host.run(prompt, on_event=listen).status == "success"
    assert notes == ["cfg: the list of 3 numbers was fitted to this model's 7 steps"]


def test_which_seeds_made_the_images(host: RunningHost) -> None:
    largest = 2**64 - 1
    prompt = generate(seed=largest, batch_size=3)
    rest = {"reroll": "2", "reroll_seed": 9, "only_rerolled": False}
    prompt["seeds"] = node("ARSeeds", ar_sampling=["sampler", 0], seeds="", **rest)
    prompt["cfg"]["inputs"]["ar_sampling"] = ["seeds", 0]
    sent = host.run(prompt).outputs["decode"]["ar_seeds"]
    assert sent == [{"sampler": str(largest), "reroll": "9"}]
    prompt["seeds"]["inputs"] |= {"seeds": "4, 5", "reroll": ""}
    assert host.run(prompt).outputs["decode"]["ar_seeds"] == [{"sampler": None, "reroll": None}]


def test_what_was_chosen_is_sent(host: RunningHost) -> None:
    sent = host.run(generate(classes="{heart|heart}\n// none")).outputs
    assert sent["condition"]["ar_text"] == ["heart"]
    assert "condition" not in host.run(generate(classes="heart")).outputs
