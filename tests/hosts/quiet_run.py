"""Run inside a host's Python path: what is decoded and sent while a run is under way, without and with previews.

    python tests/hosts/inside.py quiet_run HOST_FOLDER TRANSFORMER TOKENIZER

Prints, for ComfyUI's preview methods none and auto, how often the decoder was called, and how many images and live maps
were sent. Time plays no part: with previews, every scale is due and can be afforded.
"""

import json
import sys

import comfy.utils
import torch
from ar_guidance.imaging.viewer import FAST
from ar_guidance.loaders.checkpoint import load_model
from ar_guidance.nodes.condition import ARClassCondition
from ar_guidance.nodes.execution import run
from ar_guidance.nodes.guide import NODES
from ar_guidance.nodes.sample import ARSampler
from latent_preview import LatentPreviewMethod

transformer, tokenizer = sys.argv[1:]

run.PREVIEW_SECONDS = 0.0
run.BESIDE_VIEWER = 1e9
model = load_model(transformer, tokenizer)
condition = ARClassCondition.execute(model, "", "3").args[0]
settings = {"temperature": 1.0, "top_k": -1, "top_p": -1.0, "min_p": 0.0}
sampling = ARSampler.execute(model, condition, seed=1, batch_size=1, **settings).args[0]
cfg = next(node for node in NODES if node.__name__ == "ARGuidanceCFG")
sampling = cfg.execute(sampling, scale=3.0).args[0]
decode, decoded, previews, maps = model.tokenizer.decode, [], [], []


def counted(features: torch.Tensor) -> torch.Tensor:
    decoded.append(features)
    return decode(features)


def on_progress(value: int, total: int, preview: object, **_: object) -> None:
    if preview is not None:
        previews.append(preview)


model.tokenizer.decode = counted
comfy.utils.set_progress_bar_global_hook(on_progress)
found = {}
with torch.inference_mode():
    for method in ("none", "auto"):
        comfy.cli_args.args.preview_method = LatentPreviewMethod(method)
        for counts in (decoded, previews, maps):
            counts.clear()
        run.run_sampling(sampling, run.View(FAST, send=maps.append))
        found[method] = [len(decoded), len(previews), len(maps)]
print(json.dumps(found))
