"""What samples are compared with: statistics of real images, from a folder of them or from the ADM evaluator's files."""

import hashlib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from PIL import Image, UnidentifiedImageError
from safetensors import safe_open
from safetensors.numpy import save
from torch import Tensor

from ..bundled.metrics import Gaussian
from .moments import Moments
from .problems import EvaluationError
from .store import write_whole
from .weights import sha256

BATCH = 50
ENDINGS = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
Look = Callable[[Tensor], Mapping[str, np.ndarray]]
Size = tuple[int, int]


@dataclass(frozen=True)
class Reference:
    """Real images, as a judge sees them.

    Attributes:
        features, spatial: Gaussians; the second is None where the file has none.
        rows: (N, D) features of single images, or None where there are only statistics.
    """

    features: Gaussian
    spatial: Gaussian | None
    rows: np.ndarray | None


def check_reference(
    path: Path, resolution: Size, stated: int | None, widths: Mapping[str, int]
) -> None:
    """Raise EvaluationError for what `read_reference` would refuse, without looking at an image.

    Args:
        widths: "features" and "spatial" -> numbers per sample the judge gives.
    """
    for name, gaussian in _statistics(path, resolution, stated)[1].items():
        if len(gaussian.mean) != widths[name]:
            raise EvaluationError(
                f"reference {path.name}: {STATISTICS[name][0]} has {len(gaussian.mean)} numbers, but this judge's network gives"
                f" {widths[name]}: the statistics are another network's"
            )


def read_reference(
    path: Path,
    look: Look,
    resolution: Size,
    stated: int | None,
    cache: Path,
    key: str,
    most: int,
) -> Reference:
    """The reference in a folder of images or an `.npz` file.

    Args:
        look: images (B, 3, H, W) of bytes -> `features` and, where the judge has it, `spatial`.
        resolution: (height, width) of the samples.
        stated: side in pixels the plan says statistics without images are of.
        cache: where features of images are kept.
        key: what else the features depend on.
        most: rows to keep.

    Raises:
        EvaluationError: not a reference, or one of another resolution.
    """
    images, known = _statistics(path, resolution, stated)
    if images:
        found = _looked_at(path, look, resolution, cache, key, most)
        return Reference(
            known.get("features", found.features), known.get("spatial", found.spatial), found.rows
        )
    return Reference(known["features"], known.get("spatial"), None)


STATISTICS = {"features": ("mu", "sigma"), "spatial": ("mu_s", "sigma_s")}


def _statistics(
    path: Path, resolution: Size, stated: int | None
) -> tuple[bool, dict[str, Gaussian]]:
    """Whether a reference holds images, and the Gaussians it holds; its resolution is the samples'."""
    stored = None if path.is_dir() else _arrays(path)
    _check_resolution(path, _size_of(path, stored, stated), resolution)
    if stored is None:
        return True, {}
    known = {
        name: _gaussian(path, stored, mean, covariance)
        for name, (mean, covariance) in STATISTICS.items()
        if {mean, covariance} <= set(stored.files)
    }
    return "arr_0" in stored.files, known


def _gaussian(path: Path, stored: NpzFile, *names: str) -> Gaussian:
    """Two arrays of a file as mean and covariance."""
    try:
        mean, covariance = (stored[name].astype(np.float64) for name in names)
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise EvaluationError(
            f"reference {path.name}: {' and '.join(names)} cannot be read: {error}"
        ) from error
    if mean.ndim != 1 or covariance.shape != 2 * mean.shape:
        raise EvaluationError(
            f"reference {path.name}: {names[0]} must be a row of N numbers and {names[1]} N x N, not {mean.shape} and"
            f" {covariance.shape}"
        )
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise EvaluationError(
            f"reference {path.name}: not all of {' and '.join(names)} are finite numbers: make or get the file again"
        )
    return Gaussian(mean, covariance)


def _arrays(path: Path) -> NpzFile:
    """The arrays of an `.npz`, read when they are asked for; nothing in it is run."""
    try:
        stored: NpzFile = np.load(path, allow_pickle=False)
        names = set(stored.files)
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        raise EvaluationError(
            f"reference {path}: neither a folder of images nor an .npz file: {error}"
        ) from error
    if not ({"mu", "sigma"} <= names or "arr_0" in names):
        raise EvaluationError(
            f"reference {path.name}: it holds {', '.join(sorted(names)) or 'nothing'}, but statistics are called mu and sigma, and"
            " images arr_0"
        )
    return stored


def _size_of(path: Path, stored: NpzFile | None, stated: int | None) -> Size:
    """(height, width) of the reference's images."""
    if stored is None:
        with _opened(_files(path)[0]) as image:
            return image.height, image.width
    if "arr_0" in stored.files:
        with _images(path) as (_, shape):
            return shape[1], shape[2]
    if stated is None:
        raise EvaluationError(
            f"reference {path.name}: statistics do not say which resolution they are of: name it under 'resolution'"
        )
    return stated, stated


def _check_resolution(path: Path, found: Size, wanted: Size) -> None:
    if found != wanted:
        raise EvaluationError(
            f"reference {path.name} is of {found[1]}x{found[0]} pixels, but the samples have {wanted[1]}x{wanted[0]}: a distance"
            " between them would measure the resizing. Take a reference of the samples' resolution"
        )


def _looked_at(
    path: Path,
    look: Look,
    size: Size,
    cache: Path,
    key: str,
    most: int,
) -> Reference:
    """Features of reference images, kept in the cache: their moments, and single rows up to `most`."""
    name = hashlib.sha256(f"{sha256(path)} {key} {most}".encode()).hexdigest()[:16]
    file = cache / f"reference-{name}.safetensors"
    if not file.exists():
        batches = _from_folder(path, size) if path.is_dir() else _from_array(path)
        moments = _moments(batches, look, -(-_count(path) // most))
        write_whole(
            file, save({name: np.ascontiguousarray(rows) for name, rows in moments.items()})
        )
    with safe_open(file, "np") as kept:
        found: dict[str, Any] = {name: kept.get_tensor(name) for name in kept.keys()}
    gaussians = {
        name: Gaussian(found[f"{name}.mean"], found[f"{name}.covariance"])
        for name in ("features", "spatial")
        if f"{name}.mean" in found
    }
    return Reference(gaussians["features"], gaussians.get("spatial"), found["rows"])


def _moments(batches: Iterator[Tensor], look: Look, step: int) -> dict[str, np.ndarray]:
    """Moments of all images, and every `step`-th row of features."""
    moments: dict[str, Moments] = {}
    rows, seen = [], 0
    for images in batches:
        looked = look(images)
        rows.append(looked["features"][(-seen) % step :: step])
        seen += len(images)
        for name in ("features", "spatial"):
            if name in looked:
                moments.setdefault(name, Moments(looked[name].shape[1])).add(looked[name])
    found = {"rows": np.concatenate(rows)}
    for name, one in moments.items():
        gaussian = one.gaussian()
        found |= {f"{name}.mean": gaussian.mean, f"{name}.covariance": gaussian.covariance}
    return found


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if len(found) < 2:
        raise EvaluationError(
            f"reference {folder}: there are {len(found)} images in it, a distance needs two and more"
        )
    return found


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, UnidentifiedImageError) as error:
        raise EvaluationError(f"reference {path}: not an image: {error}") from error


def _from_folder(folder: Path, size: Size) -> Iterator[Tensor]:
    """Batches (B, 3, H, W) of bytes."""
    files = _files(folder)
    for start in range(0, len(files), BATCH):
        images = []
        for path in files[start : start + BATCH]:
            with _opened(path) as image:
                _check_resolution(path, (image.height, image.width), size)
                images.append(_pixels(path, image))
        yield torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def _pixels(path: Path, image: Image.Image) -> np.ndarray:
    """(H, W, 3) bytes."""
    try:
        return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise EvaluationError(f"reference {path}: the image is damaged: {error}") from error


@contextmanager
def _images(path: Path) -> Iterator[tuple[IO[bytes], tuple[int, int, int, int]]]:
    """The bytes of arr_0 behind its header, and its shape (N, H, W, 3)."""
    with zipfile.ZipFile(path) as archive, archive.open("arr_0.npy") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        shape, fortran, kind = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(
            stream
        )
        if len(shape) != 4 or shape[-1] != 3 or kind != np.uint8 or fortran:
            raise EvaluationError(
                f"reference {path.name}: arr_0 must hold images (N, H, W, 3) of bytes, not {shape} of {kind}"
            )
        yield stream, shape


def _count(path: Path) -> int:
    if path.is_dir():
        return len(_files(path))
    with _images(path) as (_, shape):
        return shape[0]


def _from_array(path: Path) -> Iterator[Tensor]:
    """Batches (B, 3, H, W) of bytes, a few images in memory at a time."""
    with _images(path) as (stream, (count, height, width, channels)):
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            content = bytearray(stream.read(size * height * width * channels))
            images = torch.frombuffer(content, dtype=torch.uint8)
            yield images.view(size, height, width, channels).permute(0, 3, 1, 2)
