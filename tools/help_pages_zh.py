"""The Chinese help pages of the guidance nodes, from the same dataclasses as the English ones.

Names, summaries and what an input does come from `locales/zh/nodeDefs.json`; the rest from `help_words_zh.json` beside this file.
"""

import json
from pathlib import Path
from typing import TypedDict

from ar_guidance.guidance.base import Guidance, settings
from ar_guidance.guidance.curve import Curve

from .notation import printed
from .pack import ROOT

IMAGES = ROOT / "web" / "docs" / "images"
TOKEN_WISE = ("softcfg",)  # methods whose image the token-wise model has drawn


class Words(TypedDict):
    """`page`: what every page says; `symbols`, `remarks`: of each node."""

    page: dict[str, str]
    symbols: dict[str, str]
    remarks: dict[str, str]


class NodeWords(TypedDict):
    """A node in `nodeDefs.json`."""

    display_name: str
    description: str
    inputs: dict[str, dict[str, str]]


WORDS: Words = json.loads(Path(__file__).with_name("help_words_zh.json").read_text("utf-8"))


def has_words(method: type[Guidance]) -> bool:
    """Whether somebody has written the Chinese words for a method."""
    return method.node_id in WORDS["symbols"]


def page_zh(method: type[Guidance]) -> str:
    """Markdown of one method's help page in Chinese."""
    said, node = WORDS["page"], node_words(method.node_id)
    source = said["source"].format(
        f"[{method.paper}](https://arxiv.org/abs/{method.paper.split()[-1]})"
    )
    lines = [f"# {node['display_name']}", "", node["description"], ""]
    lines += [f"`{printed(method.formula)}`", "", WORDS["symbols"][method.node_id] + source, ""]
    lines += picture(method, said)
    if method.node_id in WORDS["remarks"]:
        lines += [WORDS["remarks"][method.node_id], ""]
    lines += [said["head"], "|---|---|---|---|"]
    first = node["inputs"]["ar_sampling"]
    lines += [f"| {said['name'].format('ar_sampling', first['name'])} | | | {first['tooltip']} |"]
    lines += rows(method, node, said)
    return "\n".join(lines) + "\n"


def node_words(node_id: str) -> NodeWords:
    """What a node and its inputs are called."""
    text = (ROOT / "locales" / "zh" / "nodeDefs.json").read_text("utf-8")
    return json.loads(text)[node_id]


def picture(method: type[Guidance], said: dict[str, str]) -> list[str]:
    """The image of what a method does, or of its node."""
    if (IMAGES / f"{method.name}.png").is_file():
        model = said["bundled token-wise" if method.name in TOKEN_WISE else "bundled"]
        shown = f"![{said['picture']}](images/{method.name}.png)"
        return [shown, "", said["drawn"].format(model), ""]
    if (IMAGES / f"node-{method.node_id}.png").is_file():
        return [f"![{said['node']}](images/node-{method.node_id}.png)", ""]
    return []


def rows(method: type[Guidance], node: NodeWords, said: dict[str, str]) -> list[str]:
    """A line of the table for each setting."""
    lines = []
    for field in settings(method):
        shown, words = field.metadata["parameter"], node["inputs"][field.name]
        default, limits = str(field.default), said["comma"].join(shown.options or ())
        if isinstance(field.default, Curve):
            default, limits = said["straight"], said["hosts"]
        elif isinstance(field.default, bool):
            default = said["on" if field.default else "off"]
        elif field.default == ():
            default = ""
        elif not limits and shown.minimum is not None:
            limits = said["range"].format(f"{shown.minimum:g}", f"{shown.maximum:g}")
        name = said["name"].format(field.name, words["name"])
        lines.append(f"| {name} | {default} | {limits} | {words['tooltip']} |")
    return lines
