"""A small classifier of the drawings: it judges generated images (accuracy, Frechet distance)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .augment import Variation, vary
from .checkpoint import Log, load_state, save_state, save_weights
from .data import Drawings
from .groups import NAMES, STYLES
from .metrics import Gaussian
from .optim import Average, Muon, cosine, muon_groups
from .tokens import may_mirror

WIDTHS = (32, 64, 96, 128)
FEATURES = WIDTHS[-1]


class Stage(nn.Module):
    """Convolution with stride 2, then a residual pair of convolutions."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(width_in, width_out, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(self.down(x)))
        return x + F.gelu(self.norm2(self.conv(x)))


class Classifier(nn.Module):
    """Pictures (B, 3, 64, 64) in [-1, 1] -> group and style logits, from shared `features`."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip((3, *WIDTHS[:-1]), WIDTHS, strict=True)
        self.stages = nn.ModuleList(Stage(a, b) for a, b in pairs)
        self.group = nn.Linear(FEATURES, len(NAMES))
        self.style = nn.Linear(FEATURES, len(STYLES))

    def features(self, pictures: Tensor) -> Tensor:
        """(B, 128): means over the image of the last stage."""
        x = pictures
        for stage in self.stages:
            x = stage(x)
        return x.mean((2, 3))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        features = F.dropout(self.features(pictures), 0.2, self.training)
        return self.group(features), self.style(features)


@dataclass(frozen=True)
class ClassifierRecipe:
    """How long and how fast; the defaults are those of the released weights."""

    steps: int = 1500
    batch: int = 64
    rate: float = 3e-3
    decay: float = 0.1
    average: float = 0.995
    variation: Variation = Variation(shift=5.0, scale=0.18, hue=0.4, hue_share=0.5)


def _loss(network: Classifier, images: Tensor, groups: Tensor, styles: Tensor) -> Tensor:
    group, style = network(images)
    return F.cross_entropy(group, groups, label_smoothing=0.1) + 0.3 * F.cross_entropy(
        style, styles
    )


def train_classifier(
    drawings: Drawings, folder: Path, recipe: ClassifierRecipe, device: str
) -> None:
    """Run (or go on with) the training; the averaged weights end up in `classifier.pt`."""
    train, held = drawings.split()
    torch.manual_seed(5)
    network = Classifier().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = Average(network, recipe.average)
    heads = {"group.weight", "style.weight"}
    groups = muon_groups(network.named_parameters(), recipe.decay, heads)
    optimiser, first = Muon(groups, recipe.rate), 0
    stored = load_state(folder / "classifier.pt")
    if stored is not None:
        first = stored["step"]
        network.load_state_dict(stored["network"])
        average.load_state_dict(stored["average"])
        optimiser.load_state_dict(stored["optimiser"])
    mirror, log = may_mirror(train.groups), Log(folder / "classifier.jsonl")
    for step in range(first, recipe.steps):
        rng = torch.Generator().manual_seed(step)
        rows = torch.randint(len(train.codes), (recipe.batch,), generator=rng)
        images = vary(train.images[rows], mirror[rows], recipe.variation, rng).to(device)
        images = images.contiguous(memory_format=torch.channels_last)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * cosine(step, recipe.steps, warmup=50)
        labels = (train.groups[rows].to(device), train.styles[rows].to(device))
        loss = _loss(network.train(), images, *labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        average.update(network)
        if (step + 1) % 250 == 0 or step + 1 == recipe.steps:
            probe = Classifier()
            probe.load_state_dict(average.weights)
            log.write(step=step + 1, loss=float(loss.detach()), **accuracies(probe.eval(), held))
            state = {"step": step + 1, "network": network.state_dict()}
            state |= {"average": average.state_dict(), "optimiser": optimiser.state_dict()}
            save_state(folder / "classifier.pt", state)


@torch.no_grad()
def accuracies(network: Classifier, drawings: Drawings) -> dict[str, float]:
    """Shares of drawings whose group, group among the best five, and style are found."""
    group, style = judge(network, drawings.pictures())[1:]
    return {
        "group": float((group.argmax(1) == drawings.groups).float().mean()),
        "top5": float((group.topk(5)[1] == drawings.groups[:, None]).any(1).float().mean()),
        "style": float((style.argmax(1) == drawings.styles).float().mean()),
    }


@torch.no_grad()
def judge(network: Classifier, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features, group logits, style logits of many images."""
    parts = [network.features(part) for part in pictures.split(128)]
    features = torch.cat(parts)
    return features, network.group(features), network.style(features)


def store_classifier(folder: Path, target: Path) -> None:
    """Write the trained classifier as fp16 safetensors."""
    state = load_state(folder / "classifier.pt")
    if state is None:
        raise FileNotFoundError(f"no classifier.pt in {folder}: train the classifier first")
    metadata = {"groups": json.dumps(NAMES), "styles": json.dumps(STYLES), "licence": "MIT"}
    save_weights(target, state["average"]["weights"], metadata)


def store_reference(classifier: Classifier, drawings: Drawings, target: Path) -> None:
    """Write what tests and benchmarks compare with: the training drawings' features as a Gaussian, and their groups."""
    train, _ = drawings.split()
    gaussian = Gaussian.of(judge(classifier, train.pictures())[0])
    save_file(
        {
            "mean": torch.from_numpy(gaussian.mean).float(),
            "covariance": torch.from_numpy(gaussian.covariance).float(),
            "groups": torch.bincount(train.groups, minlength=len(NAMES)),
        },
        target,
    )


def load_classifier(path: Path) -> Classifier:
    """The stored classifier, ready to judge."""
    network = Classifier()
    with safe_open(path, "pt") as file:
        network.load_state_dict({name: file.get_tensor(name).float() for name in file.keys()})
    return network.eval()
