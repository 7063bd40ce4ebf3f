"""Errors and notes in Chinese: the templates are what nodes say, and a message is found by its template."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ar_guidance.tests.test_house import PRODUCT

ROOT = Path(__file__).resolve().parents[2]
JS = ROOT / "web" / "js"
TEMPLATES = re.findall(
    r'^  ("(?:[^"\\]|\\.)*"): ("(?:[^"\\]|\\.)*"),$', (JS / "messages.mjs").read_text("utf-8"), re.M
)
APP = "export const app = { extensionManager: { setting: { get: () => process.env.LOCALE } } };"
SCRIPT = """
const { sayMessage } = await import(process.argv[1]);
console.log(JSON.stringify(JSON.parse(process.argv[2]).map(sayMessage)));"""
SAID = {
    "guidance 1 of 2 (cfg): depth 9 must be less than the model's 6 blocks": (
        "第 1 个引导，共 2 个（cfg）：深度 9 必须小于模型的 6 个块"
    ),
    "cfg: the list of 3 numbers was fitted to this model's 7 steps": (
        "cfg：3 个数的列表已按此模型的 7 步换算"
    ),
    "'hearrt' is not a class of bundled: emoji. Did you mean: heart, art? Numbers from 0 to 198 work too": (
        "“hearrt”不是 bundled: emoji 的类别。您是否要：heart, art？也可以填 0 到 198 的编号"
    ),
    "Evenness and divergence meet at scale 8.07 (between 8.00 and 8.40; 9 in 10 resamplings of 24 images: 7.60 to 8.50).": (
        "均匀度与差异度在强度 8.07 处相等（8.00 与 8.40 之间；24 张图像重新抽取，十次中有九次在 7.60 到 8.50 之间）。"
    ),
    "something nobody has translated: yet": "something nobody has translated: yet",
}


def literals() -> Iterator[str]:
    """What the product's texts are made of; what is put into them is left out."""
    for folder in PRODUCT:
        for file in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_templates_are_what_nodes_say() -> None:
    said = "\n".join(literals())
    assert len(TEMPLATES) > 40
    for english, chinese in TEMPLATES:
        text, other = json.loads(english), json.loads(chinese)
        stale = [part for part in re.split(r"\{\d+\}", text) if len(part) > 7 and part not in said]
        assert not stale, f"no node says {stale}: change the template in web/js/messages.mjs"
        assert sorted(re.findall(r"\{\d+\}", other)) == sorted(re.findall(r"\{\d+\}", text)), text


@pytest.mark.parametrize("locale", ["zh", "zh-TW", "en"])
def test_messages_are_said_in_the_users_language(tmp_path: Path, locale: str) -> None:
    driver = pytest.importorskip("playwright._impl._driver")
    served = tmp_path / "extensions" / "pack" / "js"
    shutil.copytree(JS, served)
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "app.js").write_text(APP)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    command = [driver.compute_driver_executable()[0], "--input-type=module", "-e", SCRIPT]
    given = [(served / "messages.mjs").as_uri(), json.dumps(list(SAID))]
    done = subprocess.run(
        [*command, *given],
        **{"capture_output": True, "encoding": "utf-8", "timeout": 60},
        env={"LOCALE": locale},
    )
    said = json.loads(done.stdout or f'"{done.stderr}"')
    if locale == "zh":
        assert said == list(SAID.values())
    elif locale == "en":
        assert said == list(SAID)
    else:
        assert said[0] != list(SAID)[0] and said[0] != list(SAID.values())[0]
