"""Hostile files through real hosts: each ends in words, none is run, and the next image is right."""

from __future__ import annotations

import sys

import pytest
from ar_guidance.tests.hosts.running import RunningHost

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
# One or two of each kind; `python -m tools.hostile` offers all.
OFFERED = (
    "safetensors cut at 0.5",
    "torch archive cut at 100",
    "old torch file cut at 0.5",
    "header of 2^63 bytes",
    "ten gigabytes in a kilobyte",
    "offsets beyond the end",
    "weights that are NaN",
    "8-bit floats whose scale is missing",
    "ten gigabytes of one number",
    "levels of a million scales",
    "a key of a megabyte",
    "a key that hides what follows",
    "dictionaries nested 200 deep",
    "an archive that expands a thousandfold",
    "a web page",
    "a GGUF file",
    "a link to itself",
    "a name in another script",
    "markup in a name",
    "an index of 99,999 files",
    "a call in a pickle alone, as .pth",
    "a call in a pickle in a checkpoint, as .ckpt",
)


def test_the_server_refuses_and_goes_on(host: RunningHost) -> None:
    from ar_guidance.tools import hostile

    before = hostile.image_of(host.process)
    for cost in hostile.through(host.process, OFFERED):
        assert not cost.said.startswith("RAW"), cost
        assert len(cost.said) < 2000 and "\x1b" not in cost.said, cost
        assert cost.megabytes < hostile.MEGABYTES, cost
    assert hostile.image_of(host.process) == before
    assert not (host.process.host.folder / hostile.MARKER).exists()
