#!/usr/bin/env python3
"""EDM2 beside its authors' code: seconds and memory of an evaluation, and what every release needs.

    python -m benchmarks.edm2 [--reference FOLDER] [--size xs] [--batch 1] [--repeats 3] [--threads 2] [--steps 0]

FOLDER is a copy of github.com/NVlabs/edm2 (CC BY-NC-SA 4.0). With it, a network of random weights is built twice, by the
authors' code and by ours, given the same weights, and asked in turn for the same denoised images on the CPU, in fp32. Both outputs
must agree. With --steps, both sampling loops run whole, of so many Heun steps, in place of one evaluation. Memory is the rise of a
process's peak over the weights, of each in a process of its own.

Without it, only the table of what a run needs is printed: weights in half precision, what is told to ComfyUI beside them, and what
ComfyUI sets aside for the VAE that makes the image of them afterwards (2178 x 64 values a latent position, comfy/sd.py), in half
precision: both never lie in memory at once unless there is room.
"""

import argparse
import ast
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch
from ar_guidance.models.edm2.config import EDM2Config
from ar_guidance.models.edm2.network import EDM2, FAMILY, build
from ar_guidance.sampling.diffusion import Guided, diffusion_run
from ar_guidance.sampling.heun import Heun, generate

from .peaks import EXACT, held_bytes, peak_bytes

WIDTHS = {"xs": 128, "s": 192, "m": 256, "l": 320, "xl": 384, "xxl": 448}
SIGMA = 3.0
OURS, THEIRS = "ours", "authors'"


def config_of(size: str, classes: int = 1000) -> EDM2Config:
    """A released size, for latents."""
    widths = tuple(WIDTHS[size] * m for m in (1, 2, 3, 4))
    return EDM2Config(64, 4, classes, widths, 3, (16, 8), widths[-1], WIDTHS[size])


def theirs(folder: str, size: str) -> torch.nn.Module:
    """The authors' network with random weights and gains."""
    sys.path.insert(0, folder)
    from training.networks_edm2 import Precond  # type: ignore[import-not-found]

    torch.manual_seed(0)
    network = Precond(64, 4, 1000, use_fp16=False, model_channels=WIDTHS[size]).eval()
    for name, value in network.named_parameters():
        if name.endswith("gain"):
            torch.nn.init.constant_(value, 0.5)
    return network.requires_grad_(False)


def ours(size: str, tensors: dict[str, torch.Tensor] | None = None) -> EDM2:
    """Our network with these tensors of the authors' one, or random ones."""
    network = build(config_of(size)).eval().requires_grad_(False)
    if tensors is None:
        for value in network.state_dict().values():
            torch.nn.init.normal_(value, std=0.02)
        return network
    own = dict(FAMILY.convert(key, value) for key, value in tensors.items())
    network.load_state_dict({key: FAMILY.prepare(key, own) for key in own})
    return network


def question(batch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A noisy latent, its noise level and classes."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 4, 64, 64, generator=generator) * SIGMA
    return x, torch.tensor(SIGMA), torch.eye(1000)[torch.arange(batch) % 1000]


def their_loop(folder: str, steps: int) -> Callable[..., torch.Tensor]:
    """The authors' sampler, from the script that holds it; the rest of that script is not run."""
    source = (Path(folder) / "generate_images.py").read_text(encoding="utf-8")
    (sampler,) = (
        node for node in ast.parse(source).body if getattr(node, "name", "") == "edm_sampler"
    )
    names: dict[str, Any] = {"torch": torch, "np": numpy}
    exec(compile(ast.Module([sampler], []), "generate_images.py", "exec"), names)  # noqa: S102 - as importing it would
    return partial(names["edm_sampler"], num_steps=steps)


def our_loop(network: EDM2, noise: torch.Tensor, labels: torch.Tensor, steps: int) -> torch.Tensor:
    """Ours, as AR EDM2 Decode runs it."""
    size = (noise.shape[2], noise.shape[3])
    denoiser = Guided.of(
        lambda x, sigma: network(x, sigma, labels), None, (), diffusion_run(steps, size)
    )
    return generate(denoiser, noise, Heun(steps))


def seconds(answer: Callable[[], torch.Tensor]) -> tuple[float, torch.Tensor]:
    """How long an answer takes, and what it is."""
    began = time.perf_counter()
    made = answer()
    return time.perf_counter() - began, made


def asked(
    folder: str, reference: torch.nn.Module, network: EDM2, batch: int, steps: int
) -> dict[str, Callable[[], torch.Tensor]]:
    """What is timed, by whose it is: one evaluation, or the loop of so many steps."""
    x, sigma, labels = question(batch)
    if not steps:
        return {
            THEIRS: lambda: reference(x, sigma, labels),
            OURS: lambda: network(x, sigma, labels),
        }
    loop, noise = their_loop(folder, steps), x / SIGMA
    return {
        THEIRS: lambda: loop(reference, noise, labels),
        OURS: lambda: our_loop(network, noise, labels, steps),
    }


def compare(folder: str, size: str, batch: int, repeats: int, steps: int) -> None:
    """Both in one process, in turn."""
    reference = theirs(folder, size)
    network = ours(size, dict(reference.state_dict()))
    answers = asked(folder, reference, network, batch, steps)
    taken: dict[str, list[float]] = {THEIRS: [], OURS: []}
    for turn in range(repeats + 1):
        made = {}
        for name, answer in answers.items():
            spent, made[name] = seconds(answer)
            if turn:  # the first one warms up
                taken[name].append(spent)
        apart = (made[OURS] - made[THEIRS]).abs().max().item()
        largest = made[THEIRS].abs().max().item()
        assert apart < 1e-3 * max(largest, 1.0), f"the outputs differ by {apart}"
    medians = {name: statistics.median(values) for name, values in taken.items()}
    what = f"a loop of {steps} steps" if steps else "one evaluation"
    print(f"EDM2-{size.upper()}, {batch} image(s), {what} on the CPU, median of {repeats}:")
    for name, value in medians.items():
        print(f"  {name}: {value:.2f} s")
    print(f"  ours / authors': {medians[OURS] / medians[THEIRS]:.2f}; outputs within {apart:.1e}")


def memory(which: str, folder: str, size: str, batch: int) -> float:
    """MB by which the peak of this process rises over the weights in two evaluations."""
    network = ours(size) if which == OURS else theirs(folder, size)
    start = held_bytes()
    for _ in range(2):
        network(*question(batch))
    return (peak_bytes() - start) / 1e6


def predicted() -> None:
    """What every release needs on a GPU: the network, the XS guide, and a run of one 512 x 512 image."""
    decoding = 2178 * 64 * 64 * 64 * 2 / 1e6
    print(
        "| network | M parameters | GB in half precision | with the XS guide | beside them, MB | VAE, MB |"
    )
    print("|---|---|---|---|---|---|")
    with torch.device("meta"):
        guide = build(config_of("xs", classes=0), dtype=torch.float16)
        for size in WIDTHS:
            network = build(config_of(size), dtype=torch.float16)
            count = sum(p.numel() for p in network.parameters())
            own, other = (sum(t.nbytes for t in n.state_dict().values()) for n in (network, guide))
            beside = network.run_bytes(1, (64, 64)) / 1e6
            print(
                f"| {size.upper()} | {count / 1e6:.0f} | {own / 1e9:.2f} | {(own + other) / 1e9:.2f} | {beside:.0f} | {decoding:.0f} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", default="")
    parser.add_argument("--size", choices=WIDTHS, default="xs")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        if options.one:
            print(memory(options.one, options.reference, options.size, options.batch))
            return
        if options.reference:
            compare(options.reference, options.size, options.batch, options.repeats, options.steps)
    if options.reference:
        for name in (THEIRS, OURS):
            command = [sys.executable, "-m", "benchmarks.edm2", *sys.argv[1:], "--one", name]
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=EXACT)
            print(f"  {name}: {float(done.stdout.split()[-1]):.0f} MB beside the weights")
    predicted()


if __name__ == "__main__":
    main()
