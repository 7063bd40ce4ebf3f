#!/usr/bin/env python3
"""Draw the images of the help pages with the bundled model: python -m tools.help_pictures [NAME ...].

Of a guidance node, named as its method: every panel has the same classes and the same seeds; only the chain differs. What a
title does not say is at its default. Of an inspecting node (map, metrics, find-scale): what it gives.
"""

import argparse
from collections.abc import Sequence

import torch
from ar_guidance.guidance.apg import APG
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.cfg_zero import CFGZero
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.igg import IGG
from ar_guidance.guidance.mixed import Mixed
from ar_guidance.guidance.registry import METHODS
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.guidance.ssg import SSG
from ar_guidance.guidance.tcfg import TCFG
from ar_guidance.imaging.canvas import INK, PAPER, font, text_width
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.tools.bundled.groups import ANY_STYLE, NAMES
from ar_guidance.tools.bundled.pictures import tile
from ar_guidance.tools.bundled.sample import load_pair, token_features
from ar_guidance.tools.help_inspection import SHEETS
from PIL import Image, ImageDraw

from .pack import ROOT

IMAGES = ROOT / "web" / "docs" / "images"
SHOWN = ("face", "animal face", "heart", "fruit", "land vehicle", "flower")
COLUMNS, GAP, TITLE = 3, 14, 24
ENLARGED = 1.25
COLOURS = 224
TOP_P = {"scale": 0.95, "token": 1.0}
CPU = torch.device("cpu")

Panel = tuple[str, tuple[Guidance, ...]]
PLAIN: Panel = ("no guidance", ())
WITH_CFG: Panel = ("CFG 4", (CFG(4.0),))
COMPARED: dict[str, tuple[Panel, ...]] = {
    "cfg": (PLAIN, WITH_CFG),
    "igg": (PLAIN, WITH_CFG, ("IGG 4", (IGG(4.0),))),
    "mixed": (
        PLAIN,
        ("CFG 2, constant", (CFG(2.0, "constant"),)),
        ("mix: CFG 2, IGG -0.4", (Mixed(2.0),)),
    ),
    "ssg": (PLAIN, WITH_CFG, (f"CFG 4, then SSG {SSG().beta:g}", (CFG(4.0), SSG()))),
    "apg": (
        ("CFG 10", (CFG(10.0),)),
        ("APG 10", (APG(10.0),)),
        ("APG 10, half of it kept", (APG(10.0, parallel=0.5),)),
    ),
    "tcfg": (
        WITH_CFG,
        ("TCFG 4", (TCFG(4.0),)),
        ("TCFG 4, each token", (TCFG(4.0, vectors="each token"),)),
    ),
    "cfg_zero": (
        WITH_CFG,
        ("CFG-Zero* 4", (CFGZero(4.0),)),
        ("CFG-Zero* 4, each token", (CFGZero(4.0, vectors="each token"),)),
    ),
    "softcfg": (
        WITH_CFG,
        ("SoftCFG 4", (SoftCFG(4.0),)),
        ("no step normalisation", (SoftCFG(4.0, normalise=False),)),
    ),
}
TOKENWISE = ("softcfg",)  # shown on the token-wise model
SHOWABLE = tuple(name for name, method in METHODS.items() if not method.inside)


def panels(name: str) -> tuple[Panel, ...]:
    """What a method's image compares: its own panels, or the defaults beside CFG's."""
    method = METHODS[name]
    return COMPARED.get(name, (PLAIN, WITH_CFG, (f"{name.upper()}, defaults", (method(),))))


def sample(guidances: Sequence[Guidance], model: str) -> torch.Tensor:
    """Pictures (B, 3, 64, 64) in [-1, 1] of the shown classes, drawn by the "scale" or the "token" model."""
    pair = codec, network = load_pair(ROOT / "bundled", model)
    groups = torch.tensor([NAMES.index(name) for name in SHOWN])
    labels, chain = groups * (ANY_STYLE + 1) + ANY_STYLE, Chain(tuple(guidances))
    draw = StreamSampler(Filters(top_p=TOP_P[model]), Streams(0, len(labels)))
    with torch.inference_mode():
        if model == "token":
            return codec.decode(token_features(pair, labels, chain, draw))
        job = ScalewiseJob(
            conditions=(labels, network.null_condition(len(labels))),
            batch=len(labels),
            run=RunInfo("scale", network.config.grids, published=Schedule("linear ramp")),
            chain=chain,
            draw=draw,
        )
        return codec.decode(generate(network, codec, job, CPU).features)


def sheet(panels: Sequence[Panel], model: str) -> Image.Image:
    """Panels side by side, each under its title."""
    drawn = [(title, tile(sample(guidances, model), COLUMNS)) for title, guidances in panels]
    width, height = (round(side * ENLARGED) for side in drawn[0][1].size)
    page = Image.new("RGB", (len(drawn) * (width + GAP) - GAP, height + TITLE), PAPER)
    pen = ImageDraw.Draw(page)
    for place, (title, cells) in enumerate(drawn):
        left = place * (width + GAP)
        page.paste(cells.resize((width, height), Image.Resampling.LANCZOS), (left, TITLE))
        middle = left + (width - text_width(title, 15)) / 2
        pen.text((middle, 3), title, fill=INK, font=font(15))
    return page


def picture(name: str) -> Image.Image:
    """The image of a help page."""
    if (
        name in SHEETS
    ):  # few colours would break the bar below a map, and these are small as they are
        return SHEETS[name]()
    made = sheet(panels(name), "token" if name in TOKENWISE else "scale")
    # The k-means step keeps the colours of small, saturated parts, which a plain median cut loses.
    return made.quantize(COLOURS, kmeans=2, dither=Image.Dither.NONE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *SHOWABLE, *SHEETS])
    for name in parser.parse_args().names or (*SHOWABLE, *SHEETS):
        path = IMAGES / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(name).save(path, optimize=True)
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
