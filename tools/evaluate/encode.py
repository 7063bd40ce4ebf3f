"""Prompts -> the file a plan names under `conditions: {conditioning: ...}`, encoded by a text encoder as ComfyUI's nodes do.

    python -m tools.evaluate.encode --host /path/to/ComfyUI --encoder flan-t5-xl/model-00001-of-00002.safetensors \\
        --prompts mjhq.txt --output mjhq-infinity.safetensors

Runs in ComfyUI's own Python environment: loading and moving the encoder is ComfyUI's work. Every line of the prompts is one; with
--empty a single empty prompt is encoded, the negative of families that have not learnt one.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from ..dev.launch_host import declare_torchvision_operators, torchvision_needs_help
from .conditions import read_prompts
from .problems import EvaluationError

PARTS = {"features": "", "mask": "attention_mask", "pooled": "pooled_output"}


def enter(host: Path, cpu: bool) -> None:
    """Make ComfyUI's modules importable, as they are when it runs.

    Raises:
        EvaluationError: there is no ComfyUI.
    """
    if not (host / "comfy" / "sd.py").is_file():
        raise EvaluationError(
            f"{host}: no ComfyUI is there: name the folder of its main.py with --host"
        )
    sys.path.insert(0, str(host))
    sys.argv = sys.argv[:1]  # ComfyUI reads its own options from there
    if torchvision_needs_help():
        declare_torchvision_operators()
    import comfy.cli_args  # pyright: ignore[reportMissingImports]

    comfy.cli_args.args.cpu = cpu


def encoded(clip: Any, prompts: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Features (1, n, E) and what goes with them, of every prompt."""
    from ar_guidance.models.text.encoders import MARK

    for prompt in prompts:
        ((features, options),) = clip.encode_from_tokens_scheduled(clip.tokenize(prompt))
        found = {"features": features} | {
            name: options[key]
            for name, key in PARTS.items()
            if isinstance(options.get(key), Tensor)
        }
        found["mark"] = options.get(MARK, "")
        yield found


def together(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """All prompts in one tensor per part, padded on the right; the mask says which rows are text."""
    length = max(row["features"].shape[1] for row in rows)
    features = torch.cat([_padded(row["features"], length) for row in rows])
    masks = [row.get("mask", torch.ones(1, row["features"].shape[1])) for row in rows]
    padded = torch.cat([_padded(m.reshape(1, -1, 1).float(), length)[..., 0] for m in masks])
    found = {"features": features.contiguous()}
    if any("mask" in row for row in rows) or not padded.all():
        found["mask"] = (padded > 0).to(torch.uint8)
    if all("pooled" in row for row in rows):
        found["pooled"] = torch.cat([row["pooled"].reshape(1, -1) for row in rows]).contiguous()
    return found


def _padded(rows: Tensor, length: int) -> Tensor:
    return F.pad(rows.cpu().float(), (0, 0, 0, length - rows.shape[1]))


def main() -> int:
    """Encode a file of prompts."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.evaluate.encode",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", type=Path, required=True, help="folder of ComfyUI")
    parser.add_argument(
        "--encoder", type=Path, nargs="+", required=True, help="file, or two of them"
    )
    parser.add_argument("--prompts", type=Path, help="a text file, a prompt a line")
    parser.add_argument("--empty", action="store_true", help="one empty prompt instead")
    parser.add_argument("--prefix", default="", help="HART's instruction")
    parser.add_argument("--clean-captions", action="store_true", help="for LlamaGen")
    parser.add_argument("--precision", default="automatic", help="of the weights; or float32, ...")
    parser.add_argument("--half", action="store_true", help="half the size, slightly rounded")
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    try:
        prompts = (
            ("",) if options.empty or options.prompts is None else read_prompts(options.prompts)
        )
        enter(options.host, options.cpu)
        from ar_guidance.loaders.text.encoders import load_text_encoder

        clip, note = load_text_encoder(
            options.encoder, options.precision, options.prefix, options.clean_captions
        )
        print(note or f"{len(prompts)} prompts", file=sys.stderr)
        with torch.inference_mode():
            rows: list[dict[str, Any]] = list(encoded(clip, prompts))
        metadata = {"encoder": str(rows[0]["mark"]), "prompts": "\n".join(prompts)}
        tensors = {name: value.clone() for name, value in together(rows).items()}
        if options.half:
            tensors["features"] = tensors["features"].half()
        save_file(tensors, options.output, metadata)
    except (EvaluationError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
