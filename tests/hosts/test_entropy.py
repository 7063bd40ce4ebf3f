"""AR Entropy Temperature in real hosts: it acts, its neutral numbers do not, and it reaches the run through guidance nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from ar_guidance.tests.hosts.graphs import generate, node
from ar_guidance.tests.hosts.running import RunningHost
from ar_guidance.tests.hosts.test_nodes import images


def drawn(host: RunningHost, **settings: Any) -> np.ndarray:
    """Images of the bundled model, AR Entropy Temperature behind AR Sampler if there are settings."""
    graph = generate(classes="12", seed=3)
    if settings:
        graph["entropy"] = node("AREntropyTemperature", ar_sampling=["sampler", 0], **settings)
        graph["cfg"]["inputs"]["ar_sampling"] = ["entropy", 0]
    return images(host, graph)


def test_it_acts_and_neutral_numbers_do_not(host: RunningHost) -> None:
    plain = drawn(host)
    assert np.array_equal(drawn(host, rise=0.0, decay=3.0, floor=1.0), plain)
    assert not np.array_equal(drawn(host, rise=2.5, decay=3.0, floor=0.6), plain)
