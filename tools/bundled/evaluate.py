"""Prints the table of a bundled model: reconstruction, guidance, copies.

python -m tools.bundled.evaluate --work .bundled-work
python -m tools.bundled.evaluate --work .bundled-work --kind token [--method SoftCFG]
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from ..pack import ROOT
from .classifier import Classifier, judge, load_classifier
from .data import Drawings, prepare
from .groups import row
from .metrics import Gaussian, coarse, frechet, near_copy_share
from .sample import FILES, GUIDANCES, Sampling, draw, load_pair, reconstruct
from .tokenizer import psnr

SCALES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
FILTERED_SCALES = (1.0, 2.0, 4.0, 6.0)


@dataclass
class Reference:
    """What generated images are compared with."""

    judge: Classifier
    train: Tensor  # features
    held: Tensor
    train_coarse: Tensor
    held_coarse: Tensor

    @classmethod
    def of(cls, classifier: Classifier, train: Tensor, held: Tensor) -> Reference:
        """From images."""
        features = [judge(classifier, pictures)[0] for pictures in (train, held)]
        return cls(classifier, *features, coarse(train), coarse(held))

    def row(self, name: str, pictures: Tensor, groups: Tensor, styles: Tensor) -> dict:
        """One line of the table."""
        features, group, style = judge(self.judge, pictures)
        return {
            "pictures": name,
            "group": float((group.argmax(1) == groups).float().mean()),
            "top5": float((group.topk(5)[1] == groups[:, None]).any(1).float().mean()),
            "style": float((style.argmax(1) == styles).float().mean()),
            "frechet": frechet(Gaussian.of(features), Gaussian.of(self.train)),
            "copies": near_copy_share(features, self.held, self.train),
            "coarse": near_copy_share(coarse(pictures), self.held_coarse, self.train_coarse),
        }


def reconstruction_text(held: Drawings, coded: Tensor, plain: Tensor) -> str:
    """PSNR of the tokenizer on held-out drawings, three ways."""
    real = held.pictures()
    pooled = -10 * ((coded - real).square().mean() / 4).log10()
    return (
        f"Tokenizer, {len(real)} held-out drawings: PSNR {psnr(coded, real).mean():.2f} dB (mean "
        f"over drawings; median {psnr(coded, real).median():.2f}; of the mean error "
        f"{pooled:.2f}); without quantisation {psnr(plain, real).mean():.2f} dB"
    )


def markdown(rows: list[dict]) -> str:
    """The rows as a table."""
    lines = [
        "| images | group | in top 5 | style | Fréchet | near-copies, features "
        "| near-copies, 16×16 |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['pictures']} | {r['group']:.3f} | {r['top5']:.3f} | {r['style']:.3f} | "
            f"{r['frechet']:.2f} | {r['copies']:.3f} | {r['coarse']:.3f} |"
        )
    return "\n".join(lines)


def sampled_labels(train: Drawings, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Groups and styles in the proportion of the training drawings."""
    rng = torch.Generator().manual_seed(seed)
    rows = torch.randint(len(train.codes), (count,), generator=rng)
    return train.groups[rows], train.styles[rows]


def generated_row(job: tuple[argparse.Namespace, Reference, Drawings, Sampling]) -> dict:
    """Draw the images of one setting and judge them."""
    options, reference, train, how = job
    torch.set_num_threads(1)
    groups, styles = sampled_labels(train, options.count, options.seed)
    labels = row(groups, styles)  # type: ignore[arg-type]
    made = draw(load_pair(options.weights, options.kind), labels, how, options.seed)  # type: ignore[arg-type]
    name = f"generated, scale {how.scale:g}"
    name += f", {how.method}" if how.method != "CFG" else ""
    name += f", top-k {how.top_k}" if how.top_k else ""
    name += f", top-p {how.top_p:g}" if how.top_p < 1 else ""
    return reference.row(name, made, groups, styles)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Evaluate the bundled model")
    parser.add_argument("--work", type=Path, default=ROOT / ".bundled-work")
    parser.add_argument("--weights", type=Path, default=ROOT / "bundled")
    parser.add_argument(
        "--classifier", type=Path, default=ROOT / "tests" / "bundled" / "classifier.safetensors"
    )
    parser.add_argument("--kind", choices=FILES, default="scale", help="which bundled model")
    parser.add_argument("--method", choices=GUIDANCES, default="CFG")
    parser.add_argument("--count", type=int, default=1000, help="pictures a row")
    parser.add_argument("--scales", type=float, nargs="*", default=SCALES)
    parser.add_argument("--filtered", type=float, nargs="*", default=FILTERED_SCALES)
    parser.add_argument("--top-k", type=int, default=0, help="of the filtered rows")
    parser.add_argument("--top-p", type=float, default=0.9, help="of the filtered rows")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--save", type=Path, help="also store the rows as JSON")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    options = arguments()
    train, held = prepare(Path(), options.work / "drawings.npz").split()
    real, pair = held.pictures(), load_pair(options.weights, options.kind)
    reference = Reference.of(load_classifier(options.classifier), train.pictures(), real)
    coded, plain = reconstruct(pair[0], real)
    print(reconstruction_text(held, coded, plain) + "\n", flush=True)
    rows = [reference.row("real, held out", real, held.groups, held.styles)]
    rows.append(reference.row("held out, after the tokenizer", coded, held.groups, held.styles))
    kept = (options.top_k, options.top_p, options.method)
    settings = [Sampling(scale, method=options.method) for scale in options.scales]
    settings += [Sampling(scale, *kept) for scale in options.filtered]
    labels_only = Drawings(torch.empty(0), train.groups, train.styles, train.held_out, train.codes)
    jobs = [(options, reference, labels_only, how) for how in settings]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        rows += pool.map(generated_row, jobs)
    print(markdown(rows))
    if options.save:
        options.save.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
