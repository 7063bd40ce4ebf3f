"""Spectra of known waves; what SSG does to a scale; what has no spectrum is refused."""

import math

import pytest
import torch
from ar_guidance.analysis.spectrum import (
    SpectrumWatch,
    amplitude_ratio,
    log_amplitude,
    nyquist,
    radial_amplitude,
    rings,
    unrefined,
)
from ar_guidance.guidance.base import RunInfo
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.ssg import SSG

RUN = RunInfo("scale", ((4, 4), (8, 8), (16, 16)))


def wave(frequency: int, side: int = 16) -> torch.Tensor:
    place = torch.arange(side) * 2 * math.pi / side
    return torch.cos(frequency * place).expand(side, side)


def test_a_wave_lies_on_the_ring_of_its_frequency() -> None:
    for frequency in (1, 3, 7):
        spectrum = log_amplitude(wave(frequency).reshape(1, 256, 1), (16, 16))
        assert spectrum.argmax() == frequency and len(spectrum) == 9
    assert rings((4, 6)).shape == (4, 4) and rings((4, 6))[0, 3] == 3


def test_twice_the_signal_is_log_two_on_every_ring() -> None:
    logits = torch.randn(2, 256, 5)
    apart = log_amplitude(2 * logits, (16, 16)) - log_amplitude(logits, (16, 16))
    assert apart.tolist() == pytest.approx([math.log(2)] * 9, abs=1e-4)


def test_ssg_raises_what_the_scale_before_cannot_show() -> None:
    torch.manual_seed(0)
    small = torch.randn(2, 16, 6)
    steps = [small]
    for (h, w), (h2, w2) in zip(RUN.grids[:-1], RUN.grids[1:], strict=True):
        maps = steps[-1].transpose(1, 2).unflatten(-1, (h, w))
        larger = torch.nn.functional.interpolate(maps, (h2, w2), mode="bilinear")
        steps.append((larger + 0.3 * torch.randn_like(larger)).flatten(2).transpose(1, 2))
    chain = (SSG(1.0, "constant"),)
    going, watch = Chain(chain).begin(RUN), SpectrumWatch.of(chain, RUN)
    for k, step in enumerate(steps):
        watch(k, step, None, going.apply(k, step, None))
    found = watch.found
    assert [one.nyquist for one in found] == [nyquist((4, 4)), nyquist((8, 8))] == [2.0, 4.0]
    for one in found:
        below, beyond = one.below(), one.beyond()
        assert below is not None and beyond is not None and beyond > 0.3 and beyond > below
    assert unrefined((CFG(3.0), SSG())) == Chain((CFG(3.0),))


def test_a_run_of_one_scale_has_none() -> None:
    for run in (RunInfo("scale", ((4, 4),)), RunInfo("token", ((1, 1),) * 4)):
        with pytest.raises(ValueError, match="a single scale"):
            SpectrumWatch.of((SSG(),), run)


def test_amplitudes_beside_a_reference() -> None:
    images = torch.rand(3, 24, 24, 3)
    assert amplitude_ratio(images, images).tolist() == pytest.approx([1.0] * 13)
    assert amplitude_ratio(images / 2, images).tolist() == pytest.approx([0.5] * 13, rel=1e-4)
    assert radial_amplitude(wave(5)[None, ..., None].expand(1, 16, 16, 3)).argmax() == 5
    with pytest.raises(ValueError, match="24x24 and the reference 12x12"):
        amplitude_ratio(images, images[:, ::2, ::2])
