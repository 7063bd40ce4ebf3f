"""What the samples show: classes, prompts a model reads itself, or prompts a text encoder has read before."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import torch
from ar_guidance.conditioning.prompt import PromptConditioning
from ar_guidance.conditioning.text import TextConditioning, read_conditioning
from ar_guidance.loaders.text.prompts import read_own_tokenizer
from ar_guidance.models.text.encoders import MARK
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from ..bundled.groups import ANY_STYLE
from ..pack import ROOT
from .edm2 import LoadedEDM2
from .models import AnyModel
from .problems import EvaluationError

REFERENCE = ROOT / "tests" / "bundled" / "reference.safetensors"
GOLDEN = (math.sqrt(5) - 1) / 2
PARTS = {"features": "", "mask": "attention_mask", "pooled": "pooled_output"}
Address = tuple[int, int]  # (seed, image index)


@dataclass(frozen=True)
class Asked:
    """Conditions of a few samples.

    Attributes:
        branches: the conditional and the unconditional branch's, as the network takes them.
        targets: (B,) the class each sample should show, as a judge numbers classes, or None.
        prompts: the words, or ().
    """

    branches: tuple[Any, Any]
    targets: Tensor | None = None
    prompts: tuple[str, ...] = field(default=())


class Conditions(Protocol):
    """What to generate, as a function of a sample's address."""

    def of(self, model: AnyModel, samples: Sequence[Address]) -> Asked: ...


def conditions_of(written: Mapping[str, Any], each: int, weights: Path) -> Conditions:
    """Conditions as plans write them.

    Args:
        each: images of a seed.
        weights: folder that paths start from.

    Raises:
        EvaluationError: unknown names, unreadable files.
    """
    kinds = {"classes", "prompts", "conditioning"} & set(written)
    if len(kinds) != 1:
        raise EvaluationError(
            "'conditions' must name classes, prompts or conditioning, one of them"
        )
    if "classes" in written:
        return _classes(written["classes"], each)
    if "prompts" in written:
        lines = read_prompts((weights / str(written["prompts"])).expanduser())
        return Prompts(lines, str(written.get("negative", "")))
    negative = written.get("negative")
    return Encoded(
        (weights / str(written["conditioning"])).expanduser(),
        None if negative is None else (weights / str(negative)).expanduser(),
    )


def _classes(written: Any, each: int) -> Conditions:
    if written == "training":
        return TrainingClasses(each)
    if written == "all":
        return Classes(())
    if isinstance(written, list) and written and all(type(one) is int for one in written):
        return Classes(tuple(written))
    raise EvaluationError(
        f"'classes' must be all, training (of the bundled models) or a list of class numbers, not {written!r}"
    )


@dataclass(frozen=True)
class Classes:
    """Class numbers in turn; () = every class the model has, so that any stretch of samples shows all alike."""

    numbers: tuple[int, ...]

    def of(self, model: AnyModel, samples: Sequence[Address]) -> Asked:
        count = getattr(model.config, "classes", 0)
        numbers = self.numbers or tuple(range(count))
        if not count or max(numbers) >= count:
            raise EvaluationError(
                f"model '{model.name}' ({model.family.title}) has {count} classes: correct 'conditions'"
            )
        labels = torch.tensor([numbers[image % len(numbers)] for _, image in samples])
        null = model.null_condition(len(labels))
        return Asked((labels.to(model.device), null), labels)


@dataclass(frozen=True)
class TrainingClasses:
    """Groups of the bundled drawings in the proportions they were trained in, any style.

    Evenly spaced places along the drawings sorted by group, from a start of the seed's own: less scatter than drawing them at
    random. They are visited in golden-ratio steps, so that any stretch of samples shows about the same groups.
    """

    each: int

    def of(self, model: AnyModel, samples: Sequence[Address]) -> Asked:
        groups = torch.tensor([self.group(seed, image) for seed, image in samples])
        labels = groups * (ANY_STYLE + 1) + ANY_STYLE
        if getattr(model.config, "classes", 0) <= int(labels.max()):
            raise EvaluationError(
                f"'classes: training' is for the bundled models; '{model.name}' is another model"
            )
        null = model.null_condition(len(labels))
        return Asked((labels.to(model.device), null), groups)

    def group(self, seed: int, image: int) -> int:
        """The group of one image."""
        drawings = _drawings()
        start = torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        place = (image * _stride(self.each) % self.each + start) * drawings.sum() / self.each
        return int(torch.searchsorted(drawings.cumsum(0), place, right=True))


@lru_cache
def _drawings() -> Tensor:
    """How many training drawings every group has."""
    return load_file(REFERENCE)["groups"].double()


@lru_cache
def _stride(count: int) -> int:
    """A step near the golden ratio of `count` that visits all of them."""
    near = max(1, round(GOLDEN * count))
    return next(step for step in range(near, near + count + 1) if math.gcd(step, count) == 1)


def read_prompts(path: Path) -> tuple[str, ...]:
    """A prompt per line of a text file; empty lines are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: the prompts cannot be read: {error}") from error
    found = tuple(line.strip() for line in lines if line.strip())
    if not found:
        raise EvaluationError(f"{path}: there is no prompt in it")
    return found


@dataclass(frozen=True)
class Prompts:
    """Prompts in turn, for models that read text themselves."""

    lines: tuple[str, ...]
    negative: str = ""

    def of(self, model: AnyModel, samples: Sequence[Address]) -> Asked:
        chosen = tuple(self.lines[image % len(self.lines)] for _, image in samples)
        if isinstance(model, LoadedEDM2) or model.family.prompt is None:
            raise EvaluationError(
                f"model '{model.name}' ({model.family.title}) does not read text itself: encode the prompts first and name"
                " the file under 'conditioning' (docs/evaluation.md)"
            )
        condition = PromptConditioning(chosen, self.negative, read_own_tokenizer(model.folder))
        return Asked(condition.branches(model, 1), prompts=chosen)


@dataclass(frozen=True)
class Encoded:
    """Prompts as a text encoder left them, in turn: what `python -m tools.evaluate.encode` writes.

    The file is safetensors with `features` (N, n, E), optionally `mask` (N, n) and `pooled` (N, P), and in its metadata
    the encoder's mark and the prompts, one a line. Only the rows that are wanted are read.
    """

    path: Path
    negative: Path | None = None

    def of(self, model: AnyModel, samples: Sequence[Address]) -> Asked:
        positive, prompts = _entries(self.path, [image for _, image in samples])
        negative = [] if self.negative is None else _entries(self.negative, [0])[0]
        condition = TextConditioning(
            read_conditioning(positive, self.path.name),
            read_conditioning(negative, self.path.name) if negative else (),
        )
        if isinstance(model, LoadedEDM2):
            raise EvaluationError(f"model '{model.name}' ({model.family.title}) reads no text")
        condition.check(model)
        return Asked(condition.branches(model, 1), prompts=prompts)


def _entries(path: Path, images: Sequence[int]) -> tuple[list[Any], tuple[str, ...]]:
    """Stock CONDITIONING entries of some prompts, and their words where the file has them."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            parts = {name: file.get_slice(name) for name in file.keys() if name in PARTS}
            count = parts["features"].get_shape()[0]
            rows = [image % count for image in images]
            entries = [_entry(parts, row, metadata.get("encoder", "")) for row in rows]
    except (OSError, SafetensorError, KeyError) as error:
        raise EvaluationError(f"{path}: these encoded prompts cannot be read: {error}") from error
    words = metadata.get("prompts", "").splitlines()
    return entries, tuple(words[row] for row in rows) if len(words) == count else ()


def _entry(parts: Mapping[str, Any], row: int, mark: str) -> list[Any]:
    """One prompt as ComfyUI's nodes pass it on."""
    options: dict[str, Any] = {MARK: mark} if mark else {}
    options |= {PARTS[name]: part[row : row + 1] for name, part in parts.items() if PARTS[name]}
    return [parts["features"][row : row + 1], options]
