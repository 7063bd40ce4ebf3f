"""Random and mutated input for everything of the pack that reads what others wrote, without a host.

    python -m tools.fuzz                  # 100,000 cases
    python -m tools.fuzz --cases 2000     # as the tests do it

Each case must end in a value or in a ValueError whose words can be printed and read. Anything else (another error, a hang, a file
that should be refused and is not) ends the command with the shortest input that shows it. Inputs of nodes are tried by schema
inside a host: `python tests/hosts/inside.py arriving_by_schema HOST_FOLDER 600`.
"""

from __future__ import annotations

import argparse
import faulthandler
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ar_guidance.conditioning.prompt import split_prompts
from ar_guidance.imaging import controls, differences, sizes, token_file
from ar_guidance.imaging.grid import one_line
from ar_guidance.imaging.tokens import ImageTokens
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.quote import message, quoted
from ar_guidance.loaders.read import Weights, read_json, read_weights
from ar_guidance.loaders.text.captions import clean_caption
from ar_guidance.models.parts import settings as entries
from ar_guidance.nodes.inputs import arriving
from ar_guidance.tests.tiny import tiny_var
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

HANGING = 300  # seconds without an end of one area's cases per thousand
LONGEST_REFUSAL = 4000


@dataclass(frozen=True)
class Area:
    """Something that reads what others wrote.

    Attributes:
        share: of all cases.
        inputs: what to try.
        read: what reads it; gives a value or raises ValueError.
    """

    name: str
    share: float
    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]


def mutated(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with a few places overwritten, cut off or repeated."""
    place = st.integers(0, len(whole))
    change = st.tuples(place, st.binary(max_size=12), st.sampled_from(("over", "cut", "insert")))

    def apply(changes: list[tuple[int, bytes, str]]) -> bytes:
        content = whole
        for at, new, how in changes:
            if how == "cut":
                content = content[:at]
            else:
                content = content[:at] + new + content[at + (len(new) if how == "over" else 0) :]
        return content

    # Early bytes decide most: half of the changes fall into the first kilobyte.
    early = st.tuples(
        st.integers(0, 1024), st.binary(max_size=12), st.sampled_from(("over", "insert"))
    )
    return st.lists(st.one_of(change, early), min_size=1, max_size=4).map(apply)


def areas(folder: Path) -> list[Area]:
    """Everything that is tried; files are written into `folder`."""
    return [*_weight_areas(folder), *_small_file_areas(folder), *_value_areas()]


def _written(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Writes what it is given to a file, and reads that."""

    def write_and_read(content: bytes) -> object:
        path.write_bytes(content)
        return read(path)

    return write_and_read


SHAPES = st.lists(st.integers(0, 9), max_size=4)


def _weight_areas(folder: Path) -> list[Area]:
    """Files of weights, and what is told of their keys and shapes."""
    state = {k: v.contiguous() for k, v in tiny_var().network.state_dict().items()}
    small = {k: state[k] for k in list(state)[:6]}
    torch.save(small, folder / "small.pth")
    torch.save(small, folder / "old.pth", _use_new_zipfile_serialization=False)
    dtypes = st.sampled_from((torch.float32, torch.int64, torch.int8, torch.bool, torch.float16))
    changes = st.dictionaries(
        st.one_of(st.sampled_from(list(state)), st.text(max_size=20)),
        st.tuples(SHAPES, dtypes),
        max_size=4,
    )

    def detect(changed: dict[str, tuple[list[int], torch.dtype]]) -> object:
        made = {key: torch.zeros(shape, dtype=dtype) for key, (shape, dtype) in changed.items()}
        return find_part(Weights(folder / "made.pth", {**state, **made}), "transformer")

    def file(name: str) -> Callable[[bytes], object]:
        return _written(folder / name, lambda path: find_part(read_weights(path), "transformer"))

    raw = (folder / "small.pth").read_bytes(), (folder / "old.pth").read_bytes()
    return [
        Area("safetensors bytes", 0.15, mutated(save(small)), file("a.safetensors")),
        Area("torch archive bytes", 0.05, mutated(raw[0]), file("a.pth")),
        Area("old torch file bytes", 0.05, mutated(raw[1]), file("b.pth")),
        Area("any bytes", 0.05, st.binary(max_size=300), file("c.pth")),
        Area("detection", 0.05, changes, detect),
    ]


def _small_file_areas(folder: Path) -> list[Area]:
    """Tokens and settings."""
    steps = (torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 4, dtype=torch.long))
    path = folder / "tokens.safetensors"
    token_file.write_tokens(ImageTokens("scale", ((1, 1), (2, 2)), steps, "c", "VAR"), path)
    read_tokens = _written(folder / "t.safetensors", token_file.read_tokens)
    settings_read = _written(folder / "config.json", read_json)
    return [
        Area("token file bytes", 0.15, mutated(path.read_bytes()), read_tokens),
        Area("settings bytes", 0.05, st.binary(max_size=300), settings_read),
    ]


def _arrive(pair: tuple[str, Any]) -> object:
    """A value at an input of a node."""
    kind, value = pair
    if kind.startswith("LIMITED "):
        return arriving.LIMITED[kind.removeprefix("LIMITED ")](value, (1, 1024))
    return arriving.PLAIN[kind](value)


def _value_areas() -> list[Area]:
    """What is typed or connected, without a file."""
    plain = (st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())
    anything = st.one_of(*plain, st.lists(st.integers()))
    tensors = SHAPES.map(lambda shape: torch.rand(shape))
    names = st.sampled_from(("LIMITED INT", "LIMITED FLOAT", *arriving.PLAIN))
    text = st.text(max_size=200)
    return [
        Area("settings entries", 0.05, anything, lambda v: entries.whole({"n": v}, "n", 1)),
        Area("values at nodes", 0.2, st.tuples(names, st.one_of(anything, tensors)), _arrive),
        Area("sizes", 0.05, st.one_of(text, st.from_regex(r"\d+[x×]\d+.*")), sizes.parse),
        Area("prompts", 0.05, text, split_prompts),
        Area("captions", 0.03, text, clean_caption),
        Area("labels of runs", 0.03, text, lambda t: one_line(str(differences.parse_label(t)))),
        Area("shares", 0.02, st.floats(), lambda v: controls.margins(8, left=v, right=0.1)),
        Area("messages", 0.02, text, lambda t: (quoted(t), message(t))),
    ]


def check(read: Callable[[Any], object], value: Any) -> bool:
    """Read one input; whether it was refused.

    Raises:
        AssertionError: a refusal nobody can read.
        Exception: anything that is no refusal.
    """
    try:
        read(value)
    except ValueError as refusal:
        said = str(refusal)
        assert said and len(said) < LONGEST_REFUSAL, f"unreadable refusal: {said[:200]!r}"
        return True
    return False


def run(cases: int) -> dict[str, tuple[int, int]]:
    """Try that many cases: of every area how many there were, and how many were refused."""
    counts = {}
    with tempfile.TemporaryDirectory() as name:
        for area in areas(Path(name)):
            counts[area.name] = _run_area(area, max(1, round(cases * area.share)))
    return counts


def _run_area(area: Area, cases: int) -> tuple[int, int]:
    tried = [0, 0]

    @settings(
        max_examples=cases,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(area.inputs)
    def one(value: Any) -> None:
        tried[0] += 1
        tried[1] += check(area.read, value)

    faulthandler.dump_traceback_later(HANGING * (1 + cases // 1000), exit=True)
    try:
        one()
    finally:
        faulthandler.cancel_dump_traceback_later()
    return tried[0], tried[1]


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Random input for everything that reads files and texts."
    )
    parser.add_argument("--cases", type=int, default=101_000)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # torch warns of nearly every damaged pickle
    started = time.monotonic()
    counts = run(options.cases)
    for name, (tried, refused) in counts.items():
        print(f"{name:22} {tried:8,} cases  {refused:8,} refused")
    total = sum(tried for tried, _ in counts.values())
    print(f"{'in all':22} {total:8,} cases  no other end, in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
