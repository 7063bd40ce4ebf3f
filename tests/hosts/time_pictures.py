"""Run inside a host's Python path: let the benchmark of families time an image of small networks, one of either kind.

    python tests/hosts/inside.py time_pictures HOST_FOLDER

Prints one line per network: seconds on the clock and of processor time.
"""

from dataclasses import replace

import torch
from ar_guidance.benchmarks import families
from ar_guidance.models.tokenizers.multiscale_vq import MultiScaleVQConfig
from ar_guidance.models.tokenizers.vq16 import VQ16Config

TINY = {
    "VAR-CLIP-d16, 256": (
        {"depth": 1, "width": 64, "heads": 1, "ffn": 64, "sides": (1, 2), "vocab": 8, "dim": 4},
        MultiScaleVQConfig(8, 4, 32),
    ),
    "LlamaGen-B, 256": (
        {"depth": 1, "width": 64, "heads": 1, "ffn": 64, "grid": (2, 2), "vocab": 8},
        VQ16Config(8, 8, 32, 32),
    ),
}
for name, (changes, tokenizer) in TINY.items():
    family, release = families.named(name)
    release = replace(
        release, transformer=replace(release.transformer, **changes), tokenizer=tokenizer
    )
    model = families.build(family, release, torch.float32, "cpu")
    families.randomise(model)
    with torch.inference_mode():
        print("SECONDS", *families.picture(model, 1))
