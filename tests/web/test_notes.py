"""Notes of the shipped workflows in Chinese: every one has its words, and what is saved stays English."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = [
    json.loads(path.read_text("utf-8")) for path in sorted((ROOT / "workflows").glob("*.json"))
]
SHIPPED = [
    node["widgets_values"][0]
    for workflow in WORKFLOWS
    for node in workflow["nodes"]
    if node["type"] in ("MarkdownNote", "Note")
]
PROPER_NAMES = {"CFG", "SoftCFG"}
TITLES = {
    part["title"]
    for workflow in WORKFLOWS
    for part in (*workflow["nodes"], *workflow["groups"])
    if part.get("title") and part["title"] not in PROPER_NAMES
}
WORDS = {
    code: json.loads((ROOT / "web" / "notes" / f"{code}.json").read_text("utf-8"))
    for code in ("zh", "zh-TW")
}
APP = "export const app = { extensionManager: { setting: { get: () => process.env.LOCALE } } };"
# Of every note what is shown, what is saved, and what is saved once a word has been added to what is shown.
SCRIPT = """
import { readFileSync } from "node:fs";
globalThis.fetch = async (url) => ({ ok: true, json: async () => JSON.parse(readFileSync(url, "utf-8")) });
const { translateNote } = await import(process.argv[1]);
const told = [];
for (const text of JSON.parse(process.argv[2])) {
  const node = { type: "MarkdownNote", widgets: [{ value: text }] };
  await translateNote(node);
  const saved = () => {
    const made = { widgets_values: [node.widgets[0].value] };
    node.onSerialize?.(made);
    return made.widgets_values[0];
  };
  const [shown, first] = [node.widgets[0].value, saved()];
  node.widgets[0].value += " more";
  told.push([shown, first, saved()]);
}
const titled = (title) => ({ title, serialize() { return { title: this.title } } });
for (const title of JSON.parse(process.argv[3])) {
  const note = process.argv[4], graph = { groups: [titled(title)], nodes: [titled(title)] };
  await translateNote({ type: "MarkdownNote", widgets: [{ value: note }], graph });
  const parts = [...graph.groups, ...graph.nodes];
  told.push([...parts.map(({ title }) => title), ...parts.map((part) => part.serialize().title)]);
  parts[0].title += " more";
  told.at(-1).push(parts[0].serialize().title);
}
console.log(JSON.stringify(told));"""


def told(
    folder: Path, locale: str, texts: list[str], titles: Sequence[str] = (), note: str = SHIPPED[0]
) -> list[list[str]]:
    driver = pytest.importorskip("playwright._impl._driver")
    served = folder / "extensions" / "pack"
    shutil.copytree(ROOT / "web" / "js", served / "js")
    shutil.copytree(ROOT / "web" / "notes", served / "notes")
    (folder / "scripts").mkdir()
    (folder / "scripts" / "app.js").write_text(APP)
    (folder / "package.json").write_text('{"type": "module"}')
    command = [driver.compute_driver_executable()[0], "--input-type=module", "-e", SCRIPT]
    given = [
        (served / "js" / "notes.mjs").as_uri(),
        json.dumps(texts),
        json.dumps(list(titles)),
        note,
    ]
    done = subprocess.run(
        [*command, *given],
        **{"capture_output": True, "encoding": "utf-8", "timeout": 60, "check": True},
        env={"LOCALE": locale},
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_every_shipped_note_is_shown_in_chinese_and_saved_in_english(
    tmp_path: Path, locale: str
) -> None:
    assert len(SHIPPED) > 30
    for text, (shown, saved, edited) in zip(SHIPPED, told(tmp_path, locale, SHIPPED), strict=True):
        assert re.search("[\u4e00-\u9fff]", shown), f"web/notes/zh.json lacks a line of: {text}"
        assert (saved, edited) == (text, shown + " more")


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_titles_around_a_shipped_note_are_shown_in_chinese_and_saved_in_english(
    tmp_path: Path, locale: str
) -> None:
    titles = sorted(TITLES)
    assert len(titles) > 40
    for title, (group, node, *saved, edited) in zip(
        titles, told(tmp_path, locale, [], titles), strict=True
    ):
        assert re.search("[\u4e00-\u9fff]", group), f"web/notes/zh.json lacks the title: {title}"
        assert (node, saved, edited) == (group, [title, title], group + " more")


def test_titles_around_a_note_of_the_users_stay(tmp_path: Path) -> None:
    assert told(tmp_path, "zh", [], ["Images"], "Mine")[0][:2] == ["Images", "Images"]


def test_a_note_of_the_users_stays(tmp_path: Path) -> None:
    own = [SHIPPED[0] + " And mine.", SHIPPED[0] + "\n\nMine.", "Mine", "", "constructor"]
    assert [shown for shown, *_ in told(tmp_path, "zh", own)] == own


def test_english_stays(tmp_path: Path) -> None:
    assert [shown for shown, *_ in told(tmp_path, "en", SHIPPED)] == SHIPPED


@pytest.mark.parametrize("locale", ["zh", "zh-TW"])
def test_files_addresses_and_numbers_are_kept(locale: str) -> None:
    lines = {line for text in SHIPPED for line in text.split("\n")}
    assert set(WORDS[locale]) <= lines | TITLES, "no shipped note has these lines any more"
    for english, said in WORDS[locale].items():
        assert facts(said) == facts(english), english


def facts(line: str) -> list[list[str]]:
    """Names in code, addresses, numbers, and what is set off."""
    rest = re.sub(r"`[^`]+`", "", line)
    patterns = (r"\w+\.co[m]?/[\w./-]*\w", r"\d+(?:\.\d+)?", r"\*\*")
    return [sorted(re.findall(r"`[^`]+`", line)), *(sorted(re.findall(p, rest)) for p in patterns)]
