#!/usr/bin/env python3
"""Say in every workflow which pack its nodes are from and where its model files are had, so that a shared graph names what is missing.

    python -m tools.workflow_properties [--check]

Writes `cnr_id` and `ver` into the properties of every node (the registry's name of the pack and its version, from
pyproject.toml; ComfyUI's own are `comfy-core`), and `models` into those of nodes that load files with one known address.
`--check` changes nothing and fails where something is not as it would be written.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OLDEST_COMFYUI = "0.3.75"
HUB = "https://huggingface.co/{}/resolve/main/{}"
EDM2 = "https://nvlabs-fi-cdn.nvidia.com/edm2/posthoc-reconstructions/{}"
CHECKPOINTS, TOKENIZERS, ENCODERS = "ar_checkpoints", "ar_tokenizers", "text_encoders"
# name in the loader: folder of models/, repository, file there
FILES = {
    "c2i_B_256.pt": (CHECKPOINTS, "FoundationVision/LlamaGen", "c2i_B_256.pt"),
    "vq_ds16_c2i.pt": (TOKENIZERS, "FoundationVision/LlamaGen", "vq_ds16_c2i.pt"),
    "t2i_XL_stage1_256.pt": (CHECKPOINTS, "peizesun/llamagen_t2i", "t2i_XL_stage1_256.pt"),
    "vq_ds16_t2i.pt": (TOKENIZERS, "peizesun/llamagen_t2i", "vq_ds16_t2i.pt"),
    "infinity_2b_reg.pth": (CHECKPOINTS, "FoundationVision/Infinity", "infinity_2b_reg.pth"),
    "infinity_vae_d32reg.pth": (
        TOKENIZERS,
        "FoundationVision/Infinity",
        "infinity_vae_d32reg.pth",
    ),
    "v1-5-pruned-emaonly-fp16.safetensors": (
        "checkpoints",
        "Comfy-Org/stable-diffusion-v1-5-archive",
        "v1-5-pruned-emaonly-fp16.safetensors",
    ),
    "var_d30.pth": (CHECKPOINTS, "FoundationVision/var", "var_d30.pth"),
    "vae_ch160v4096z32.pth": (TOKENIZERS, "FoundationVision/var", "vae_ch160v4096z32.pth"),
    "switti-1024/model.safetensors": (CHECKPOINTS, "yresearch/Switti-1024", "model.safetensors"),
    "vqvae-switti.safetensors": (TOKENIZERS, "yresearch/VQVAE-Switti", "model.safetensors"),
    "hart-0.7b-1024px/llm/ema_model.bin": (
        CHECKPOINTS,
        "mit-han-lab/hart-0.7b-1024px",
        "llm/ema_model.bin",
    ),
    "SimpleAR-0.5B-RL/model.safetensors": (
        CHECKPOINTS,
        "Daniel0724/SimpleAR-0.5B-RL",
        "model.safetensors",
    ),
    "Cosmos-1.0-Tokenizer-DV8x16x16/decoder.jit": (
        TOKENIZERS,
        "nvidia/Cosmos-1.0-Tokenizer-DV8x16x16",
        "decoder.jit",
    ),
    "Lumina-mGPT-2.0/model.safetensors.index.json": (
        CHECKPOINTS,
        "Alpha-VLLM/Lumina-mGPT-2.0",
        "model.safetensors.index.json",
    ),
    "movqgan_270M.ckpt": (TOKENIZERS, "ai-forever/MoVQGAN", "movqgan_270M.ckpt"),
    "clip-vit-large-patch14/model.safetensors": (
        ENCODERS,
        "openai/clip-vit-large-patch14",
        "model.safetensors",
    ),
    "Qwen2-VL-1.5B-Instruct/model.safetensors": (
        ENCODERS,
        "mit-han-lab/Qwen2-VL-1.5B-Instruct",
        "model.safetensors",
    ),
    "flan-t5-xl/model-00001-of-00002.safetensors": (
        ENCODERS,
        "google/flan-t5-xl",
        "model-00001-of-00002.safetensors",
    ),
    "vae-ft-mse-840000-ema-pruned.safetensors": (
        "vae",
        "stabilityai/sd-vae-ft-mse-original",
        "vae-ft-mse-840000-ema-pruned.safetensors",
    ),
}
# Without one address: pages that link to several places, file names that the release leaves open. The notes say where they are had.
NO_ADDRESS = {
    *("alitok_b.bin", "AliTok.pth", "ar-ckpt-last.pth"),
    *("imagenet_learnable.pth", "vqgan_imagenet_f16_16384.pth"),
    *("ithq_learnable.pth", "ithq_vqvae.pth", "clip-vit-b-32/ViT-B-32.pt"),
    "CLIP-ViT-bigG-14-laion2B-39B-b160k/model.safetensors",
    "hart-0.7b-1024px/tokenizer/model.safetensors",
}


def version() -> str:
    """The pack's, from pyproject.toml."""
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def of_pack(kind: str) -> bool:
    """Whether a node is the pack's."""
    return re.match(r"AR[A-Z]", kind) is not None


def properties(node: dict[str, Any], pack_version: str) -> dict[str, Any]:
    """What a node's properties should say."""
    said = {
        k: v for k, v in node.get("properties", {}).items() if k not in ("cnr_id", "ver", "models")
    }
    if node["type"] in ("MarkdownNote", "Note", "Reroute"):  # the frontend's own
        return node.get("properties", {})
    whose = (
        ("ar-guidance", pack_version) if of_pack(node["type"]) else ("comfy-core", OLDEST_COMFYUI)
    )
    said |= dict(zip(("cnr_id", "ver"), whose, strict=True))
    values = node.get("widgets_values") or []
    wanted = [name for name in values if isinstance(name, str) and has_address(name)]
    if wanted:
        said["models"] = [source(name) for name in wanted]
    return said


def has_address(name: str) -> bool:
    """Whether a file is had at one known address."""
    return name in FILES or name.startswith("edm2-")


def source(name: str) -> dict[str, str]:
    """Where a file is had and where it goes, as the frontend reads it."""
    if name not in FILES:
        return {"name": name, "url": EDM2.format(name), "directory": CHECKPOINTS}
    folder, repository, file = FILES[name]
    return {"name": name, "url": HUB.format(repository, file), "directory": folder}


def graphs(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """The graph and its subgraphs."""
    return [workflow, *workflow.get("definitions", {}).get("subgraphs", [])]


def rewritten(text: str) -> str:
    """A workflow's file as it should be, laid out as it was."""
    workflow, pack_version = json.loads(text), version()
    subgraphs = {graph.get("id") for graph in graphs(workflow)[1:]}
    for graph in graphs(workflow):
        for node in graph["nodes"]:
            if node["type"] not in subgraphs:
                node["properties"] = properties(node, pack_version)
    indent = len(text.splitlines()[1]) - len(text.splitlines()[1].lstrip())
    return json.dumps(workflow, indent=indent, ensure_ascii=False) + ("\n" * text.endswith("\n"))


def main() -> int:
    paths = sorted([*(ROOT / "workflows").glob("*.json"), *(ROOT / "subgraphs").glob("*.json")])
    wrong = [
        path for path in paths if path.read_text("utf-8") != rewritten(path.read_text("utf-8"))
    ]
    for path in wrong:
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)} is not as tools/workflow_properties.py writes it")
        else:
            path.write_text(rewritten(path.read_text("utf-8")), encoding="utf-8")
    return 1 if wrong and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
