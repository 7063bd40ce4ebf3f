"""Pictures for the model card: reconstructions, contact sheet, loss curves.

python -m tools.bundled.pictures --work .bundled-work
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..pack import ROOT
from .data import prepare
from .groups import NAMES, STYLES, row
from .sample import FILES, Sampling, as_uint8, draw, load_pair, reconstruct

SHOWN = (
    "face", "creature", "animal face", "heart", "hand", "person", "fruit", "flower", "sky",
    "shape", "sign", "clock", "animal", "bird", "sea animal", "drink", "land vehicle", "building",
)  # fmt: skip
SWEPT = ("face", "animal face", "heart", "fruit", "sign", "clock")
SWEEP = (1.0, 2.0, 4.0, 6.0)
BEST = {"scale": (6.0, 0.8), "token": (4.0, 0.95)}  # scale and top-p of the sheets
LABEL = 84  # pixels left of each row for its name


def tile(pictures: Tensor, columns: int) -> Image.Image:
    """Pictures in rows, one white pixel between them."""
    cells = as_uint8(pictures)
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * 66, rows * 66), "#d0d0d0")
    for i, cell in enumerate(cells):
        place = (i % columns * 66 + 1, i // columns * 66 + 1)
        sheet.paste(Image.fromarray(cell.numpy()), place)
    return sheet


def captioned(sheet: Image.Image, names: list[str], title: str) -> Image.Image:
    """A title above, a name left of every row."""
    page = Image.new("RGB", (sheet.width + LABEL, sheet.height + 18), "white")
    page.paste(sheet, (LABEL, 18))
    pen = ImageDraw.Draw(page)
    pen.text((4, 3), title, fill="black")
    for i, name in enumerate(names):
        pen.text((4, 18 + i * 66 + 26), name, fill="black")
    return page


def stack(pages: list[Image.Image]) -> Image.Image:
    """Pages one below the other."""
    sheet = Image.new("RGB", (max(p.width for p in pages), sum(p.height for p in pages)), "white")
    top = 0
    for page in pages:
        sheet.paste(page, (0, top))
        top += page.height
    return sheet


def save(sheet: Image.Image, path: Path) -> None:
    """Palette-reduced PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def reconstructions(pair, work: Path, path: Path, columns: int = 14, rows: int = 4) -> None:
    """Held-out drawings, and below each what the tokenizer makes of it."""
    _, held = prepare(Path(), work / "drawings.npz").split()
    chosen = torch.randperm(len(held.codes), generator=torch.Generator().manual_seed(1))
    real = held.pictures()[chosen[: columns * rows]]
    coded, _ = reconstruct(pair[0], real)
    both = torch.stack([real.unflatten(0, (rows, columns)), coded.unflatten(0, (rows, columns))], 1)
    names = ["drawing", "after tokenizer"] * rows
    save(captioned(tile(both.flatten(0, 2), columns), names, "Held-out drawings"), path)


def contact_sheet(pair, how: Sampling, path: Path) -> None:
    """Rows of groups at the default settings, then the same seeds at rising scales."""
    labels = [row(NAMES.index(g), s) for g in SHOWN for s in range(len(STYLES)) for _ in range(3)]
    made = draw(pair, torch.tensor(labels), how, seed=0, batch=len(STYLES) * 3)
    title = f"Scale {how.scale:g}, top-k {how.top_k}, top-p {how.top_p:g}; unselected; 3 each of "
    title += ", ".join(STYLES)
    pages = [captioned(tile(made, len(STYLES) * 3), list(SHOWN), title)]
    for scale in SWEEP:
        sweep = Sampling(scale, how.top_k, how.top_p)
        labels = [row(NAMES.index(g), s) for g in SWEPT for s in (0, 3)]
        made = draw(pair, torch.tensor(labels), sweep, seed=1)
        pages.append(captioned(tile(made, 12), [f"scale {scale:g}"], ""))
    save(stack(pages), path)


def read_log(path: Path) -> list[dict]:
    """Lines of a training log; of repeated steps (after a resume) the last."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [*{line["step"]: line for line in lines}.values()]


def plot(lines: list[dict], keys: dict[str, str], title: str) -> Image.Image:
    """Curves of some columns of a log over its steps; `keys` maps column to colour."""
    page = Image.new("RGB", (420, 260), "white")
    pen = ImageDraw.Draw(page)
    values = [line[k] for line in lines for k in keys if k in line]
    low, high, last = min(values), max(values), max(line["step"] for line in lines)
    pen.rectangle((50, 30, 405, 225), outline="#888888")
    pen.text((50, 8), title, fill="black")
    for share in (0, 0.5, 1):
        pen.text((6, 219 - 195 * share), f"{low + share * (high - low):.3g}", fill="black")
        pen.text((44 + 330 * share, 230), f"{share * last:.0f}", fill="black")
    for i, (key, colour) in enumerate(keys.items()):
        points = [
            (50 + 355 * n["step"] / last, 225 - 195 * (n[key] - low) / (high - low or 1))
            for n in lines
            if key in n
        ]
        pen.line(points, fill=colour, width=2)
        pen.text((60 + 115 * i, 244), key, fill=colour)
    return page


CURVES = {
    "scale": (
        ("tokenizer", "tokenizer: held-out PSNR", {"psnr_plain": "#999999", "psnr": "#c03020"}),
        ("transformer", "transformer, nats a token", {"loss": "#999999", "held_loss": "#c03020"}),
        ("classifier", "classifier, held-out accuracy", {"group": "#c03020", "style": "#2060c0"}),
    ),
    "onward": (
        (
            "transformer_onward",
            "second course, nats a token",
            {"loss": "#999999", "held_loss": "#c03020"},
        ),
    ),
    "token": (
        ("token_codec", "codec: held-out PSNR", {"psnr_plain": "#999999", "psnr": "#c03020"}),
        (
            "token_transformer",
            "transformer, nats a token",
            {"loss": "#999999", "held_loss": "#c03020"},
        ),
    ),
}


def curves(work: Path, kind: str, path: Path) -> None:
    """The logs of a model's parts over their training steps, where all of them are there."""
    if not all((work / f"{name}.jsonl").exists() for name, _, _ in CURVES[kind]):
        print(f"no logs of the {kind} model's parts in {work}: {path.name} stays as it is")
        return
    logs = [(read_log(work / f"{name}.jsonl"), title, keys) for name, title, keys in CURVES[kind]]
    panels = [plot(lines, keys, title) for lines, title, keys in logs]
    sheet = Image.new("RGB", (420 * len(panels), 260), "white")
    for i, panel in enumerate(panels):
        sheet.paste(panel, (420 * i, 0))
    save(sheet, path)


def main() -> None:
    """Write the images."""
    parser = argparse.ArgumentParser(description="Pictures of the bundled model's card")
    parser.add_argument("--work", type=Path, default=ROOT / ".bundled-work")
    parser.add_argument("--weights", type=Path, default=ROOT / "bundled")
    parser.add_argument("--target", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--kind", choices=FILES, default="scale", help="which bundled model")
    parser.add_argument("--scale", type=float)
    parser.add_argument("--top-k", type=int, default=0)
    parser.add_argument("--top-p", type=float)
    options = parser.parse_args()
    pair = load_pair(options.weights, options.kind)
    scale, top_p = BEST[options.kind]
    scale = scale if options.scale is None else options.scale
    top_p = top_p if options.top_p is None else options.top_p
    how = Sampling(scale, options.top_k, top_p)
    stem = "bundled" if options.kind == "scale" else "bundled-token"
    reconstructions(pair, options.work, options.target / f"{stem}-reconstructions.png")
    contact_sheet(pair, how, options.target / f"{stem}-contact-sheet.png")
    curves(options.work, options.kind, options.target / f"{stem}-curves.png")
    if options.kind == "scale":
        curves(options.work, "onward", options.target / "bundled-onward-curves.png")


if __name__ == "__main__":
    main()
