"""A trace is shown over its own images only."""

import pytest
import torch
from ar_guidance.guidance.record import Trace
from ar_guidance.imaging.image_trace import ImageTrace, fingerprint


def made(seed: int = 0, batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 12, 16, 3, generator=torch.Generator().manual_seed(seed))


def recorded(images: torch.Tensor) -> ImageTrace:
    maps = {"added": [torch.ones(len(images), 1, 1).half()]}
    return ImageTrace.of(Trace(((1, 1),), maps, {}, len(images)), images, ("cfg", "igg"))


def test_its_own_images_whatever_tensor_holds_them() -> None:
    images = made()
    trace = recorded(images)
    trace.check(images)
    trace.check(images.clone())
    trace.check(images.movedim(-1, 1).contiguous().movedim(1, -1))  # another order in memory
    assert trace.guidance == ("cfg", "igg") and "2 images" in repr(trace)


@pytest.mark.parametrize(
    "change",
    [
        lambda images: made(seed=1),
        lambda images: images.flip(0),  # the same images in another order
        lambda images: images.flip(2),
        lambda images: torch.nextafter(images, torch.ones(())),
        lambda images: torch.where(torch.arange(12)[:, None, None] == 5, 0.5, images),
    ],
)
def test_images_of_another_run_or_changed_ones(change) -> None:
    images = made()
    with pytest.raises(
        ValueError, match=r"another image: .*another run or changed since.*AR Decode"
    ):
        recorded(images).check(change(images))


@pytest.mark.parametrize("shape", [(1, 12, 16), (2, 16, 12), (2, 24, 32)])
def test_another_size_or_number(shape) -> None:
    with pytest.raises(ValueError, match="2 images of 16x12 pixels"):
        recorded(made()).check(torch.zeros(*shape, 3))


def test_a_fingerprint_is_of_the_numbers() -> None:
    images = made()
    assert fingerprint(images) == fingerprint(images.double())
    assert fingerprint(images) != fingerprint(images * 0.999)
