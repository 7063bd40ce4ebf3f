#!/usr/bin/env python3
"""Every released network at its own size with random weights: parameters, bytes, and what ComfyUI is told a run needs.

    python -m benchmarks.families [--dtype bfloat16] [--batch 1] [--run "Infinity-125M, 256" ...]

The table comes from networks without memory (torch's meta device). With --run the named ones are really built and make a
image with classifier-free guidance and the published settings, each in a process of its own: seconds, and the peak of
memory beside the prediction, which is `loaders/estimate.py`'s, the function the nodes call.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.record import NULL_RECORDER
from ar_guidance.loaders.estimate import run_bytes
from ar_guidance.loaders.families import TOKENIZERS, TRANSFORMERS
from ar_guidance.models.family import Defaults, TransformerFamily
from ar_guidance.models.parts.prompt import Prompt
from ar_guidance.models.parts.text import TextCondition
from ar_guidance.sampling import loops
from ar_guidance.sampling.draw import Streams
from ar_guidance.sampling.plan import SamplerSettings, plan

from .peaks import peak_bytes
from .releases import RELEASES, Release

PROMPT = 20  # tokens of the random prompt


@dataclass(frozen=True)
class Model:
    """A released network as the loops and the plan see one."""

    family: TransformerFamily
    config: Any
    network: Any
    tokenizer: Any

    @property
    def defaults(self) -> Defaults:
        return self.family.defaults_for(self.config)


def build(family: TransformerFamily, release: Release, dtype: torch.dtype, device: str) -> Model:
    """Both networks; on the meta device they take no memory."""
    codec = next(f for f in TOKENIZERS if f.name == family.tokenizer)
    sizes = family.fit(release.transformer, release.tokenizer)
    with torch.device(device):
        network = family.build(release.transformer, dtype=dtype).eval()
        tokenizer = codec.build(sizes, dtype=torch.float32).eval()
    return Model(family, release.transformer, network, tokenizer)


def conditions(model: Model, batch: int) -> tuple[Any, Any]:
    """Both branches' conditions: class 0, ids of a prompt, or random features of an encoder as wide as the family's."""
    spec, config = model.family.text, model.config
    if model.family.prompt is not None:
        given = Prompt.of([[*range(PROMPT), *model.family.prompt.head(config)]] * batch)
        return given, given
    if spec is None:
        given = torch.zeros(batch, dtype=torch.long)
        return given, model.network.null_condition(batch)
    rows, pooled = spec.tokens(config) if spec.fixed else PROMPT, spec.pooled(config)
    live = (torch.arange(rows) < PROMPT).expand(batch, -1)
    text = TextCondition(
        torch.randn(batch, rows, spec.width(config)),
        live,
        torch.randn(batch, pooled) if pooled else None,
    )
    given = spec.condition(config, text)
    learned = getattr(
        model.network, "empty_text_embed", None
    )  # of a network without memory it cannot be read
    if model.family.null == "prompt" or (learned is not None and learned.is_meta):
        return given, given
    return given, model.network.null_condition(batch)


def weight_bytes(*networks: Any) -> int:
    tensors = [t for n in networks for t in (*n.parameters(), *n.buffers())]
    return sum(t.numel() * t.itemsize for t in tensors)


def cache_bytes(model: Model, batch: int) -> int:
    """Of both branches; networks that read text themselves cache it, too."""
    rows, network = 2 * batch, model.network
    if not hasattr(network, "prefix_length"):
        return network.cache_bytes(rows)
    return network.cache_bytes(rows, network.prefix_length(conditions(model, batch)))


def told(model: Model, batch: int) -> int:
    """Bytes beside the weights that ComfyUI is asked to keep free."""
    given = conditions(model, batch)
    return run_bytes(model.network, model.tokenizer, 2 * batch, batch, given)


def row(family: TransformerFamily, release: Release, batch: int, dtype: torch.dtype) -> str:
    """One line of the table of sizes."""
    model = build(family, release, dtype, "meta")
    parameters = sum(p.numel() for p in model.network.parameters())
    weights = weight_bytes(model.network, model.tokenizer)
    cache, run = cache_bytes(model, batch), told(model, batch)
    return (
        f"| {release.name} | {parameters / 1e6:,.0f} | {weights / 1e9:.2f} | {cache / 1e9:.2f} |"
        f" {run / 1e9:.2f} | {(weights + run) / 1e9:.2f} |"
    )


def randomise(model: Model) -> None:
    with torch.no_grad():
        for parameter in (*model.network.parameters(), *model.tokenizer.parameters()):
            parameter.normal_(0.0, 0.02)


def picture(model: Model, batch: int) -> tuple[float, float]:
    """Seconds of one whole run with its image: on the clock, and of processor time (on a busy machine the fairer one)."""
    guidances = (CFG(model.defaults.scale),)
    job = plan(
        model, conditions(model, batch), batch, guidances, SamplerSettings(), Streams(0, batch)
    )
    started, worked = time.perf_counter(), time.process_time()
    loop = loops.LOOPS[model.family.kind]
    made = loop.run(model, job, torch.device("cpu"), lambda progress: None, NULL_RECORDER)
    model.tokenizer.decode(made.features)
    return time.perf_counter() - started, time.process_time() - worked


def measure(name: str, batch: int, dtype: torch.dtype) -> str:
    """One line of the table of runs, in this process alone."""
    family, release = named(name)
    before = peak_bytes()
    model = build(family, release, dtype, "cpu")
    randomise(model)
    with torch.inference_mode():
        seconds, worked = picture(model, batch)
    predicted = weight_bytes(model.network, model.tokenizer) + told(model, batch)
    return f"| {name} | {seconds:.1f} | {worked:.1f} | {(peak_bytes() - before) / 1e9:.2f} | {predicted / 1e9:.2f} |"


def named(name: str) -> tuple[TransformerFamily, Release]:
    for family in TRANSFORMERS:
        for release in RELEASES.get(family.name, ()):
            if release.name == name:
                return family, release
    raise SystemExit(f"no release is called '{name}'; the table lists their names")


def runs(names: list[str], options: argparse.Namespace) -> None:
    """Every named release in a process of its own, so that its peak is its own."""
    print("\n| run | s | CPU s | peak GB | predicted GB |\n|---|---|---|---|---|", flush=True)
    for name in names:
        settings = ["--one", name, "--dtype", options.dtype, "--batch", str(options.batch)]
        subprocess.run([sys.executable, "-m", "benchmarks.families", *settings], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--run", nargs="*", default=[], help="names of releases to really run")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    dtype = getattr(torch, options.dtype)
    if options.one:
        print(measure(options.one, options.batch, dtype), flush=True)
        return
    print(f"weights {options.dtype}, tokenizer float32, {options.batch} image(s), two branches\n")
    print("| release | M parameters | weights GB | cache GB | told to ComfyUI GB | predicted GB |")
    print("|---|---|---|---|---|---|", flush=True)
    for family in TRANSFORMERS:
        for release in RELEASES.get(family.name, ()):
            print(row(family, release, options.batch, dtype), flush=True)
        if family.name not in RELEASES:
            print(f"| {family.title}: no size listed in benchmarks/releases.py | | | | | |")
    if options.run:
        runs(options.run, options)


if __name__ == "__main__":
    main()
