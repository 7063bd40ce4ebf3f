#!/usr/bin/env python3
"""Parallel decoding of the bundled token-wise model against plain decoding, and against an earlier build.

    python -m benchmarks.parallel [--before PATH] [--seeds 100] [--busy] [--json FILE]

Whole images with classifier-free guidance 4, transformer and image decoder, one image and eight, drawn in turns. "passes" is
what the network was asked for; tokens are compared with those of plain decoding for every seed. In-painting draws the
lower half of an image again. `--before` names a checkout of this pack, for example of commit 1f6669f, whose loop draws as
many tokens with its own random numbers.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.sampling.draw import AddressedSampler, Filters, Streams
from ar_guidance.sampling.edit import KeptSequence
from ar_guidance.sampling.parallel import widest_pass
from ar_guidance.sampling.tokenwise import TokenwiseJob, generate

from .harness import bundled, busy_clock, in_turns, of_build, other_build, report

CPU, SCALE, LABEL = torch.device("cpu"), 4.0, 17


class Counted:
    """The network, and how many passes it was asked for."""

    def __init__(self, network: Any) -> None:
        self.network, self.passes, self.read = network, 0, network.read
        network.read = self.counted

    def counted(self, *arguments: Any) -> Any:
        self.passes += 1
        return self.read(*arguments)


def kept_upper(tokens: torch.Tensor) -> KeptSequence:
    """Everything but the lower half."""
    count = tokens.shape[1]
    return KeptSequence(tokens, torch.arange(count) < count // 2)


def job(network: Any, batch: int, seed: int, parallel: bool, kept: Any = None) -> TokenwiseJob:
    """A run of the new build."""
    config = network.config
    return TokenwiseJob(
        conditions=(torch.full((batch,), LABEL), network.null_condition(batch)),
        batch=batch,
        run=RunInfo("token", ((1, 1),) * config.length),
        chain=Chain((CFG(SCALE, "constant"),)),
        draw=AddressedSampler(Filters(), Streams(seed, batch)),
        kept=kept,
        widest=widest_pass(config.vocab, batch) if parallel else 1,
        row=config.grid[1],
    )


def tokens_of(network: Any, *settings: Any) -> torch.Tensor:
    """Tokens (B, T) of a run."""
    with torch.inference_mode():
        return generate(network, job(network, *settings), CPU).tokens


def before(folder: Path) -> Callable[[int, Any], torch.Tensor]:
    """The earlier build: (batch, tokens whose upper half is kept, or None) -> images."""
    package = other_build(folder)
    base, chain, cfg = (of_build(package, f"guidance.{m}") for m in ("base", "chain", "cfg"))
    draw, loop, edit = (of_build(package, f"sampling.{m}") for m in ("draw", "tokenwise", "edit"))
    network, codec = (
        bundled("emoji_llamagen", "transformer", package),
        bundled("emoji_vq", "tokenizer", package),
    )

    def run(batch: int, kept: torch.Tensor | None) -> torch.Tensor:
        half = None
        if kept is not None:
            half = edit.KeptSequence(kept, torch.arange(kept.shape[1]) < kept.shape[1] // 2)
        settings = loop.TokenwiseRun(
            (torch.full((batch,), LABEL), network.null_condition(batch)),
            batch,
            base.Run("token", ((1, 1),) * network.config.length),
            chain.Chain((cfg.CFG(SCALE, "constant"),)),
            draw.StreamDrawer(draw.Filters(), draw.Streams(0, batch)),
            half,
        )
        with torch.inference_mode():
            tokens = loop.generate(network, settings, CPU).tokens
            return codec.decode(codec.lookup(tokens, network.config.grid))

    return run


def compare(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Rows of the table."""
    network, codec = bundled("emoji_llamagen", "transformer"), bundled("emoji_vq", "tokenizer")
    counted, earlier = Counted(network), before(options.before) if options.before else None
    given = tokens_of(network, 1, 1, False)

    def image(batch: int, parallel: bool, kept: Any = None) -> torch.Tensor:
        tokens = tokens_of(network, batch, 0, parallel, kept)
        with torch.inference_mode():
            return codec.decode(codec.lookup(tokens, network.config.grid))

    rows, clock = [], busy_clock(options.busy)
    for what, batch, kept in (
        ("one image", 1, None),
        ("eight images", 8, None),
        ("lower half", 1, given),
    ):
        held = None if kept is None else kept_upper(kept)
        runs: dict[str, Callable[[], Any]] = {
            "parallel": lambda b=batch, k=held: image(b, True, k),
            "plain": lambda b=batch, k=held: image(b, False, k),
        }
        if earlier is not None:
            runs["before"] = lambda b=batch, k=kept: earlier(b, k)
        seconds = in_turns(runs, clock=clock)
        counted.passes = 0
        image(batch, True, held)
        row: dict[str, Any] = {"run": what, "passes": counted.passes}
        row |= {f"{name} s": value for name, value in seconds.items()}
        row["plain / parallel"] = seconds["plain"] / seconds["parallel"]
        if earlier is not None:
            row["before / parallel"] = seconds["before"] / seconds["parallel"]
            row["before / plain"] = seconds["before"] / seconds["plain"]
        rows.append(row)
    return rows


def equal_seeds(seeds: int) -> str:
    """How many of some seeds' tokens are those of plain decoding."""
    network = bundled("emoji_llamagen", "transformer")
    counted, same, wide = Counted(network), 0, 0
    for seed in range(seeds):
        counted.passes = 0
        parallel = tokens_of(network, 1, seed, True)
        wide += counted.passes
        same += torch.equal(parallel, tokens_of(network, 1, seed, False))
    rate = seeds * network.config.length / wide
    return f"{same} of {seeds} seeds have the tokens of plain decoding; {rate:.2f} tokens a pass"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", type=Path, help="checkout of an earlier build")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument(
        "--busy", action="store_true", help="count this process's own time, one thread"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report("parallel decoding, bundled model", compare(options), options.json)
    if options.seeds:
        print(equal_seeds(options.seeds))


if __name__ == "__main__":
    main()
