"""Run inside a host's Python path: what no graph shows of EDM2. Prints one JSON object.

    python tests/hosts/inside.py edm2_inside HOST_FOLDER TEMP LATENT_NETWORK UNCONDITIONAL_NETWORK PIXEL_NETWORK

late: layers that begin without weights end up as others; previews: sent without and with previews, and their types; left: weights
that a partial load would leave on the wrong device; kept: files left behind when decoding fails, and when a second part does.
"""

import json
import sys
from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.loaders.edm2 import load_edm2
from ar_guidance.nodes.condition import ARClassCondition
from ar_guidance.nodes.edm2 import AREDM2Sampler
from ar_guidance.nodes.execution import edm2
from ar_guidance.nodes.types import EDM2Sampling
from latent_preview import LatentPreviewMethod

temp, latent_file, guide_file, pixel_file = sys.argv[1:]

folder_paths.set_temp_directory(temp)
edm2.PREVIEW_SECONDS = 0.0
CAST_AT_USE = {"emb_gain", "out_gain", "freqs", "phases"}


def described(file: str, guide: str | None, batch: int = 1) -> EDM2Sampling:
    model = load_edm2(file, guide)
    condition = ARClassCondition.execute(model, "", "3").args[0]
    made = AREDM2Sampler.execute(model, 1, batch, 3, ar_conditioning=condition).args[0]
    return edm2.replace(made, guidances=(CFG(2.0),) if guide else ())


def late() -> str:
    try:
        import comfy.memory_management as memory  # type: ignore[import-not-found]
    except ImportError:
        return "none in this host"
    wanted = load_edm2(latent_file).network.state_dict()
    memory.aimdo_enabled = True
    try:
        found = load_edm2(latent_file).network.state_dict()
    finally:
        memory.aimdo_enabled = False
    assert found.keys() == wanted.keys()
    return "same" if all(torch.equal(found[k], v) for k, v in wanted.items()) else "other"


def previews(sampling: EDM2Sampling) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for method in ("none", "auto"):
        comfy.cli_args.args.preview_method = LatentPreviewMethod(method)
        sent: list[str] = []

        def on_progress(value: int, total: int, preview: object, sent=sent, **_: object) -> None:
            if preview is not None:
                sent.append(f"{preview[0]} {preview[1].size[0]}")  # type: ignore[index]

        comfy.utils.set_progress_bar_global_hook(on_progress)
        edm2.run_edm2(sampling)
        found[method] = list(sent)
    return found


class FailingVAE:
    latent_channels, downscale_ratio, latent_dim = 4, 8, 2

    def throw_exception_if_invalid(self) -> None: ...

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("no memory left")


def kept_by(run: object) -> list[str]:
    try:
        run()  # type: ignore[operator]
    except torch.OutOfMemoryError as error:
        return str(error).splitlines()
    return ["did not fail"]


def second_part_fails() -> None:
    part, calls = edm2.run_part, []

    def fails(*arguments: object, **more: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise torch.OutOfMemoryError("no memory left")
        return part(*arguments, **more)  # type: ignore[arg-type]

    edm2.run_part, most = fails, edm2.MOST_AT_ONCE  # type: ignore[assignment]
    edm2.MOST_AT_ONCE = 2
    try:
        edm2.run_edm2(described(latent_file, guide_file, batch=3))
    finally:
        edm2.run_part, edm2.MOST_AT_ONCE = part, most


def in_halves() -> bool:
    """Whether three images that do not fit at once are made in two halves, and are the same."""
    part, sizes = edm2.run_part, []
    whole = edm2.run_edm2(described(pixel_file, None, batch=3)).x

    def short(sampling: EDM2Sampling, **more: object) -> object:
        sizes.append(sampling.batch)
        if sampling.batch > 2:
            raise torch.OutOfMemoryError("no memory left")
        return part(sampling, **more)  # type: ignore[arg-type]

    edm2.run_part = short  # type: ignore[assignment]
    try:
        made = edm2.run_edm2(described(pixel_file, None, batch=3)).x
    finally:
        edm2.run_part = part
    return sizes == [3, 1, 2] and torch.allclose(made, whole, atol=1e-4)


def left_behind(patcher: Any) -> list[str]:
    """Names of weights that a load with room for half leaves off the device, and that neither host nor network moves."""
    patcher.load(torch.device("meta"), lowvram_model_memory=patcher.model_size() // 2)
    found, stayed = [], 0
    for name, module in patcher.model.named_modules():
        tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        for key, tensor in tensors:
            stayed += tensor.device.type != "meta"
            moved = hasattr(module, "comfy_cast_weights") or key in CAST_AT_USE
            if tensor.device.type != "meta" and not moved:
                found.append(f"{name}.{key}")
    assert stayed, "the model fitted: the test did not test"
    return found


with torch.inference_mode():
    latent, pixel = described(latent_file, guide_file), described(pixel_file, None)
    report = {
        "late": late(),
        "previews": {"latent": previews(latent), "pixel": previews(pixel)},
        "decoding failed": kept_by(lambda: edm2.run_edm2(latent, FailingVAE())),
        "part failed": kept_by(second_part_fails),
        "in halves": in_halves(),
        "files": sorted(path.suffix for path in Path(temp).iterdir()),
    }
    report |= {"left": left_behind(latent.edm2.patcher)}
print(json.dumps(report))
