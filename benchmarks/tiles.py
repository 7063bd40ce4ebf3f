"""An image decoder in one piece and in tiles: most memory, seconds, and how far the images are apart.

    python -m benchmarks.tiles [--counted] [--json FILE]

Random weights in the sizes of the releases; every number of bytes from a process of its own. With `--counted` every family's
last release: the most bytes that tensors hold at once, counted without computing, the same on every machine.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ar_guidance.loaders.families import TRANSFORMERS
from ar_guidance.models.family import TransformerFamily
from ar_guidance.models.tokenizers.multiscale_vq import MultiScaleVQ, MultiScaleVQConfig
from ar_guidance.models.tokenizers.shell import OneGrid
from ar_guidance.models.tokenizers.tiles import SIDE
from ar_guidance.models.tokenizers.vq16 import VQ16, VQ16Config

from .counting import META, LiveBytes, fused_attention
from .families import build
from .harness import report
from .peaks import EXACT, held_bytes, peak_bytes
from .releases import RELEASES

CODECS: dict[str, Callable[[], Any]] = {
    "VAR": lambda: MultiScaleVQ(MultiScaleVQConfig(4096, 32, 160)),
    "LlamaGen": lambda: VQ16(VQ16Config(16384, 8, 256, 128)),
}
IMAGES = (("VAR", 256), ("VAR", 512), ("LlamaGen", 384))  # decoder, pixels


def codec_of(name: str) -> Any:
    """A decoder with random weights: PyTorch's own beginnings."""
    torch.manual_seed(0)
    return CODECS[name]().eval()


def features_of(codec: Any, side: int) -> torch.Tensor:
    """The feature map of one image."""
    grid = side // codec.config.factor
    return torch.randn(1, codec.config.dim, grid, grid, generator=torch.Generator().manual_seed(1))


def measure(name: str, side: int, tiles: bool) -> dict[str, float]:
    """Bytes above what the weights take, and seconds, of one image."""
    codec = codec_of(name)
    features, held = features_of(codec, side), held_bytes()
    started = time.perf_counter()
    with torch.inference_mode():
        codec.decode(features, tile=SIDE if tiles else None)
    return {"bytes": peak_bytes() - held, "seconds": time.perf_counter() - started}


def apart(name: str, side: int) -> float:
    """Largest difference of a pixel between the two images, of the 2 from black to white."""
    codec = codec_of(name)
    features = features_of(codec, side)
    with torch.inference_mode():
        whole, tiled = codec.decode_raw(features), codec.decode_raw(features, tile=SIDE)
    return float((tiled - whole).abs().max())


def elsewhere(name: str, side: int, tiles: bool) -> dict[str, float]:
    """`measure` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tiles", "--one", name, str(side), str(int(tiles))]
    done = subprocess.run(command, env=EXACT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, side: int) -> dict[str, Any]:
    """One line of the table."""
    whole, tiled = (elsewhere(name, side, tiles) for tiles in (False, True))
    return {
        "decoder": name,
        "pixels": side,
        "whole MB": whole["bytes"] / 2**20,
        "tiles MB": tiled["bytes"] / 2**20,
        "whole s": whole["seconds"],
        "tiles s": tiled["seconds"],
        "apart": apart(name, side),
    }


def counted(family: TransformerFamily) -> dict[str, Any]:
    """Bytes that tensors hold while the family's last release decodes one image."""
    release = RELEASES[family.name][-1]
    codec = build(family, release, torch.float32, "meta").tokenizer
    side = release.transformer.grid[0]
    with torch.device(META):
        tokens = torch.zeros(1, release.transformer.length, dtype=torch.long)
    features = (
        codec.lookup(tokens, (side, side))
        if isinstance(codec, OneGrid)
        else torch.empty(1, codec.config.dim, side, side, device=META)
    )
    peaks = []
    for tile in (None, SIDE):
        with torch.no_grad(), fused_attention(), LiveBytes() as live:
            codec.decode(features, tile=tile)
        peaks.append(live.peak / 2**20)
    return {"release": release.name, "whole MB": peaks[0], "tiles MB": peaks[1]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--counted", action="store_true")
    parser.add_argument("--one", nargs=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.one:
        name, side, tiles = options.one
        print(json.dumps(measure(name, int(side), tiles == "1")))
        return
    if options.counted:
        rows = [counted(family) for family in TRANSFORMERS if family.name in RELEASES]
        report("tiles", rows, options.json)
        return
    report("tiles", [row(*image) for image in IMAGES], options.json)


if __name__ == "__main__":
    main()
