#!/usr/bin/env python3
"""Two classes in one image: are both recognised, is there a seam, and what does it cost?

    python -m benchmarks.regions [--seeds 5] [--first-seed 0] [--pictures 40] [--guidance 3:constant] [--edge 8] [--cost] [--show FILE]

The bundled scale-wise model draws one class in the left half of each image and another in the right half (AR Region), with CFG
and top-p 0.95. Every half is cut out and shown to the classifier that was trained on the same drawings, as it is on white
ground, and continued by its mirror image; so are the halves of whole images of the same classes and seeds. *recognised*: the rate
among the former as a share of the rate among the latter. *seam*: gradient energy across the middle, as a multiple of that of the whole
images there. Intervals: 95 % over the seeds.

--cost: processor time of runs of n conditions on one thread, the fastest of alternating ones, as a multiple of that of one condition with CFG.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ar_guidance.conditioning.classes import ClassConditioning
from ar_guidance.conditioning.compose import add_region, softened
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.mixture import resolve
from ar_guidance.sampling.regions import Region
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.tools.bundled.classifier import judge, load_classifier
from ar_guidance.tools.bundled.groups import ANY_STYLE
from ar_guidance.tools.bundled.sample import load_pair
from ar_guidance.tools.bundled.seams import edge_energy
from ar_guidance.tools.pack import ROOT
from torch import Tensor

SIDE = 64
CPU = torch.device("cpu")
RIGHT = (torch.arange(SIDE) >= SIDE // 2).float().expand(1, SIDE, SIDE)
EDGES = (0, 8)  # pixels of soft edge
GUIDANCES = ("4", "7")  # CFG's scale and, behind a colon, its schedule
T95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26}  # Student's t, by seeds


class Bundled:
    """The model as conditions ask for one, and the classifier."""

    name = "bundled"

    def __init__(self) -> None:
        self.tokenizer, self.network = load_pair(ROOT / "bundled", "scale")
        self.config = self.network.config
        self.family: Any = type("Family", (), {"kind": "scale"})
        self.classifier = load_classifier(ROOT / "tests" / "bundled" / "classifier.safetensors")

    def classes(self, groups: Tensor) -> ClassConditioning:
        labels = (groups * (ANY_STYLE + 1) + ANY_STYLE).tolist()
        return ClassConditioning(tuple(labels), self.config.classes, tuple(map(str, labels)))

    def job(self, condition: Any, count: int, seed: int, guidance: str = "4") -> ScalewiseJob:
        """A run of one image of each entry."""
        scale, _, schedule = guidance.partition(":")
        run = RunInfo("scale", self.config.grids, published=Schedule("linear ramp"))
        chain = Chain((CFG(float(scale), schedule or "family default"),))
        given, mixing = resolve(condition.branches(self, 1), run, chain, None)
        draw = StreamSampler(Filters(top_p=0.95), Streams(seed, count))
        return ScalewiseJob(given, count, run, chain, draw, mixing=mixing)

    @torch.inference_mode()
    def images(self, condition: Any, count: int, seed: int, guidance: str = "4") -> Tensor:
        """(B, 3, 64, 64) in [-1, 1]."""
        job = self.job(condition, count, seed, guidance)
        made = generate(self.network, self.tokenizer, job, CPU)
        return self.tokenizer.decode(made.features)

    def recognised(self, images: Tensor, groups: Tensor) -> float:
        _, logits, _ = judge(self.classifier, images)
        return float((logits.argmax(1) == groups).float().mean())


def on_white(images: Tensor, right: bool) -> Tensor:
    """A half of images (B, 3, H, W), the other half white."""
    return torch.where(RIGHT > 0 if right else RIGHT == 0, images, 1.0)


def mirrored(images: Tensor, right: bool) -> Tensor:
    """A half of images, continued by its mirror image."""
    half = images[..., SIDE // 2 :] if right else images[..., : SIDE // 2]
    return torch.cat((half.flip(-1), half) if right else (half, half.flip(-1)), dim=-1)


CROPS = {"on white": on_white, "mirrored": mirrored}


def pairs(model: Bundled, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Groups for the left and the right halves, of each pair two different ones."""
    generator = torch.Generator().manual_seed(seed)
    groups = model.config.classes // (ANY_STYLE + 1)
    left = torch.randint(groups, (count,), generator=generator)
    return left, (left + torch.randint(1, groups, (count,), generator=generator)) % groups


def measured(
    model: Bundled, count: int, seed: int, guidance: str, edges: Sequence[int] = EDGES
) -> dict[str, list[float]]:
    """Soft edge -> share of halves recognised with each crop, seam. Last: halves of the whole images, side by side."""
    left, right = pairs(model, count, seed)
    whole = [model.images(model.classes(groups), count, seed, guidance) for groups in (left, right)]
    natural = torch.cat([edge_energy(w.movedim(1, -1), RIGHT) for w in whole]).mean()

    def rate(crop: Any, ours: Sequence[Tensor]) -> float:
        of_left = model.recognised(crop(ours[0], False), left)
        return of_left + model.recognised(crop(ours[1], True), right)

    made = {
        f"{edge} px": model.images(composed(model, left, right, edge), count, seed, guidance)
        for edge in edges
    }
    made["no mixing"] = torch.where(RIGHT > 0, whole[1], whole[0])
    return {
        edge: [
            *(rate(crop, (images, images)) / rate(crop, whole) for crop in CROPS.values()),
            float(edge_energy(images.movedim(1, -1), RIGHT).mean() / natural),
        ]
        for edge, images in made.items()
    }


def composed(model: Bundled, left: Tensor, right: Tensor, edge: int) -> Any:
    return add_region(model.classes(left), model.classes(right), Region(softened(RIGHT, edge)))


def interval(values: Sequence[float]) -> str:
    """Mean and half the 95 % interval."""
    half = T95.get(len(values), 1.96) * statistics.stdev(values) / len(values) ** 0.5
    return f"{statistics.mean(values):.2f} ±{half:.2f}"


def cost(model: Bundled, batch: int = 4, repeats: int = 4) -> None:
    """Print processor times of runs of 1, 2, 4 and 8 conditions, as multiples of the first's."""
    numbers = (1, 2, 4, 8)
    seconds: dict[int, list[float]] = {n: [] for n in numbers}
    for _ in range(repeats):
        for n in numbers:
            condition: Any = model.classes(torch.full((batch,), 3))
            for i in range(1, n):
                mask = torch.zeros(1, SIDE, SIDE)
                mask[:, :, i * SIDE // n : (i + 1) * SIDE // n] = 1
                condition = add_region(
                    condition, model.classes(torch.full((batch,), 3 + i)), Region(mask)
                )
            started = time.thread_time()
            with torch.inference_mode():
                generate(model.network, model.tokenizer, model.job(condition, batch, 1), CPU)
            seconds[n].append(time.thread_time() - started)
    one = min(seconds[1])
    print("| conditions | bound (n + 1) / 2 | measured |\n|---|---|---|")
    for n in numbers[1:]:
        print(f"| {n} | {(n + 1) / 2:.1f} | {min(seconds[n]) / one:.2f} |")


def show(model: Bundled, path: Path, seed: int = 1, count: int = 8) -> None:
    """A sheet at CFG 7: whole images of both classes, and both as halves of one with a soft edge of 16 pixels."""
    left, right = pairs(model, count, seed)
    rows = [model.images(model.classes(groups), count, seed, "7") for groups in (left, right)]
    rows.append(model.images(composed(model, left, right, 16), count, seed, "7"))
    sheet = torch.cat([torch.cat(list(row), dim=-1) for row in rows], dim=-2)
    from PIL import Image

    pixels = ((sheet.movedim(0, -1) + 1) * 127.5).clamp(0, 255).byte().numpy()
    Image.fromarray(pixels).resize((sheet.shape[-1] * 2, sheet.shape[-2] * 2), 0).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--guidance", action="append", help="scale or scale:schedule; repeatable")
    parser.add_argument("--edge", action="append", type=int, help="soft edge in pixels; repeatable")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--show", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = Bundled()
    if options.show:
        show(model, options.show)
        return
    if options.cost:
        cost(model)
        return
    print(
        "| CFG | soft edge | recognised, on white | recognised, mirrored | seam |\n|---|---|---|---|---|"
    )
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for guidance in options.guidance or GUIDANCES:
        edges = options.edge or EDGES
        rows = [measured(model, options.pictures, seed, guidance, edges) for seed in seeds]
        for edge in rows[0]:
            columns = zip(*(found[edge] for found in rows), strict=True)
            cells = " | ".join(interval(column) for column in columns)
            print(f"| {guidance} | {edge} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
