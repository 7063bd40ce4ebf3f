"""Two-tower networks that say how well an image fits its words: CLIPScore, PickScore, HPS v2.

Judges `clip` (cosine), `pickscore` (cosine x learnt scale / 100) and `hps` (cosine x 100). Options: `model`, a folder in transformers' layout (config.json, model.safetensors, tokenizer files), or a file of
open_clip weights with `architecture` (ViT-H-14 and the like; needs `pip install open_clip_torch`); `sha256` of the folder or
file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from ...bundled.sample import as_uint8
from ..conditions import Asked
from ..estimates import Measured, mean_of
from ..problems import EvaluationError
from ..samples import Samples
from ..weights import sha256
from . import Setup, known_options

KNOWN = {"model", "architecture", "sha256"}
KINDS = {
    "clip": ("CLIP score (cosine)", 4),
    "pickscore": ("PickScore", 4),
    "hps": ("HPS", 2),
}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
Options = Mapping[str, Any]


@dataclass(frozen=True)
class TwoTowers:
    """Images and words as vectors.

    Attributes:
        images: (B, 3, S, S) normalised -> (B, D).
        words: prompts -> (B, D).
        size: S.
        scale: what the cosine is multiplied by.
    """

    images: Callable[[Tensor], Tensor]
    words: Callable[[Sequence[str]], Tensor]
    size: int
    scale: float
    device: torch.device

    @torch.inference_mode()
    def look(self, images: Tensor, asked: Asked) -> dict[str, np.ndarray]:
        if not asked.prompts:
            raise EvaluationError(
                "this judge compares images with their words, and the samples have none: use 'prompts', or encoded prompts"
                " whose file names the words"
            )
        pixels = torch.stack([prepared(one, self.size) for one in as_uint8(images).cpu().numpy()])
        seen = F.normalize(self.images(pixels.to(self.device)).float(), dim=-1)
        read = F.normalize(self.words(asked.prompts).float(), dim=-1)
        return {"score": (self.scale * (seen * read).sum(-1)).cpu().numpy()}


def prepared(pixels: np.ndarray, size: int) -> Tensor:
    """(3, S, S): shorter side to S (bicubic), middle square, CLIP's normalisation, of an image (H, W, 3) of bytes."""
    image = Image.fromarray(pixels)
    factor = size / min(image.size)
    width, height = (max(size, round(side * factor)) for side in image.size)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - size) // 2, (height - size) // 2
    square = torch.from_numpy(np.array(image.crop((left, top, left + size, top + size))))
    channels = square.permute(2, 0, 1).float() / 255
    return (channels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def check(name: str, options: Options, weights: Path) -> None:
    """Options, files, hash."""
    known_options(name, options, KNOWN)
    if "model" not in options:
        raise EvaluationError(f"judge '{name}' needs 'model': {__doc__}")
    path = (weights / str(options["model"])).expanduser()
    if not path.exists():
        raise EvaluationError(f"judge '{name}': {path} is not there")
    if path.is_file() and "architecture" not in options:
        raise EvaluationError(
            f"judge '{name}': {path.name} is a file: name open_clip's 'architecture' for it, or give a folder in"
            " transformers' layout"
        )
    wanted = str(options.get("sha256", "")).lower()
    if wanted and not sha256(path).startswith(wanted):
        raise EvaluationError(f"judge '{name}': {path.name} has another SHA-256 than the plan says")


def open_judge(name: str, options: Options, weights: Path, device: torch.device) -> TwoTowers:
    """The network from its folder or file."""
    path = (weights / str(options["model"])).expanduser()
    if path.is_dir():
        return _transformers(path, name, device)
    return _open_clip(path, str(options["architecture"]), name, device)


def _scale(kind: str, learnt: Tensor) -> float:
    return {"clip": 1.0, "pickscore": float(learnt.detach().exp()) / 100, "hps": 100.0}[kind]


def _transformers(folder: Path, kind: str, device: torch.device) -> TwoTowers:
    from transformers import AutoTokenizer, CLIPModel

    try:
        network = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise EvaluationError(
            f"judge '{kind}': {folder} holds no CLIP in transformers' layout: {error}"
        ) from error
    network = network.eval().to(device)
    length = network.config.text_config.max_position_embeddings

    def images(pixels: Tensor) -> Tensor:
        return network.visual_projection(network.vision_model(pixel_values=pixels).pooler_output)

    def words(prompts: Sequence[str]) -> Tensor:
        read = tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=length,
            return_tensors="pt",
        )
        given = {name: read[name].to(device) for name in ("input_ids", "attention_mask")}
        return network.text_projection(network.text_model(**given).pooler_output)

    size = network.config.vision_config.image_size
    return TwoTowers(images, words, size, _scale(kind, network.logit_scale), device)


def _open_clip(path: Path, architecture: str, kind: str, device: torch.device) -> TwoTowers:
    try:
        import open_clip  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise EvaluationError(
            f"judge '{kind}': a file of weights is read by open_clip: pip install open_clip_torch"
        ) from error
    network = open_clip.create_model(architecture, pretrained=None)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(stored.get("state_dict", stored))
    network, tokenizer = network.eval().to(device), open_clip.get_tokenizer(architecture)
    size = network.visual.image_size
    return TwoTowers(
        network.encode_image,
        lambda prompts: network.encode_text(tokenizer(list(prompts)).to(device)),
        size if isinstance(size, int) else size[0],
        _scale(kind, network.logit_scale),
        device,
    )


def measure(name: str, options: Options, samples: Samples, setup: Setup) -> dict[str, Measured]:
    """The mean score."""
    title, digits = KINDS[name]
    found = mean_of(samples, f"{name}.score", title, "high", digits)
    return {} if found is None else {name: found}
