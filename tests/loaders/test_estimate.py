"""What the host is told that a run takes, against what the run's tensors take, counted without computing anything."""

import pytest
import torch
from ar_guidance.benchmarks.memory import counted
from ar_guidance.benchmarks.releases import RELEASES
from ar_guidance.benchmarks.small import SMALLER, small
from ar_guidance.loaders.estimate import run_bytes
from ar_guidance.loaders.families import TRANSFORMERS
from ar_guidance.tests.tiny import tiny_var

CLOSE, BATCH = 0.15, 24
SMALL = [family for family in TRANSFORMERS if family.name in SMALLER]
STEPS = ("var", "infinity", "switti", "llamagen", "vq_diffusion_text")  # one of every kind of step


@pytest.mark.parametrize("family", SMALL, ids=lambda family: family.name)
def test_the_host_is_told_what_a_run_takes(family) -> None:
    """Of one image, where the decoder is the most of it."""
    told, taken = counted(family, small(family.name), 1, torch.float32)
    assert told == pytest.approx(taken, rel=CLOSE)


@pytest.mark.parametrize("family", [f for f in SMALL if f.name in STEPS], ids=lambda f: f.name)
def test_the_host_is_told_what_a_batch_takes(family) -> None:
    """Where the largest step is the most of it."""
    told, taken = counted(family, small(family.name), BATCH, torch.float32)
    assert told == pytest.approx(taken, rel=CLOSE)


def test_every_released_family_has_a_small_network() -> None:
    assert SMALLER.keys() == RELEASES.keys() and len(SMALL) == len(SMALLER) >= 13


def test_a_preview_comes_on_top_of_a_step() -> None:
    model = tiny_var()
    plain, seen = (run_bytes(model.network, model.codec, 64, 32, previews=p) for p in (False, True))
    assert seen > plain


def test_a_last_step_without_the_unconditional_branch_takes_less() -> None:
    model = tiny_var()
    all_rows, fewer = (run_bytes(model.network, model.codec, 64, 32, last=last) for last in (0, 32))
    assert fewer < all_rows
