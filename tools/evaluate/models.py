"""Models of a plan, loaded without a host: files by path, checked by hash before anything is computed with them."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from ar_guidance.loaders.detect import Part, find_part, fitted, has_part
from ar_guidance.loaders.fingerprint import fingerprint
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.models.family import Defaults, TransformerFamily

from ..bundled.sample import FILES
from ..pack import ROOT
from .problems import EvaluationError

OPTIONS = {"bundled", "transformer", "tokenizer", "sha256", "dtype", "image_size"}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Spec = Mapping[str, Any]


@dataclass(frozen=True)
class LoadedModel:
    """A model as the loops take it (`ar_guidance.sampling.model.Model`), its networks on their device."""

    name: str
    family: TransformerFamily
    config: Any
    defaults: Defaults
    network: Any
    tokenizer: Any
    codec: str
    folder: Path
    device: torch.device

    @property
    def resolution(self) -> tuple[int, int]:
        """(height, width) of its images in pixels."""
        return _size_of(self.config, self.tokenizer.config.factor)

    @property
    def parameters(self) -> int:
        """Of the transformer."""
        return sum(value.numel() for value in self.network.parameters())


def files_of(name: str, spec: Spec, weights: Path) -> dict[str, Path]:
    """ "transformer" and, where it is a file of its own, "tokenizer" -> path.

    Raises:
        EvaluationError: unknown options, or a file that is not there.
    """
    unknown = set(spec) - OPTIONS
    if unknown:
        raise EvaluationError(
            f"model '{name}': unknown option '{sorted(map(str, unknown))[0]}'; there are: {', '.join(sorted(OPTIONS))}"
        )
    if spec.get("dtype", "float32") not in tuple(DTYPES):
        raise EvaluationError(f"model '{name}': 'dtype' must be one of {', '.join(DTYPES)}")
    if type(spec.get("image_size", 0)) is not int:
        raise EvaluationError(f"model '{name}': 'image_size' must be a whole number of pixels")
    if "bundled" in spec:
        if spec["bundled"] not in tuple(FILES):
            raise EvaluationError(
                f"model '{name}': there is no bundled model '{spec['bundled']}'; there are: {', '.join(FILES)}"
            )
        codec, transformer = FILES[spec["bundled"]]
        found = {
            "transformer": ROOT / "bundled" / transformer,
            "tokenizer": ROOT / "bundled" / codec,
        }
    elif "transformer" in spec:
        parts = [part for part in ("transformer", "tokenizer") if part in spec]
        found = {part: (weights / str(spec[part])).expanduser() for part in parts}
    else:
        raise EvaluationError(f"model '{name}': say 'bundled: scale', or 'transformer: FILE'")
    for path in found.values():
        if not path.exists():
            raise EvaluationError(
                f"model '{name}': {path} is not there. Give the folder of the weights with --weights"
            )
    return found


def check_hashes(name: str, spec: Spec, files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of a model's files, by part.

    Raises:
        EvaluationError: another one than the plan says.
    """
    wanted, found = _wanted_hashes(name, spec, files), {}
    for part, path in files.items():
        found[part] = sha256(path)
        if part in wanted and not found[part].startswith(str(wanted[part]).lower()):
            raise EvaluationError(
                f"model '{name}': {path.name} is not the {part} the plan names: its SHA-256 is {found[part][:16]}..., the"
                f" plan says {str(wanted[part])[:16]}... Get that very file, or correct 'sha256' in the plan"
            )
    return found


def _wanted_hashes(name: str, spec: Spec, files: Mapping[str, Path]) -> dict[str, str]:
    """What the plan says of the files, by part."""
    wanted = spec.get("sha256", {})
    if not isinstance(wanted, dict) or not all(_is_hash(value) for value in wanted.values()):
        raise EvaluationError(
            f"model '{name}': 'sha256' must give a part's hash in quotes, or its first digits: transformer: \"1f2e3d4c\""
        )
    unknown = [str(part) for part in wanted if part not in files]
    if unknown:
        raise EvaluationError(
            f"model '{name}': 'sha256' names '{unknown[0]}', but this model's files are: {', '.join(files)}"
        )
    return wanted


def _is_hash(value: object) -> bool:
    """Whether it may be a SHA-256, or how one begins."""
    return isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F]{4,64}", value) is not None


def sha256(path: Path) -> str:
    """Of a file, or of a folder's files in the order of their names."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                while part := stream.read(1 << 22):
                    digest.update(part)
    return digest.hexdigest()


def load(name: str, spec: Spec, weights: Path, device: torch.device) -> LoadedModel:
    """A model of the plan, ready to sample.

    Raises:
        EvaluationError: unreadable, unknown or mismatched files.
    """
    main, codec = _parts(name, spec, weights)
    dtype = DTYPES[spec.get("dtype", "float32")]
    return LoadedModel(
        name=name,
        family=main.family,
        config=main.config,
        defaults=main.defaults,
        network=_network(main, dtype, device),
        tokenizer=_network(codec, torch.float32, device),
        codec=fingerprint(codec),
        folder=main.weights.folder,
        device=device,
    )


def resolution_of(name: str, spec: Spec, weights: Path) -> tuple[int, int]:
    """(height, width) of a model's images in pixels; no network is built.

    Raises:
        EvaluationError: unreadable, unknown or mismatched files.
    """
    main, codec = _parts(name, spec, weights)
    return _size_of(main.config, codec.config.factor)


def _size_of(config: Any, factor: int) -> tuple[int, int]:
    """(height, width) in pixels of a transformer's last grid."""
    height, width = config.grid if hasattr(config, "grid") else config.grids[-1]
    return height * factor, width * factor


def _parts(name: str, spec: Spec, weights: Path) -> tuple[Part, Part]:
    """Transformer, at the size asked for, and tokenizer."""
    files = files_of(name, spec, weights)
    try:
        main = find_part(read_weights(files["transformer"]), "transformer")
        codec = fitted(main, _codec(main, files.get("tokenizer")))
        return _sized(main, codec, spec.get("image_size", 0)), codec
    except CheckpointError as error:
        raise EvaluationError(f"model '{name}': {error}") from error


def _codec(main: Part, path: Path | None) -> Part:
    if path is not None:
        return find_part(read_weights(path), "tokenizer")
    if not has_part(main.weights, "tokenizer"):
        raise CheckpointError(
            f"{main.weights.path.name} holds no image tokenizer: name its file under 'tokenizer'"
        )
    return find_part(main.weights, "tokenizer")


def _sized(main: Part, codec: Part, size: int) -> Part:
    """The transformer for square images of this side; 0 leaves it as it is."""
    if not size:
        return main
    factor = codec.config.factor
    try:
        if main.family.free_size:
            grid = (size // factor, size // factor)
            return replace(main, config=replace(main.config, grid=grid))
        return replace(main, config=main.family.sized(main.config, size, size, factor))
    except ValueError as error:
        raise CheckpointError(f"{main.weights.path.name}: image_size {size}: {error}") from error


def _network(part: Part, dtype: torch.dtype, device: torch.device) -> Any:
    """The network of a part, its weights in place; tensors that must stay wider stay so."""
    network = part.family.build(part.config, dtype=dtype, device=device)
    own = network.state_dict()
    state = {key: value.to(own[key].dtype) for key, value in part.tensors.items() if key in own}
    network.load_state_dict(state, strict=False)
    network.compute_dtype = dtype
    return network.eval()
