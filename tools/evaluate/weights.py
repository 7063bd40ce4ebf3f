"""Files of a plan's models: found by path, checked by hash before anything is computed with them, put into their networks."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ar_guidance.loaders.detect import Part
from ar_guidance.loaders.scaled import plain
from ar_guidance.models.family import Family

from ..bundled.sample import FILES
from ..pack import ROOT
from .problems import EvaluationError

AUTOREGRESSIVE, DIFFUSION = ("transformer", "tokenizer"), ("diffusion", "guide", "vae")
SIZES = ("image_size", "resized")
OPTIONS = {"bundled", *AUTOREGRESSIVE, *DIFFUSION, "sha256", "dtype", *SIZES}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Spec = Mapping[str, Any]


def files_of(name: str, spec: Spec, weights: Path) -> dict[str, Path]:
    """Part ("transformer", "tokenizer"; "diffusion", "guide", "vae") -> path of every part the plan names.

    Raises:
        EvaluationError: unknown options, or a file that is not there.
    """
    _check_options(name, spec)
    if "bundled" in spec:
        found = _bundled(name, spec["bundled"])
    else:
        parts = DIFFUSION if "diffusion" in spec else AUTOREGRESSIVE
        found = {p: (weights / str(spec[p])).expanduser() for p in parts if p in spec}
    for path in found.values():
        if not path.exists():
            raise EvaluationError(
                f"model '{name}': {path} is not there. Give the folder of the weights with --weights"
            )
    return found


def _check_options(name: str, spec: Spec) -> None:
    """Raise EvaluationError for what does not say one model."""
    unknown = set(spec) - OPTIONS
    if unknown:
        raise EvaluationError(
            f"model '{name}': unknown option '{sorted(map(str, unknown))[0]}'; there are: {', '.join(sorted(OPTIONS))}"
        )
    if spec.get("dtype", "float32") not in tuple(DTYPES):
        raise EvaluationError(f"model '{name}': 'dtype' must be one of {', '.join(DTYPES)}")
    for size in SIZES:
        if type(spec.get(size, 0)) is not int or spec.get(size, 0) < 0:
            raise EvaluationError(f"model '{name}': '{size}' must be a whole number of pixels")
    kinds = [kind for kind in ("bundled", "transformer", "diffusion") if kind in spec]
    if len(kinds) != 1:
        raise EvaluationError(
            f"model '{name}': say 'bundled: scale', 'transformer: FILE' or 'diffusion: FILE', one of them"
        )
    foreign = {"transformer": DIFFUSION, "diffusion": (*AUTOREGRESSIVE, *SIZES)}
    for option in foreign.get(kinds[0], ()):
        if option in spec:
            raise EvaluationError(f"model '{name}': '{option}' does not go with '{kinds[0]}'")


def _bundled(name: str, kind: object) -> dict[str, Path]:
    """Files of a bundled model."""
    if kind not in tuple(FILES):
        raise EvaluationError(
            f"model '{name}': there is no bundled model '{kind}'; there are: {', '.join(FILES)}"
        )
    codec, transformer = FILES[str(kind)]
    folder = ROOT / "bundled"
    return {"transformer": folder / transformer, "tokenizer": folder / codec}


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


def network_of(part: Part[Family, Any], dtype: torch.dtype, device: torch.device) -> Any:
    """The network of a part, its weights in place; tensors that must stay wider stay so."""
    network = part.family.build(part.config, dtype=dtype, device=device)
    own = network.state_dict()
    state = {
        key: plain(part.family.prepare(key, part.tensors), part.scales.get(key), own[key].dtype)
        for key in part.tensors
        if key in own
    }
    network.load_state_dict(state, strict=False)
    network.compute_dtype = dtype
    return network.eval()
