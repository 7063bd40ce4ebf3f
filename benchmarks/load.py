#!/usr/bin/env python3
"""How much memory loading a transformer takes, as a share of its weights' bytes, and how long: files of every kind.

    python -m benchmarks.load [--megabytes 400] [--kinds fp32 ...] [--host .hosts/0.30.0] [--json FILE]

A LlamaGen of about so many megabytes in single precision is written with random weights, loaded as AR Load Checkpoint does
and read once from end to end, each kind of file in a process of its own. "peak": by how much the memory of the process rises
at most, pages of the mapped file included, over before the load (a tiny file has been loaded by then). Seconds: the median of
five further loads; the file is then in the system's cache. A ComfyUI must be unpacked (`python3 dev.py test` does that).
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import read_weights
from ar_guidance.models.llamagen import LlamaGen, LlamaGenConfig
from ar_guidance.tools.pack import ROOT
from safetensors.torch import save_file

from .harness import TURNS, report, timed
from .peaks import EXACT, held_bytes, peak_bytes

WIDTH, FFN = 1024, 2816
State = dict[str, torch.Tensor]


def weights(megabytes: float) -> State:
    """Random weights of a network of this size in single precision; one layer at least."""
    layer = 4 * (4 * WIDTH**2 + 3 * WIDTH * FFN)
    depth = max(1, round(megabytes * 1e6 / layer))
    network = LlamaGen(LlamaGenConfig(depth, WIDTH, 16, 256, FFN, (16, 16), classes=10))
    return {key: torch.randn_like(value) * 0.02 for key, value in network.state_dict().items()}


def in_type(state: State, dtype: torch.dtype) -> State:
    return {key: value.to(dtype) for key, value in state.items()}


def in_8_bits(state: State, dtype: torch.dtype, scaled: bool) -> State:
    """Matrices of layers in 8 bits, with a scale each where `scaled`; everything else in half precision."""
    made = {}
    for key, value in state.items():
        if "layers." not in key or value.dim() != 2:
            made[key] = value.bfloat16()
            continue
        scale = value.abs().amax() / 200 if scaled else torch.ones(())
        made[key] = (value / scale).to(dtype)
        if scaled:
            made[f"{key.removesuffix('.weight')}.scale_weight"] = scale
    return made


KINDS: dict[str, Callable[[State], State]] = {
    "fp32": lambda state: state,
    "fp32 .pth": lambda state: state,
    "bf16": lambda state: in_type(state, torch.bfloat16),
    "fp16": lambda state: in_type(state, torch.float16),
    "fp8 e4m3fn": lambda state: in_8_bits(state, torch.float8_e4m3fn, False),
    "fp8 e5m2": lambda state: in_8_bits(state, torch.float8_e5m2, False),
    "fp8 e4m3fn, scaled": lambda state: in_8_bits(state, torch.float8_e4m3fn, True),
}


def write(kind: str, megabytes: float, folder: Path) -> Path:
    """A file of this kind."""
    state, pickled = KINDS[kind](weights(megabytes)), kind.endswith(".pth")
    path = folder / f"{megabytes:g}{'.pth' if pickled else '.safetensors'}"
    torch.save(state, path) if pickled else save_file(state, path)
    return path


def load(place: Any, path: Path) -> Any:
    """The network as AR Load Checkpoint places it."""
    return place.place_part(find_part(read_weights(path), "transformer")).model


def size(network: Any) -> int:
    """Bytes of its weights; reads each of them."""
    total = 0
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.detach().contiguous().view(-1).view(torch.uint8).amax()
        total += tensor.numel() * tensor.element_size()
    return total


def host_module(folder: Path) -> Any:
    """`loaders.place`, which imports ComfyUI."""
    sys.path.insert(0, str(folder))
    from ar_guidance.tools.dev import launch_host

    if launch_host.torchvision_needs_help():
        launch_host.declare_torchvision_operators()
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    from ar_guidance.loaders import place

    return place


def measured(host: Path, path: Path, tiny: Path) -> str:
    """Of this process: bytes of the weights, of the peak over before, and seconds."""
    place = host_module(host)
    size(load(place, tiny))
    held = held_bytes()
    network = load(place, path)
    total = size(network)
    peak = peak_bytes() - held
    del network
    seconds = statistics.median(timed(lambda: load(place, path)) for _ in range(TURNS))
    return f"{total} {peak} {seconds}"


def row(kind: str, options: argparse.Namespace) -> dict[str, Any]:
    """One kind of file, loaded in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(write(kind, size, Path(folder))) for size in (options.megabytes, 0)]
        file = Path(paths[0]).stat().st_size
        command = [sys.executable, "-m", "benchmarks.load", "--host", str(options.host)]
        done = subprocess.run(
            [*command, "--one", *paths], capture_output=True, text=True, env=EXACT, cwd=ROOT
        )
    if done.returncode:
        raise SystemExit(f"{kind}: {done.stderr[-2000:]}")
    total, peak, seconds = map(float, done.stdout.split()[-3:])
    return {
        "file": kind,
        "file MB": file / 1e6,
        "weights MB": total / 1e6,
        "peak MB": peak / 1e6,
        "peak / weights": peak / total,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=400)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--host", type=Path, default=ROOT / ".hosts" / "0.30.0")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=Path, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(measured(options.host, *options.one))
        return
    rows = [row(kind, options) for kind in options.kinds]
    report("loading a transformer", rows, options.json)


if __name__ == "__main__":
    main()
