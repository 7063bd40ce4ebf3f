"""torch-fidelity's Inception network: FID, IS, sFID, KID, precision and recall, against reference images or statistics.

Options: `weights` (path of its Inception file), `reference` (a folder of images, or an `.npz` of the ADM evaluator),
`sha256` (default: that of the library's own release), `resolution` (of statistics without images), `splits` (of IS, 10),
`rows` (most samples precision, recall and KID look at, 10000), `spatial` (sFID; true).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...bundled.metrics import Gaussian
from ...bundled.sample import as_uint8
from ..conditions import Asked
from ..estimates import Measured, frechet_of, inception_score, joined
from ..library import library
from ..moments import Moments
from ..problems import EvaluationError
from ..references import Reference, check_reference, read_reference
from ..samples import Samples
from ..weights import sha256
from . import Setup, known_options

KNOWN = {"weights", "sha256", "reference", "resolution", "splits", "rows", "spatial"}
RELEASED = "6726825d"  # how the SHA-256 of weights-inception-2015-12-05-6726825d.pth begins
WIDTHS = {"features": 2048, "spatial": 2023}
SPATIAL = 7  # channels the ADM evaluator takes of the first branch of the seventh mixed block
KID_SUBSET, KID_SUBSETS = 1000, 100
Options = Mapping[str, Any]


@dataclass(frozen=True)
class InceptionJudge:
    """Features (B, 2048), logits without bias (B, 1008) and, for sFID, 7 channels of a 17 x 17 map (B, 2023)."""

    network: Any
    device: torch.device
    spatial: bool

    def look(self, images: Tensor, asked: Asked | None) -> dict[str, np.ndarray]:
        return self.look_at_bytes(as_uint8(images).permute(0, 3, 1, 2))

    @torch.inference_mode()
    def look_at_bytes(self, images: Tensor) -> dict[str, np.ndarray]:
        """The same of images (B, 3, H, W) of bytes."""
        maps: list[Tensor] = []
        hook = self.network.Mixed_6d.branch1x1.register_forward_hook(
            lambda module, given, made: maps.append(made[:, :SPATIAL])
        )
        try:
            features, logits = self.network(images.to(self.device))
        finally:
            hook.remove()
        found = {"features": features.cpu().numpy(), "logits": logits.cpu().numpy()}
        if self.spatial:  # channels last, as the evaluator's own statistics have them
            found["spatial"] = maps[0].permute(0, 2, 3, 1).flatten(1).cpu().numpy()
        return found


def check(name: str, options: Options, weights: Path) -> None:
    """Options, files, the hash of the network's file, and the library itself."""
    known_options(name, options, KNOWN)
    for needed in ("weights", "reference"):
        if needed not in options:
            raise EvaluationError(f"judge 'inception' needs '{needed}': {__doc__}")
        path = (weights / str(options[needed])).expanduser()
        if not path.exists():
            raise EvaluationError(f"judge 'inception': {path} is not there")
    _check_hash(options, weights)
    library("feature_extractor_inceptionv3")


def check_size(name: str, options: Options, weights: Path, resolution: tuple[int, int]) -> None:
    """The reference: of the samples' resolution, and of this network."""
    path = (weights / str(options["reference"])).expanduser()
    check_reference(path, resolution, options.get("resolution"), WIDTHS)


def _check_hash(options: Options, weights: Path) -> str:
    """SHA-256 of the network's file."""
    path = (weights / str(options["weights"])).expanduser()
    found, wanted = sha256(path), str(options.get("sha256", RELEASED)).lower()
    if not found.startswith(wanted):
        raise EvaluationError(
            f"judge 'inception': the SHA-256 of {path.name} is {found[:16]}..., not {wanted[:16]}...: numbers of another network"
            " cannot be compared with published ones. Use weights-inception-2015-12-05-6726825d.pth of torch-fidelity's"
            " releases, or name the hash of yours under 'sha256'"
        )
    return found


def open_judge(name: str, options: Options, weights: Path, device: torch.device) -> InceptionJudge:
    """The library's network with weights from a file that holds nothing but tensors."""
    _check_hash(options, weights)
    path = (weights / str(options["weights"])).expanduser()
    try:
        torch.load(
            path, map_location="meta", weights_only=True
        )  # the library would run what else is in it
    except Exception as error:
        raise EvaluationError(
            f"judge 'inception': {path.name} is no file of weights: {error}"
        ) from error
    kind = library("feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    network = kind(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )
    return InceptionJudge(network.to(device), device, bool(options.get("spatial", True)))


def measure(name: str, options: Options, samples: Samples, setup: Setup) -> dict[str, Measured]:
    """FID, IS, sFID, KID, precision and recall, those that can be told."""
    reference = _reference(options, setup)
    blocks = samples.moments("inception.features")
    found = {
        "fid": _fid(blocks, reference.features),
        "is": inception_score(samples, "inception.logits", int(options.get("splits", 10))),
    }
    if reference.spatial is not None and options.get("spatial", True):
        found["sfid"] = frechet_of(samples.moments("inception.spatial"), reference.spatial, "sFID")
    if reference.rows is not None:
        made = samples.some("inception.features", int(options.get("rows", 10_000)))
        found |= beside(made, reference.rows)
    return {metric: one for metric, one in found.items() if one is not None}


def _reference(options: Options, setup: Setup) -> Reference:
    path = (setup.weights / str(options["reference"])).expanduser()
    stated, key = options.get("resolution"), _check_hash(options, setup.weights)

    def look(images: Tensor) -> dict[str, np.ndarray]:
        return judge().look_at_bytes(images)

    made: list[InceptionJudge] = []

    def judge() -> InceptionJudge:
        if not made:
            made.append(open_judge("inception", options, setup.weights, setup.device))
        return made[0]

    most = int(options.get("rows", 10_000))
    return read_reference(path, look, setup.resolution, stated, setup.cache, key, most)


def _fid(blocks: list[Moments], reference: Gaussian) -> Measured | None:
    """The library's distance of our moments, with our interval."""
    ours, whole = frechet_of(blocks, reference, "FID"), joined(blocks)
    if ours is None or whole is None:
        return None
    made = whole.gaussian()
    pairs = [{"mu": one.mean, "sigma": one.covariance} for one in (made, reference)]
    theirs = library("metric_fid").fid_statistics_to_metric(*pairs, False)
    value = theirs["frechet_inception_distance"]
    return Measured("FID", value, ours.half, ours.blocks, "low", 2)


def beside(made: np.ndarray, real: np.ndarray) -> dict[str, Measured | None]:
    """The library's KID, precision and recall of features side by side. Intervals: KID over its subsets."""
    both = torch.from_numpy(made), torch.from_numpy(real)
    subset = min(KID_SUBSET, len(made), len(real))
    kid = library("metric_kid").kid_features_to_metric(
        *both, kid_subset_size=subset, kid_subsets=KID_SUBSETS, rng_seed=2020, verbose=False
    )
    prc = library("metric_prc").prc_features_to_metric(*both, save_cpu_ram=True, verbose=False)
    nan = float("nan")
    return {
        "kid": Measured(
            "KID × 1000", 1000 * kid["kernel_inception_distance_mean"], nan, (), "low", 2
        ),
        "precision": Measured("precision", prc["precision"], nan, (), "high", 3),
        "recall": Measured("recall", prc["recall"], nan, (), "high", 3),
    }
