"""Styles: named settings are set on the chain's widgets, kept in a file of the user's, and a bad file is told of in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ar_guidance.tests.browser.comfy_page import ComfyPage
from ar_guidance.tests.browser.test_panels import STEM, inputs, own_errors, signatures
from ar_guidance.tests.hosts.examples import example
from ar_guidance.tests.hosts.running import RunningHost
from playwright.sync_api import Locator

pytestmark = pytest.mark.browser
FILE = "ar_guidance_styles.json"
MODES = """() => Object.fromEntries(window.app.graph.nodes.map((node) => [node.comfyClass, node.mode]))"""
BYPASSED = 4


def opened_dialog(screen: ComfyPage) -> Locator:
    """The dialog, with what it lists."""
    screen.page.locator(".arg-viewer").get_by_text("styles…").first.click()
    dialog = screen.page.locator(".arg-styles")
    dialog.locator(".arg-style", has_text="crisp").wait_for()
    return dialog


def said(screen: ComfyPage) -> str:
    """What the node's panel says once a style is used."""
    screen.page.locator(".arg-styles").wait_for(state="detached")
    return screen.page.locator(".arg-viewer > .arg-status").inner_text()


def test_a_style_sets_the_chain(screen: ComfyPage) -> None:
    own = own_errors(screen)
    screen.load(example(STEM)[1])
    opened_dialog(screen).locator(".arg-style", has_text="soft").click()
    assert said(screen) == "Style 'soft' is set."
    assert inputs(screen, "ARGuidanceCFG")["scale"] == 3
    sampler = inputs(screen, "ARSampler")
    assert (sampler["top_p"], sampler["top_k"], sampler["smooth"]) == (0.95, 0, "on")
    opened_dialog(screen).locator(".arg-style", has_text="IGG d30").click()
    assert said(screen) == "Style 'paper: IGG d30' is set."
    assert inputs(screen, "ARGuidanceIGG")["scale"] == 2.85  # added and wired
    assert screen.page.evaluate(MODES)["ARGuidanceCFG"] == BYPASSED
    assert screen.queue()["kind"] == "execution_success"
    opened_dialog(screen).locator(".arg-style", has_text="crisp").click()
    assert said(screen) == "Style 'crisp' is set."
    modes = screen.page.evaluate(MODES)
    assert (modes["ARGuidanceCFG"], modes["ARGuidanceIGG"]) == (0, BYPASSED)
    assert signatures(screen.problems) <= own


def edited_by_hand(file: Path) -> None:
    """Add to the user's file what this version does not know, and what is broken."""
    kept = json.loads(file.read_text("utf-8"))
    assert [style["name"] for style in kept["styles"]] == ["mine"]
    assert kept["styles"][0]["guidance"][0]["node"] == "ARGuidanceCFG"
    kept |= {"author": "someone"}
    kept["styles"].append(
        {
            "name": "odd",
            "more": 1,
            "sampler": {"top_k": -99, "mood": "sad"},
            "guidance": [{"node": "ARGuidanceNone"}],
        }
    )
    kept["styles"].append({"nom": "?"})
    file.write_text(json.dumps(kept), "utf-8")


def share_one(dialog: Locator, folder: Path) -> None:
    """Add the styles of another file, of which the name is taken."""
    shared = folder / "shared.json"
    shared.write_text(
        json.dumps({"format": "ar-guidance styles", "version": 1, "styles": [{"name": "mine"}]})
    )
    dialog.locator("input[type=file]").set_input_files(shared)
    dialog.locator(".arg-style", has_text="mine (2)").wait_for()


def test_own_styles_are_kept_in_a_file(
    comfy_page: ComfyPage, host: RunningHost, tmp_path: Path
) -> None:
    own = own_errors(comfy_page)
    file = host.process.base / "user" / "default" / FILE
    file.unlink(missing_ok=True)
    comfy_page.load(example(STEM)[1])
    dialog = opened_dialog(comfy_page)
    dialog.get_by_text("save these settings").click()
    dialog.get_by_text("Give the style a name.").wait_for()
    dialog.get_by_role("textbox").fill("mine")
    dialog.get_by_text("save these settings").click()
    dialog.locator(".arg-style", has_text="mine").wait_for()
    comfy_page.screenshot(f"styles-{host.version}")
    edited_by_hand(file)
    share_one(dialog, tmp_path)
    again = json.loads(file.read_text("utf-8"))  # what is not known here is kept
    assert (
        again["author"] == "someone"
        and again["styles"][1]["more"] == 1
        and again["styles"][2] == {"nom": "?"}
    )
    assert [style.get("name") for style in again["styles"]] == ["mine", "odd", None, "mine (2)"]
    dialog.get_by_text("1 entries of").or_(dialog.get_by_text("delete").first).first.wait_for()
    dialog.locator(".arg-style", has_text="odd").click()
    told = said(comfy_page)
    assert "'top_k' cannot be -99" in told and "no guidance called ARGuidanceNone" in told
    assert inputs(comfy_page, "ARSampler")["top_k"] == -1
    dialog = opened_dialog(comfy_page)
    dialog.get_by_text("delete").first.click()
    dialog.locator(".arg-style", has_text="mine").nth(1).wait_for(state="detached")
    assert signatures(comfy_page.problems) <= own
    file.unlink()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{ broken", "is not valid JSON"),
        ("[1, 2]", "holds no styles"),
        ('{"format": "ar-guidance styles", "version": 2, "styles": []}', "newer version"),
    ],
)
def test_a_bad_file_is_told_of_and_left_alone(
    comfy_page: ComfyPage, host: RunningHost, text: str, sentence: str
) -> None:
    own = own_errors(comfy_page)
    file = host.process.base / "user" / "default" / FILE
    file.write_text(text, "utf-8")
    comfy_page.load(example(STEM)[1])
    dialog = opened_dialog(comfy_page)
    dialog.get_by_text(sentence).wait_for()
    dialog.get_by_role("textbox").fill("mine")
    dialog.get_by_text("save these settings").click()
    dialog.get_by_text(sentence).wait_for()
    assert file.read_text("utf-8") == text
    assert signatures(comfy_page.problems) <= own
    file.unlink()
