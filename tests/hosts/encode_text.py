"""Run inside a host's Python path: load text encoders as a node does, and encode prompts as CLIP Text Encode does.

    python tests/hosts/inside.py encode_text HOST_FOLDER JOBS.json OUT.safetensors

A job: {"paths": [...], "settings": {...}, "prompts": [...], "late": false}; late = layers begin without weights, as in newer
hosts with a GPU. Of prompt j of job i `i.j.cond`, `i.j.attention_mask` and
`i.j.pooled_output` are written; what a job is refused for goes to standard output, one JSON list for all.
"""

import contextlib
import json
import sys
from pathlib import Path

import torch
from ar_guidance.loaders.text.encoders import load_text_encoder
from safetensors.torch import save_file

jobs_file, out_file = sys.argv[1:]


def set_late(late: bool) -> None:
    """Whether layers begin without weights, where the host knows that."""
    with contextlib.suppress(ImportError):
        import comfy.memory_management as memory  # type: ignore[import-not-found]

        memory.aimdo_enabled = late


def run(number: int, job: dict) -> str:
    """Encode the prompts of a job into `results`; what it was refused for, or what the loader says."""
    try:
        set_late(job["late"])
        clip, note = load_text_encoder([Path(path) for path in job["paths"]], **job["settings"])
        set_late(False)
        for index, prompt in enumerate(job["prompts"]):
            ((cond, options),) = clip.encode_from_tokens_scheduled(clip.tokenize(prompt))
            kept = {"cond": cond, **{k: v for k, v in options.items() if torch.is_tensor(v)}}
            results.update({f"{number}.{index}.{k}": v.contiguous() for k, v in kept.items()})
    except ValueError as error:
        return str(error)
    return note


results: dict[str, torch.Tensor] = {}
with torch.inference_mode():
    said = [run(number, job) for number, job in enumerate(json.loads(Path(jobs_file).read_text()))]
save_file({key: value.clone() for key, value in results.items()}, out_file)
print("SAID", json.dumps(said))
