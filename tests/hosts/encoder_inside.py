"""Run inside a host's Python path: a prompt is encoded, then drawn, on a device that has room for both networks, or not.

    python tests/hosts/inside.py encoder_inside HOST_FOLDER TRANSFORMER TOKENIZER TEXT_ENCODER

The device "cpu:0" stands in for a GPU: the host takes it for another one than the processor, and its free memory is what is left
of `total`. Prints, as JSON, for each size of it the bytes of the encoder on the device before the run and while it draws, and
whether the image is the same.
"""

import json
import sys
from pathlib import Path

import comfy.model_management as mm
import torch
from ar_guidance.loaders.checkpoint import load_model
from ar_guidance.loaders.text.encoders import load_text_encoder
from ar_guidance.nodes.execution import run
from ar_guidance.nodes.execution.batches import run_needs
from ar_guidance.nodes.sample import ARDecode, ARSampler
from ar_guidance.nodes.text import ARTextCondition

transformer, tokenizer, encoder_file = sys.argv[1:]
DEVICE = torch.device("cpu:0")
total = 0


def free(device: torch.device | None = None, torch_free_too: bool = False) -> object:
    held = [one.model_loaded_memory() for one in mm.current_loaded_models if one.device == DEVICE]
    left = total - sum(held)
    return (left, 0) if torch_free_too else left


mm.get_free_memory = free
mm.minimum_inference_memory = lambda: 0  # the host's own is a gigabyte: more than all of this
model = load_model(transformer, tokenizer)
clip = load_text_encoder([Path(encoder_file)])[0]
patchers = (model.patcher, *model.get_models(), clip.patcher)
for patcher in patchers:
    patcher.load_device = DEVICE
    mm.archive_model_dtypes(patcher.model) if hasattr(mm, "archive_model_dtypes") else None
seen: list[int] = []
sample = run.sample


def watched(*arguments: object) -> object:
    seen.append(clip.patcher.loaded_size())
    on_step = arguments[2]

    def look(progress: object) -> object:
        seen.append(clip.patcher.loaded_size())
        return on_step(progress)  # type: ignore[operator]

    return sample(*arguments[:2], look, *arguments[3:])


run.sample = watched
networks = sum(patcher.model_size() for patcher in patchers[:-1])
images = []
with torch.inference_mode():
    for room in (1 << 30, 0):
        mm.unload_all_models()
        total = 1 << 40
        encoded = clip.encode_from_tokens_scheduled(clip.tokenize("a red bird"))
        condition = ARTextCondition.execute(model, encoded).args[0]
        settings = {"temperature": 1.0, "top_k": -1, "top_p": -1.0, "min_p": 0.0}
        sampling = ARSampler.execute(model, condition, seed=1, batch_size=1, **settings).args[0]
        total = int(1.1 * networks) + run_needs(sampling, 1) + clip.patcher.model_size() // 2 + room
        seen.clear()
        images.append(ARDecode.execute(sampling).args[0])
        report = {"size": clip.patcher.model_size(), "before": seen[0], "drawing": max(seen[1:])}
        print(json.dumps(report | {"same": torch.equal(images[0], images[-1])}))
