"""What a worker does: load each model once, make shards of samples, look at them, and give back numbers."""

import hashlib
import io
import os
import platform
import socket
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ar_guidance.guidance.record import NULL_RECORDER
from ar_guidance.imaging.token_file import write_tokens
from ar_guidance.imaging.tokens import owned
from ar_guidance.sampling.draw import Streams
from ar_guidance.sampling.entropy import EntropyTemperature
from ar_guidance.sampling.heun import Heun
from ar_guidance.sampling.loops import LOOPS, Generated, grids_of
from ar_guidance.sampling.plan import SamplerSettings, plan
from PIL import Image
from torch import Tensor

from ..bundled.sample import as_uint8
from .chains import chain_of
from .conditions import Asked, Conditions, conditions_of
from .edm2 import LoadedEDM2
from .judges import Judge, open_judge
from .models import AnyModel, LoadedModel, load
from .plan import Plan, Setting
from .problems import EvaluationError, SampleError
from .shards import Made, Shard
from .tracing import Tracing
from .version import version
from .weights import check_hashes, files_of

DECODED_AT_ONCE = 512 * 512 * 4  # pixels


@dataclass(frozen=True)
class Order:
    """What every worker is told: plain data, so that it can go to another machine.

    Attributes:
        plan: what is made.
        weights: folder that paths of the plan start from.
        device: "cpu", "cuda" or "cuda:1".
        version: of the pack and torch, as the one who gives the order has them.
        hashes: model -> part -> SHA-256, likewise.
    """

    plan: Plan
    weights: str
    device: str
    version: str
    hashes: Mapping[str, Mapping[str, str]]


@dataclass
class Worker:
    """Makes shards. Holds the model used last and what looks at samples."""

    order: Order
    model: AnyModel | None = None
    judges: dict[str, Judge] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = version()
        if own != self.order.version:
            raise EvaluationError(
                f"the worker on {socket.gethostname()} has another version of the pack or of torch ({own}) than the one"
                f" that started this run ({self.order.version}): bring all machines to the same version"
            )
        self.device = torch.device(self.order.device)
        if self.device.type == "cpu":
            torch.set_num_threads(self.order.plan.threads)

    def make(self, shard: Shard) -> Made:
        """All samples of a shard.

        Raises:
            SampleError: what came out cannot be used.
            EvaluationError: it cannot be made at all.
        """
        started = time.monotonic()
        setting = self.order.plan.settings[shard.setting]
        model = self.loaded(setting.model)
        conditions = conditions_of(
            setting.conditions, self.order.plan.each, Path(self.order.weights)
        )
        columns: dict[str, list[np.ndarray]] = defaultdict(list)
        files: dict[str, bytes] = {}
        for numbers in shard.batches(self.order.plan.batch):
            found, kept = self.batch(model, setting, conditions, numbers)
            for name, values in found.items():
                columns[name].append(values)
            files |= kept
        arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
        _check_finite(setting, shard, arrays, tuple(f"{name}." for name in self.order.plan.judges))
        notes = {"host": socket.gethostname(), "device": device_name(self.device)}
        notes |= {"seconds": f"{time.monotonic() - started:.3f}", "pid": str(os.getpid())}
        return Made(shard, arrays, files, notes)

    def loaded(self, name: str) -> AnyModel:
        """A model of the plan, its files those the order names; the one before is let go."""
        if self.model is None or self.model.name != name:
            self.model = None
            spec, weights = self.order.plan.models[name], Path(self.order.weights)
            found = check_hashes(name, spec, files_of(name, spec, weights))
            if found != self.order.hashes[name]:
                raise EvaluationError(
                    f"model '{name}': the files on {socket.gethostname()} are not those of the machine that started this"
                    " run (their SHA-256 differs): copy the same files to every machine"
                )
            self.model = load(name, spec, weights, self.device)
        return self.model

    def judge(self, name: str) -> Judge:
        """One that looks at samples, made once."""
        if name not in self.judges:
            options = self.order.plan.judges[name]
            self.judges[name] = open_judge(name, options, Path(self.order.weights), self.device)
        return self.judges[name]

    @torch.inference_mode()
    def batch(
        self, model: AnyModel, setting: Setting, conditions: Conditions, numbers: range
    ) -> tuple[dict[str, np.ndarray], dict[str, bytes]]:
        """Samples of one pass: what was measured of each, and what is kept."""
        samples = [self.order.plan.address(n) for n in numbers]
        asked = conditions.of(model, samples)
        spread = self.order.plan.trace
        tracing = Tracing.of(model, spread) if spread else None
        made = generate(model, setting, asked, samples, tracing)
        images = decode(model, made.features)
        found = {"digest": digests(made.steps)}
        if tracing is not None:
            found |= tracing.measured(images)
        for name in self.order.plan.judges:
            looked = self.judge(name).look(images, asked)
            found |= {f"{name}.{column}": values for column, values in looked.items()}
        return found, kept_files(self.order.plan.keep, model, made, images, numbers)


def generate(
    model: AnyModel,
    setting: Setting,
    asked: Asked,
    samples: Sequence[tuple[int, int]],
    tracing: Tracing | None = None,
) -> Generated:
    """Run the loop the nodes run; sample i draws from the random stream of `samples[i]`.

    Raises:
        EvaluationError: a guidance or a setting that cannot act on this model.
    """
    if isinstance(model, LoadedEDM2):
        return denoise(model, setting, asked, samples, tracing)
    try:
        sampler = sampler_of(setting.sampler)
        chain = chain_of(setting.chain)
        streams = Streams.of(samples)
        job = plan(model, asked.branches, len(samples), chain, sampler, streams)
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{setting.name} on '{setting.model}': {error}") from error
    recorder = NULL_RECORDER if tracing is None else tracing.recorder(job.run)
    on_step = (lambda progress: None) if tracing is None else tracing.on_step
    try:
        return LOOPS[model.family.kind].run(model, job, model.device, on_step, recorder)
    except ValueError as error:  # predictions that are not numbers
        raise SampleError(f"{setting.name} on '{setting.model}': {error}") from error


def denoise(
    model: LoadedEDM2,
    setting: Setting,
    asked: Asked,
    samples: Sequence[tuple[int, int]],
    tracing: Tracing | None = None,
) -> Generated:
    """`generate` of a diffusion model. It has no tokens: the bits of what it draws stand in their place.

    Raises:
        EvaluationError: a guidance or a setting that cannot act on this model.
    """
    try:
        heun = Heun(**setting.sampler)
        recorder = NULL_RECORDER if tracing is None else tracing.recorder(model.run(heun.steps))
        chain, streams = chain_of(setting.chain), Streams.of(samples)
        x = model.sample(asked.branches[0], chain, heun, streams, recorder)
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{setting.name} on '{setting.model}': {error}") from error
    return Generated(x, [x.contiguous().view(torch.int32)])


def sampler_of(written: Mapping[str, Any]) -> SamplerSettings:
    """Sampler settings as a plan writes them: lists, and AR Entropy Temperature's numbers by name."""
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in written.items()}
    if given.get("by_entropy") is not None:
        given["by_entropy"] = EntropyTemperature(**given["by_entropy"])
    return SamplerSettings(**given)


def decode(model: AnyModel, features: Tensor) -> Tensor:
    """Feature maps -> images (B, 3, H, W) in [-1, 1], as many at once as make a megapixel."""
    height, width = model.resolution
    parts = features.split(max(1, DECODED_AT_ONCE // (height * width)))
    return torch.cat([model.decode(part) for part in parts]).float()


def digests(steps: Sequence[Tensor]) -> np.ndarray:
    """(B,) a number for the tokens of every sample: equal ones mean equal tokens."""
    lines = torch.cat([step.flatten(1) for step in steps], 1).long().cpu().numpy()
    found = [hashlib.blake2b(line.tobytes(), digest_size=8).digest() for line in lines]
    return np.frombuffer(b"".join(found), dtype="<u8").copy()


def kept_files(
    keep: str, model: AnyModel, made: Generated, images: Tensor, numbers: range
) -> dict[str, bytes]:
    """What is stored of samples: a PNG each, or one file of tokens that AR Load Tokens reads."""
    if keep == "png":
        pixels = as_uint8(images).cpu().numpy()
        return {f"{n:06d}.png": _png(image) for n, image in zip(numbers, pixels, strict=True)}
    if keep == "tokens" and isinstance(model, LoadedModel):
        tokens = owned(model, grids_of(model), made.steps, None if made.whole else made.features)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tokens.safetensors"
            write_tokens(tokens, path)
            return {f"{numbers[0]:06d}-{numbers[-1]:06d}.safetensors": path.read_bytes()}
    return {}


def _png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def _check_finite(
    setting: Setting, shard: Shard, arrays: Mapping[str, np.ndarray], judges: tuple[str, ...]
) -> None:
    """Refuse features that are not numbers; traces may have holes where no guidance acted."""
    for name, values in arrays.items():
        if not name.startswith(judges):
            continue
        bad = ~np.isfinite(values.reshape(len(values), -1)).all(1)
        if bad.any():
            raise SampleError(
                f"{setting.name} on '{setting.model}': {name} of {int(bad.sum())} of the samples {shard.start} to"
                f" {shard.end - 1} is not a finite number (first: sample {shard.start + int(bad.argmax())}). These samples"
                " are not stored; a guidance scale may be far too high, or half precision too narrow ('dtype: float32')"
            )


def device_name(device: torch.device) -> str:
    """For people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine() or device.type
