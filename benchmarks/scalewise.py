#!/usr/bin/env python3
"""VAR-d16 at 256 x 256 with random weights, whole images: seconds and peak memory beside the official code.

    python -m benchmarks.scalewise [--official CHECKOUT_OF_VAR] [--batch 1] [--turns 5] [--json FILE]
    python -m benchmarks.scalewise --peaks [--official CHECKOUT_OF_VAR] [--batch 1]
    python -m benchmarks.scalewise --bundled [--before CHECKOUT_OF_AN_EARLIER_BUILD] [--batch 1] [--turns 5]

CFG 5 with the published ramp, top-k 900, top-p 0.95, single precision, transformer and image decoder. "60 %" guides on the
first 60 % of the scales only. Runs take turns in one process; with `--peaks` each makes two images in a process of its own,
whose peak of memory is shown with everything in it: libraries, both networks, the run. `--bundled` times the trained model
that ships with the pack instead, beside an earlier build if there is a checkout of one.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.schedule import Schedule
from ar_guidance.loaders.estimate import decode_chunk
from ar_guidance.sampling.draw import Filters, Streams, StreamSampler
from ar_guidance.sampling.scalewise import ScalewiseJob, generate

from .generation import d16, flops, matrix_rate
from .harness import bundled as bundled_part
from .harness import in_turns, of_build, other_build, report
from .peaks import EXACT, peak_bytes

BUNDLED = (("emoji_var", "transformer"), ("emoji_tokenizer", "tokenizer"))
CPU, SCALE, LABEL, TOP_K, TOP_P = torch.device("cpu"), 5.0, 207, 900, 0.95


def ours(
    network: Any, codec: Any, batch: int, end: float = 1.0, label: int = LABEL
) -> torch.Tensor:
    """Images of this build; guidance ends at the share `end` of the run."""
    labels = torch.full((batch,), label)
    job = ScalewiseJob(
        conditions=(labels, network.null_condition(batch)),
        batch=batch,
        run=RunInfo("scale", network.config.grids, published=Schedule("linear ramp")),
        chain=Chain((CFG(SCALE, "linear ramp", end=end),)),
        draw=StreamSampler(Filters(top_k=TOP_K, top_p=TOP_P), Streams(0, batch)),
    )
    features = generate(network, codec, job, CPU).features
    chunk = decode_chunk(codec, network.config)  # as AR Decode does
    return torch.cat([codec.decode(part) for part in features.split(chunk)])


def official(path: Path, pair: tuple[Any, Any] | None) -> Callable[[int], torch.Tensor]:
    """The official code's images, with the weights of `pair`; None = its own random ones."""
    sys.path.insert(0, str(path))
    from models import build_vae_var  # pyright: ignore

    codec, network = build_vae_var("cpu", depth=16)
    if pair is None:  # its builder leaves the codec's weights as they come from memory
        for parameter in (*network.parameters(), *codec.parameters()):
            torch.nn.init.normal_(parameter, std=0.02)
    else:
        network.load_state_dict(pair[0].state_dict(), strict=False)
        codec.load_state_dict(pair[1].state_dict(), strict=False)
    network.eval(), codec.eval()
    settings = {"cfg": SCALE - 1, "top_k": TOP_K, "top_p": TOP_P, "g_seed": 0}

    def run(batch: int) -> torch.Tensor:
        return network.autoregressive_infer_cfg(batch, torch.full((batch,), LABEL), **settings)

    return run


def compare(options: argparse.Namespace) -> None:
    """Print seconds."""
    pair = d16(torch.float32)
    theirs = official(options.official, pair) if options.official else None
    rows = []
    for batch in options.batch:
        runs: dict[str, Callable[[], Any]] = {
            "ours": lambda b=batch: ours(*pair, b),
            "60 %": lambda b=batch: ours(*pair, b, 0.6),
        }
        if theirs is not None:
            runs["official"] = lambda b=batch: theirs(b)
        with torch.inference_mode():
            seconds = in_turns(runs, options.turns)
            limit = flops(pair[0], 2 * batch) / matrix_rate(CPU, torch.float32)
        row: dict[str, Any] = {"batch": batch} | {f"{n} s": value for n, value in seconds.items()}
        row["ours / 60 %"] = seconds["ours"] / seconds["60 %"]
        row["products alone s"] = limit  # the transformer's, at the rate of one large product
        if theirs is not None:
            row["official / ours"] = seconds["official"] / seconds["ours"]
        rows.append(row)
    report("VAR-d16 256, random weights", rows, options.json)


def before(folder: Path) -> Callable[[int], torch.Tensor]:
    """Images of the bundled model by an earlier build (commit 1f6669f names things as here)."""
    package = other_build(folder)
    base, chain, cfg = (of_build(package, f"guidance.{m}") for m in ("base", "chain", "cfg"))
    draw, loop = (of_build(package, f"sampling.{m}") for m in ("draw", "scalewise"))
    schedule = of_build(package, "guidance.schedule")
    network, codec = (bundled_part(name, part, package) for name, part in BUNDLED)

    def run(batch: int) -> torch.Tensor:
        settings = loop.ScalewiseRun(
            (torch.full((batch,), 17), network.null_condition(batch)),
            batch,
            base.Run("scale", network.config.grids, published=schedule.Schedule("linear ramp")),
            chain.Chain((cfg.CFG(SCALE, "linear ramp"),)),
            draw.StreamDrawer(draw.Filters(top_k=TOP_K, top_p=TOP_P), draw.Streams(0, batch)),
        )
        return codec.decode(loop.generate(network, codec, settings, CPU).features)

    return run


def compare_bundled(options: argparse.Namespace) -> None:
    """Print seconds of the bundled model."""
    network, codec = (bundled_part(name, part) for name, part in BUNDLED)
    earlier, rows = before(options.before) if options.before else None, []
    for batch in options.batch:
        runs: dict[str, Callable[[], Any]] = {
            "ours": lambda b=batch: ours(network, codec, b, label=17)
        }
        if earlier is not None:
            runs["before"] = lambda b=batch: earlier(b)
        with torch.inference_mode():
            seconds = in_turns(runs, options.turns)
        row: dict[str, Any] = {"model": "bundled", "batch": batch}
        row |= {f"{name} s": value for name, value in seconds.items()}
        if earlier is not None:
            row["before / ours"] = seconds["before"] / seconds["ours"]
        rows.append(row)
    report("bundled VAR, whole images", rows, options.json)


def peak(name: str, batch: int, path: Path | None) -> None:
    """Print the peak of this process, in bytes, after two runs."""
    with torch.inference_mode():
        if name == "official":
            assert path is not None
            run = official(path, None)
        else:
            pair = d16(torch.float32)
            run = lambda b: ours(*pair, b)  # noqa: E731
        for _ in range(2):
            run(batch)
    print(peak_bytes())


def peaks(options: argparse.Namespace) -> None:
    """Print peaks of memory."""
    rows = []
    for batch in options.batch:
        row: dict[str, Any] = {"batch": batch}
        for name in ("ours", "official") if options.official else ("ours",):
            command = [sys.executable, "-m", "benchmarks.scalewise", "--one", name]
            command += ["--batch", str(batch)]
            command += ["--official", str(options.official)] if options.official else []
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=EXACT)
            row[f"{name} GB"] = int(done.stdout.split()[-1]) / 1e9
        if options.official:
            row["ours / official"] = row["ours GB"] / row["official GB"]
        rows.append(row)
    report("VAR-d16 256, peak of the process", rows, options.json)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--official", type=Path, help="checkout of FoundationVision/VAR")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--peaks", action="store_true")
    parser.add_argument("--bundled", action="store_true")
    parser.add_argument("--before", type=Path, help="checkout of an earlier build")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=("ours", "official"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        peak(options.one, options.batch[0], options.official)
    elif options.peaks:
        peaks(options)
    elif options.bundled:
        compare_bundled(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
