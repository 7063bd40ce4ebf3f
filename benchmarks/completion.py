"""Image completion with and without SSG, and how far each scale's image is from the given one (SSG, arXiv 2602.05534, Fig. 2).

    python -m benchmarks.completion [--images 96] [--beta 1.2] [--lpips ALEXNET] [--output docs/data/completion.json]

Given are images that the bundled model made itself under CFG 4, since no photograph is at hand: half of each is kept, the other half is drawn
again from other random numbers, under CFG 4 and under CFG 4 with SSG on the same ones. After every scale the image so far is compared with the given one: the
distance of the bundled classifier's features as a share of the length of the given image's; with `--lpips` also LPIPS,
if the `lpips` package is installed, its AlexNet from a file (torchvision's `alexnet-owt-7be5be79.pth`): nothing is fetched. ± is half a 95 % interval over images; SSG − CFG is taken
image by image, bold where it stands among all scales (Bonferroni). `python -m benchmarks.sweep_document` puts the table of docs/data/completion.json into docs/guidance-sweep.md.
"""

import argparse
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.base import Guidance, RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.guidance.ssg import SSG
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.edit import KeptTokens, keep_outside
from ar_guidance.sampling.scalewise import ScalewiseJob, generate
from ar_guidance.tools.bundled.classifier import load_classifier
from ar_guidance.tools.bundled.groups import ANY_STYLE, NAMES
from ar_guidance.tools.bundled.sample import load_pair
from ar_guidance.tools.bundled.seeds import Estimate, estimate
from ar_guidance.tools.evaluate.library import make_torchvision_importable
from ar_guidance.tools.pack import ROOT
from scipy.special import stdtrit
from torch import Tensor

CPU, SCALE, TOP_P = torch.device("cpu"), 4.0, 0.95
CLASSIFIER = ROOT / "tests" / "bundled" / "classifier.safetensors"
Measure = Callable[
    [Tensor, Tensor], Tensor
]  # images (B, 3, H, W) in [-1, 1], the given ones -> (B,)


def half_kept(grid: tuple[int, int]) -> Tensor:
    """(H, W) 1 = keep: the left half."""
    mask = torch.zeros(grid)
    mask[:, : grid[1] // 2] = 1
    return mask


def check_mask(mask: Tensor) -> None:
    """Raise ValueError where there is nothing to complete, or nothing to complete it from."""
    if mask.bool().all():
        raise ValueError(
            "the mask keeps the whole image, so nothing is left to complete: keep less"
        )
    if not mask.any():
        raise ValueError(
            "the mask keeps nothing of the image, so there is nothing to complete it from: keep more"
        )


class Completion:
    """The bundled model, completing images.

    Args:
        images: how many.
        batch: at once.
    """

    def __init__(self, images: int, batch: int = 32) -> None:
        self.codec, self.network = load_pair(ROOT / "bundled", "scale")
        self.grids = self.network.config.grids
        self.run = RunInfo("scale", self.grids, published=Schedule("linear ramp"))
        self.groups, self.size = torch.arange(images) % len(NAMES), batch

    @torch.inference_mode()
    def draw(
        self, first: int, seed: int, chain: tuple[Guidance, ...], kept: KeptTokens | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Tokens of every scale, and the image (B, 3, H, W) after every scale, of the batch from `first` on."""
        groups = self.groups[first : first + self.size]
        labels, seen = groups * (ANY_STYLE + 1) + ANY_STYLE, []
        job = ScalewiseJob(
            conditions=(labels, self.network.null_condition(len(labels))),
            batch=len(labels),
            run=self.run,
            chain=Chain(chain),
            draw=StreamSampler(Filters(top_p=TOP_P), Streams(seed, len(labels), first)),
            kept=kept,
        )

        def keep_image(progress: Any) -> None:
            seen.append(self.codec.decode(progress.features))

        made = generate(self.network, self.codec, job, CPU, keep_image)
        return list(made.tokens), seen

    def distances(
        self, mask: Tensor, chains: dict[str, tuple[Guidance, ...]], measure: Measure
    ) -> dict[str, Tensor]:
        """Chain -> (images, scales) distance of the completed image so far to the given one."""
        check_mask(mask)
        found: dict[str, list[Tensor]] = {name: [] for name in chains}
        for first in range(0, len(self.groups), self.size):
            tokens, images = self.draw(first, 0, (CFG(SCALE),))
            kept = KeptTokens(tokens, keep_outside(mask, self.grids))
            for name, chain in chains.items():
                _, seen = self.draw(first, 1, chain, kept)
                found[name].append(torch.stack([measure(one, images[-1]) for one in seen], 1))
        return {name: torch.cat(parts) for name, parts in found.items()}


def by_classifier() -> Measure:
    """Distance of the bundled classifier's features as a share of the length of the given image's."""
    network = load_classifier(CLASSIFIER)

    @torch.inference_mode()
    def measure(images: Tensor, given: Tensor) -> Tensor:
        made, wanted = network.features(images), network.features(given)
        return (made - wanted).norm(dim=1) / wanted.norm(dim=1)

    return measure


def by_lpips(weights: Path) -> Measure:
    """LPIPS of the `lpips` package, whose linear layers come with it, images enlarged to 256 pixels a side.

    Args:
        weights: AlexNet as torchvision stores it.
    """
    make_torchvision_importable()
    try:
        import lpips  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SystemExit("--lpips needs the package 'lpips', which is not installed") from error
    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    network.net.load_state_dict(alexnet(weights, network.net.state_dict()))

    @torch.inference_mode()
    def measure(images: Tensor, given: Tensor) -> Tensor:
        large = [torch.nn.functional.interpolate(x, size=(256, 256)) for x in (images, given)]
        return network(*large).flatten()

    return measure


def alexnet(path: Path, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's AlexNet under the names `lpips` has for its layers ("features.3.bias" is "slice2.3.bias").

    Raises:
        SystemExit: another file.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        return {key: stored[f"features.{key.partition('.')[2]}"] for key in own}
    except (OSError, pickle.UnpicklingError, RuntimeError, KeyError, TypeError) as error:
        raise SystemExit(
            f"{path}: these are not torchvision's weights of AlexNet: {error}"
        ) from error


def told(found: dict[str, Tensor]) -> dict[str, list[Estimate]]:
    """Per scale: every chain's mean, and the second less the first, image by image."""
    first, second = found
    rows = {**found, f"{second} − {first}": found[second] - found[first]}
    return {name: [estimate(column.tolist()) for column in row.T] for name, row in rows.items()}


def table(content: dict[str, Any], measure: str) -> list[str]:
    """Markdown of a measure in what `--output` stores: the first chain's means, and how far the second one is from them."""
    heads, rows = content["scales"], content[measure]
    first, _, difference = rows
    apart = [_difference(*one, content["images"], len(heads)) for one in rows[difference]]
    cells = {first: [f"{mean:.3f}" for mean, _ in rows[first]], difference: apart}
    lines = [f"| | {' | '.join(heads)} |", f"|{'---|' * (len(heads) + 1)}"]
    return [*lines, *(f"| {name} | {' | '.join(row)} |" for name, row in cells.items())]


def _difference(mean: float, half: float, images: int, asked: int) -> str:
    """One cell: bold where it differs from 0 although `asked` are asked about."""
    if not mean and not half:
        return "0"
    alone, together = (stdtrit(images - 1, 1 - 0.025 / count) for count in (1, asked))
    text = f"{mean:+.3f} ± {half:.3f}".replace("-", "−")
    return f"**{text}**" if abs(mean) > half * together / alone else text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=96)
    parser.add_argument("--beta", type=float, default=SSG().beta)
    parser.add_argument("--lpips", type=Path, metavar="ALEXNET")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    completion = Completion(given.images)
    chains: dict[str, tuple[Guidance, ...]] = {
        "CFG": (CFG(SCALE),),
        "CFG, SSG": (CFG(SCALE), SSG(given.beta)),
    }
    measures = {"classifier": by_classifier()}
    if given.lpips:
        measures["LPIPS"] = by_lpips(given.lpips)
    mask = half_kept(completion.grids[-1])
    content: dict[str, Any] = {"images": given.images, "beta": given.beta}
    content["scales"] = [f"{h}×{w}" for h, w in completion.grids]
    for name, measure in measures.items():
        rows = told(completion.distances(mask, chains, measure))
        content[name] = {
            c: [[round(e.mean, 6), round(e.half, 6)] for e in row] for c, row in rows.items()
        }
        print("\n".join([f"{name}:", *table(content, name)]))
    if given.output:
        given.output.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
