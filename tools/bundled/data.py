"""The drawings: download, rasterise, sort into groups and styles, hold some emoji out."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .groups import NAMES, STYLES, group_of

PACKAGES = {
    "@iconify-json/noto": "1.2.9",
    "@iconify-json/noto-v1": "1.2.5",
    "@iconify-json/fluent-emoji-flat": "1.2.6",
    "@iconify-json/fluent-emoji": "1.2.7",
    "emojibase-data": "17.0.0",
}
ICON_SETS = ("noto", "noto-v1", "fluent-emoji-flat", "fluent-emoji")  # in the order of STYLES
# Two sets have no code points of their own; their icons have the names of a sibling set.
NAMED_LIKE = {"noto-v1": "noto", "fluent-emoji": "fluent-emoji-flat"}
RENDER = 128  # rendered at twice the model's 64 pixels, so that shifts and scales stay sharp
SKIN_TONES = {f"1f3f{digit}" for digit in "bcdef"}
HELD_OUT_SHARE = 0.06


@dataclass
class Drawings:
    """All drawings as one tensor, with the labels of each."""

    images: torch.Tensor  # (N, 3, 128, 128) uint8
    groups: torch.Tensor  # (N,) int64
    styles: torch.Tensor  # (N,) int64
    held_out: torch.Tensor  # (N,) bool; an emoji is held out in all its styles together
    codes: list[str]  # code points, one string a drawing

    def pick(self, keep: torch.Tensor) -> Drawings:
        """The drawings where `keep` (N, bool) is set."""
        rows = keep.nonzero().flatten()
        codes = [self.codes[i] for i in rows.tolist()]
        fields = (t[rows] for t in (self.images, self.groups, self.styles, self.held_out))
        return Drawings(*fields, codes)  # type: ignore[arg-type]

    def split(self) -> tuple[Drawings, Drawings]:
        """Training drawings, held-out drawings."""
        return self.pick(~self.held_out), self.pick(self.held_out)

    def pictures(self) -> torch.Tensor:
        """All drawings at 64 x 64 in [-1, 1], (N, 3, 64, 64) float."""
        parts = [
            torch.nn.functional.avg_pool2d(part.float() / 127.5 - 1, 2)
            for part in self.images.split(256)
        ]
        return torch.cat(parts)


def fetch_packages(folder: Path) -> Path:
    """Download the pinned packages with `npm pack`; returns a folder like node_modules."""
    modules = folder / "node_modules"
    for name, version in PACKAGES.items():
        target = modules / name
        if (target / "package.json").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "pack",
            f"{name}@{version}",
            "--silent",
            "--pack-destination",
            str(folder),
        ]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        with tarfile.open(folder / output.strip().splitlines()[-1]) as archive:
            members = [m for m in archive.getmembers() if m.isfile()]
            for member in members:
                member.name = member.name.split("/", 1)[1]  # drop the leading "package/"
            archive.extractall(target, members, filter="data")
    return modules


def check_versions(modules: Path) -> None:
    """Refuse package versions other than the pinned ones: the drawings would differ."""
    for name, wanted in PACKAGES.items():
        found = json.loads((modules / name / "package.json").read_text())["version"]
        if found != wanted:
            raise ValueError(f"{name}: found version {found}, this recipe is pinned to {wanted}")


def _emoji_groups(modules: Path) -> dict[str, int]:
    """Code points (lower case, without fe0f) -> group index."""
    base = modules / "emojibase-data"
    subgroups = json.loads((base / "meta" / "groups.json").read_text())["subgroups"]
    table = {}
    for emoji in json.loads((base / "en" / "data.json").read_text()):
        if "subgroup" not in emoji:
            continue
        group = group_of(emoji["label"], subgroups[str(emoji["subgroup"])])
        if group is not None:
            table[_plain(emoji["hexcode"])] = group
    return table


def _plain(code: str) -> str:
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def _icon_codes(modules: Path, name: str) -> dict[str, str]:
    """Code points -> icon name, without skin tones."""
    sibling = NAMED_LIKE.get(name, name)
    chars = json.loads((modules / "@iconify-json" / sibling / "chars.json").read_text())
    codes = {_plain(code): icon for code, icon in chars.items()}
    return {c: icon for c, icon in codes.items() if not SKIN_TONES & set(c.split("-"))}


def _svg(icon: dict, default: tuple[int, int]) -> str:
    """The SVG text of an icon, its view box widened to a centred square."""
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = icon.get("width", default[0]), icon.get("height", default[1])
    side = max(width, height)
    box = f"{left - (side - width) / 2} {top - (side - height) / 2} {side} {side}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}">{icon["body"]}</svg>'


def _render(svg: str) -> np.ndarray:
    """Rasterise on white: (3, RENDER, RENDER) uint8."""
    import resvg_py

    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=RENDER, height=RENDER, background="#ffffff",
        skip_system_fonts=True,
    )  # fmt: skip
    picture = Image.open(io.BytesIO(bytes(png))).convert("RGB")
    return np.asarray(picture).transpose(2, 0, 1)


def _list_icons(modules: Path) -> list[tuple[str, int, int, str]]:
    """(code, group, style, svg) of every drawing."""
    groups, found = _emoji_groups(modules), []
    for style, name in enumerate(ICON_SETS):
        icons = json.loads((modules / "@iconify-json" / name / "icons.json").read_text())
        default = (icons.get("width", 16), icons.get("height", 16))
        for code, icon_name in sorted(_icon_codes(modules, name).items()):
            icon = icons["icons"].get(icon_name)
            if icon is None or icon.get("hidden") or code not in groups:
                continue
            found.append((code, groups[code], style, _svg(icon, default)))
    return found


def _hold_out(codes: list[str], groups: list[int], seed: int = 0) -> np.ndarray:
    """Mark about 6 % of the emoji of each group, at least one, with all their drawings."""
    rng = np.random.default_rng(seed)
    chosen: set[str] = set()
    for group in range(len(NAMES)):
        members = sorted({c for c, g in zip(codes, groups, strict=True) if g == group})
        count = max(1, round(HELD_OUT_SHARE * len(members)))
        chosen.update(rng.choice(members, count, replace=False).tolist())
    return np.array([code in chosen for code in codes])


def prepare(modules: Path, target: Path) -> Drawings:
    """Rasterise everything once and store it; later calls read the stored file."""
    if not target.exists():
        check_versions(modules)
        codes, groups, styles, svgs = map(list, zip(*_list_icons(modules), strict=True))
        with ProcessPoolExecutor() as pool:
            images = np.stack(list(pool.map(_render, svgs, chunksize=64)))
        held = _hold_out(codes, groups)
        target.parent.mkdir(parents=True, exist_ok=True)
        np.savez(target, images=images, groups=groups, styles=styles, held_out=held, codes=codes)
    stored = np.load(target)
    tensors = [torch.from_numpy(stored[k]) for k in ("images", "groups", "styles", "held_out")]
    return Drawings(*tensors, stored["codes"].tolist())  # type: ignore[arg-type]


def summary(drawings: Drawings) -> str:
    """Counts by style and group, as text."""
    _, held = drawings.split()
    by_style = [int((drawings.styles == s).sum()) for s in range(len(STYLES))]
    emoji = [
        len({c for c, g in zip(drawings.codes, drawings.groups.tolist(), strict=True) if g == i})
        for i in range(len(NAMES))
    ]
    order = sorted(range(len(NAMES)), key=lambda i: -emoji[i])
    return (
        f"{len(drawings.codes)} drawings, {len(set(drawings.codes))} emoji, "
        f"{len(held.codes)} drawings held out; by style {dict(zip(STYLES, by_style, strict=True))}"
        f"; emoji by group: " + ", ".join(f"{NAMES[i]} {emoji[i]}" for i in order)
    )
