"""Draw the thumbnails of the class picker: an image of every class of the bundled model.

python -m tools.class_sheet      # writes web/classes.json and web/images/classes.jpg
"""

from __future__ import annotations

import json

import torch
from ar_guidance.conditioning.class_words import WORDS
from PIL import Image

from .bundled.groups import labels
from .bundled.sample import Sampling, as_uint8, draw, load_pair
from .pack import ROOT

COLUMNS, SIDE = 20, 40
SHEET = "images/classes.jpg"
HOW = Sampling(scale=4.0, top_p=0.9)
SEED = 1


def main() -> None:
    """Plain classes first, then those of one style: the order of the node's own list."""
    names = labels()
    order = sorted(range(len(names)), key=lambda index: names[index].endswith(")"))
    with torch.inference_mode():
        pictures = as_uint8(draw(load_pair(ROOT / "bundled"), torch.tensor(order), HOW, SEED))
    rows = -(-len(order) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * SIDE), "white")
    for place, picture in enumerate(pictures):
        small = Image.fromarray(picture.numpy()).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        sheet.paste(small, (place % COLUMNS * SIDE, place // COLUMNS * SIDE))
    web = ROOT / "web"
    sheet.save(web / SHEET, quality=82, optimize=True)
    listed = {
        "sheet": SHEET,
        "columns": COLUMNS,
        "side": SIDE,
        "names": [names[i] for i in order],
        "words": WORDS,  # what else finds a class
    }
    (web / "classes.json").write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
