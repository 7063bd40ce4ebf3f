#!/usr/bin/env python3
"""Lay out every workflow alike: a colour for each role, titled groups that can be read from afar, nothing on top of another.

    python -m tools.workflow_look [--check]

Columns and the order within them are the file's own: nodes that begin at the same x stand in a column. What the tool decides are
distances, sizes (no smaller than either renderer of the frontend draws a node), colours and groups. `--check` changes nothing
and fails where a file is not as it would be written.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Json = dict[str, Any]

# role: which nodes, by the beginning of their class
ROLES = {
    "note": ("MarkdownNote", "Note"),
    "load": ("ARLoadCheckpoint", "ARLoadTextEncoder", "ARLoadEDM2", "CheckpointLoader", "VAELoader"),
    "condition": (
        *("ARClassCondition", "ARTextCondition", "ARPromptCondition", "ARRegion", "ARBlend"),
        *("CLIPTextEncode", "ARSweep", "PrimitiveInt"),
    ),
    "given": (
        *("LoadImage", "SolidMask", "MaskComposite", "ImageToMask", "ThresholdMask", "InvertMask"),
        *("ARImageToTokens", "ARLoadTokens"),
    ),
    "image": ("ARGuidanceMap", "ARGuidanceMetrics", "ARGuidanceSpectrum"),
    "guidance": ("ARGuidance", "ARDiffusionIGG"),
    "sampler": (
        *("ARSampler", "ARSeeds", "ARRevealOrder", "AREDM2Sampler", "KSampler", "EmptyLatent"),
        *("ARKeepScales", "ARInpaint", "AROutpaint", "ARDualPanel", "ARDiffusionRecord"),
        "AREntropyTemperature",
    ),
    "decode": (
        *("ARDecode", "AREDM2Decode", "VAEDecode", "ARTokensToImage", "ARSaveTokens"),
        *("ARFindScale", "ARCompare"),
    ),
}  # fmt: skip
ANY = "any"  # the area of what goes with its column
IMAGE = "image"  # everything else: what is saved, previewed, measured
# title and body, from the colours that the frontend's own menu offers
COLOURS = {
    "note": ("#432", "#653"),
    "load": ("#223", "#335"),
    "condition": ("#332922", "#593930"),
    "given": ("#322", "#533"),
    "guidance": ("#323", "#535"),
    "sampler": ("#232", "#353"),
    "decode": ("#233", "#355"),
    IMAGE: ("#2a363b", "#3f5159"),
}
AREAS = {
    **{"load": "what", "condition": "what", "given": "given"},
    **{"guidance": "how", "sampler": "how", "decode": "images", IMAGE: "images", "note": ANY},
}
TITLES = {
    "what": ("What to generate", "#e8935a"),
    "given": ("What is given", "#e88080"),
    "how": ("How", "#8fd08f"),
    "images": ("Images", "#6cc5d8"),
}
# Width and height below which a renderer would draw the node over what stands beneath it.
SMALLEST = {
    "ARDecode": (480, 900),
    "ARCompare": (480, 900),
    "ARLoadCheckpoint": (340, 138),
    "ARSampler": (300, 366),
    "ARSweep": (340, 386),
    "AROutpaint": (300, 270),
    "ARGuidanceMap": (300, 234),
    "ARKeepScales": (300, 134),
    "ARTextCondition": (340, 98),
    "ARImageToTokens": (280, 106),
    "ARTokensToImage": (260, 78),
    "ARSaveTokens": (280, 94),
    "ARRevealOrder": (300, 138),
    "ARLoadEDM2": (380, 114),
    "ARGrid": (260, 186),
    "ARDiffusionIGG": (340, 278),
    "CheckpointLoaderSimple": (340, 126),
    "EmptyLatentImage": (340, 118),
    "VAELoader": (380, 86),
    "VAEDecode": (240, 60),
    "LoadImage": (300, 350),
    "SaveImage": (300, 340),  # once it has an image
    "PreviewImage": (260, 340),
    "SolidMask": (240, 118),
}
LEFT, TOP = 40, 160  # where the first column begins
HEAD = 30  # a node's title stands above its position
BETWEEN = 66  # from a node to the next below it: a title, and room for a line that a panel adds
ASIDE, APART = 50, 100  # from a column to the next in its group, and to the next group
AROUND, SIZE = 20, 44  # a group's margin, and its title's letters
UNDER = 2 * AROUND + SIZE + HEAD + 30  # from a group's last node to what is below the group


@dataclass
class Part:
    """Nodes of one area in neighbouring columns: a group of the graph."""

    area: str
    columns: list[list[Json]]
    top: float = 0

    @property
    def nodes(self) -> list[Json]:
        return [node for column in self.columns for node in column]


def role(kind: str) -> str:
    """What a node of that class is for."""
    fits = (name for name, kinds in ROLES.items() if any(map(kind.startswith, kinds)))
    return next(fits, IMAGE)


def area(node: Json) -> str:
    return AREAS[role(node["type"])]


def notes_below(nodes: Sequence[Json]) -> list[Json]:
    """The notes of the first column, which stand below its groups; any other belongs to its column's group."""
    first = min(node["pos"][0] for node in nodes)
    return [n for n in nodes if role(n["type"]) == "note" and n["pos"][0] == first]


def columns_of(nodes: Sequence[Json]) -> list[list[Json]]:
    """Nodes by the x they begin at, from left to right, each column from top to bottom; notes below left out."""
    found: dict[float, list[Json]] = {}
    left_out = notes_below(nodes)
    for node in nodes:
        if node not in left_out:
            found.setdefault(node["pos"][0], []).append(node)
    return [sorted(found[x], key=lambda node: node["pos"][1]) for x in sorted(found)]


def parted(column: list[Json]) -> tuple[list[Json], list[Json]]:
    """The nodes of the column's own area, which is that of its first, and those below them of others."""
    own = [at for at, node in enumerate(column) if area(node) in (area(column[0]), ANY)]
    return column[: own[-1] + 1], column[own[-1] + 1 :]


def parts_of(columns: Sequence[list[Json]]) -> list[list[Part]]:
    """Blocks of columns from left to right, each of them groups from top to bottom."""
    blocks: list[list[Part]] = []
    for own, below in map(parted, columns):
        if not blocks or blocks[-1][0].area != area(own[0]):
            blocks.append([Part(area(own[0]), [])])
        block = blocks[-1]
        block[0].columns.append(own)
        for part in block[1:]:
            part.columns.append([])
        for node in below:
            if block[-1].area != area(node) or len(block) == 1:
                empty: list[list[Json]] = [[] for _ in block[0].columns]
                block.append(Part(area(node), empty))
            block[-1].columns[-1].append(node)
    return blocks


def place(blocks: Sequence[Sequence[Part]]) -> None:
    """Give every node its position."""
    x = LEFT
    for block in blocks:
        wide = [
            max((n["size"][0] for part in block for n in part.columns[at]), default=0)
            for at in range(len(block[0].columns))
        ]
        top = TOP
        for part in block:
            part.top = top
            lowest = top
            for at, column in enumerate(part.columns):
                y, left = top, x + sum(wide[:at]) + ASIDE * at
                for node in column:
                    node["pos"] = [left, y]
                    y += node["size"][1] + BETWEEN
                lowest = max(lowest, y - BETWEEN)
            top = lowest + UNDER
        x += sum(wide) + ASIDE * (len(wide) - 1) + APART


def sized(node: Json) -> list[float]:
    """A node's size, no smaller than it is drawn."""
    least = SMALLEST.get(node["type"], (0, 0))
    return [max(own, floor) for own, floor in zip(node["size"], least, strict=True)]


def groups(blocks: Sequence[Sequence[Part]]) -> list[Json]:
    """The groups as ComfyUI saves them."""
    parts = [part for block in blocks for part in block]
    twice = sum(part.area == "how" for block in blocks for part in block[:1]) > 1
    seen: dict[str, int] = {}
    made = []
    for number, part in enumerate(parts, 1):
        title, colour = TITLES[part.area]
        seen[part.area] = seen.get(part.area, 0) + 1
        if twice and part.area != "given":
            title = (
                f"{'First' if seen[part.area] == 1 else 'Second'} run: {title.split()[0].lower()}"
            )
        box = bounds(part.nodes)
        made.append(
            {
                "id": number,
                "title": title,
                "bounding": box,
                "color": colour,
                "font_size": min(SIZE, int(box[2] / (0.56 * len(title)))),
                "flags": {},
            }
        )
    return made


def bounds(nodes: Sequence[Json]) -> list[float]:
    """Left, top, width and height of a group around nodes, with room for its title."""
    left = min(node["pos"][0] for node in nodes) - AROUND
    top = min(node["pos"][1] for node in nodes) - HEAD - AROUND - SIZE
    right = max(node["pos"][0] + node["size"][0] for node in nodes) + AROUND
    bottom = max(node["pos"][1] + node["size"][1] for node in nodes) + AROUND + HEAD
    return [left, top, right - left, bottom - top]


def laid_out(workflow: Json) -> Json:
    """The workflow with places, sizes, colours and groups."""
    for node in workflow["nodes"]:
        node["color"], node["bgcolor"] = COLOURS[role(node["type"])]
        node["size"] = sized(node)
    notes = notes_below(workflow["nodes"])
    blocks = parts_of(columns_of(workflow["nodes"]))
    place(blocks)
    workflow["groups"] = groups(blocks)
    below = max(group[1] + group[3] for group in (bounds(part.nodes) for part in blocks[0]))
    for note in notes:
        note["pos"] = [LEFT, below + HEAD + 40]
        below += note["size"][1] + HEAD + 60
    return workflow


def rewritten(text: str) -> str:
    """A workflow's file as it should be, indented as it was."""
    indent = len(text.splitlines()[1]) - len(text.splitlines()[1].lstrip())
    made = laid_out(json.loads(text))
    return json.dumps(made, indent=indent, ensure_ascii=False) + "\n" * text.endswith("\n")


def main() -> int:
    wrong = 0
    for path in sorted((ROOT / "workflows").glob("*.json")):
        text = path.read_text("utf-8")
        made = rewritten(text)
        if text == made:
            continue
        wrong += 1
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)} is not as tools/workflow_look.py writes it")
        else:
            path.write_text(made, encoding="utf-8")
    return 1 if wrong and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
