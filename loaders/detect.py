"""Which networks a file holds, by key names and shapes; a file name is never evidence."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..models.family import Defaults, Family, FileFacts
from .families import PARTS
from .read import CheckpointError, Weights

SMALL = 1 << 20  # integer buffers up to this many elements are handed to the config function

LEVELS = "lvl_1L"  # of the scale-wise families

# What a part is called behind its family's title; that of a tokenizer says it already.
_NOUNS = {"transformer": "transformer", "tokenizer": "", "diffusion": "diffusion network"}


@dataclass(frozen=True)
class Part:
    """One network found in a file, checked against its own description.

    Attributes:
        family: what it is.
        config: its sizes.
        tensors: its weights under the network's own keys.
        weights: the file it came from.
    """

    family: Family
    config: Any
    tensors: dict[str, Tensor]
    weights: Weights

    @property
    def metadata(self) -> dict[str, str]:
        return self.weights.metadata

    @property
    def defaults(self) -> Defaults:
        """The family's published settings, or those the file's metadata gives (transformers)."""
        if "defaults" in self.metadata:
            return Defaults(**json.loads(self.metadata["defaults"]))
        return self.family.defaults_for(self.config)


def find_part(weights: Weights, part: str) -> Part:
    """The one `part` ("transformer", "tokenizer" or "diffusion") in a file.

    Raises:
        CheckpointError: there is none, or it is incomplete; the message says what was found instead.
    """
    found = _find(weights, PARTS[part])
    if found is None:
        raise CheckpointError(_nothing_found(weights, part))
    family, tensors = found
    facts = FileFacts(
        {key: tuple(value.shape) for key, value in tensors.items()},
        _integers(tensors),
        weights.metadata,
        weights.settings,
        {k: tensors[k][index].item() for k, index in family.samples if k in tensors},
        weights.vocabulary if family.prompt else {},
        weights.generation,
        weights.code_lists if part == "tokenizer" else (),
    )
    try:
        config = family.config(facts)
        with torch.device("meta"):
            expected = family.build(config).state_dict()
        tensors = family.trim(config, tensors)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(
            f"{weights.path.name}: looks like a {family.title} {part}, but its sizes cannot be read: {reason}."
            " The file may be incomplete or changed by a conversion"
        ) from error
    return Part(family, config, _checked(weights, family, expected, tensors), weights)


def _integers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The small integer tensors; also the level of every token where a conversion cast it with the weights."""
    found = {}
    for key, value in tensors.items():
        if value.numel() > SMALL:
            continue
        if not value.is_floating_point():
            found[key] = value
        elif key == LEVELS and (value == value.round()).all():
            found[key] = value.long()
    return found


def fitted(transformer: Part, tokenizer: Part) -> Part:
    """The tokenizer as this transformer uses it.

    Raises:
        CheckpointError: the tokenizer's tokens are not those the transformer predicts.
    """
    names = f"{transformer.weights.path.name} and {tokenizer.weights.path.name}"
    if transformer.family.tokenizer != tokenizer.family.name:
        raise CheckpointError(
            f"{names} do not belong together: the {transformer.family.title} transformer does not work with the"
            f" {tokenizer.family.title}. Choose the tokenizer released with the transformer"
        )
    try:
        config = transformer.family.fit(transformer.config, tokenizer.config)
    except ValueError as error:
        raise CheckpointError(
            f"{names} do not belong together: {error}. Choose the tokenizer released with the transformer"
        ) from error
    return replace(tokenizer, config=config)


def has_part(weights: Weights, part: str) -> bool:
    """Whether a file holds a network of this kind at all."""
    return _find(weights, PARTS[part]) is not None


def _find(
    weights: Weights, families: tuple[Family, ...]
) -> tuple[Family, dict[str, Tensor]] | None:
    """First family whose required keys are all there under one prefix ("", "module.", "trainer.var_wo_ddp.", ...)."""
    keys = weights.tensors.keys()
    for family in families:
        first = family.required[0]
        prefixes = [key[: -len(first)] for key in keys if key.endswith(first)]
        # Weights averaged over the training are what a release samples with, where it has both.
        for prefix in sorted(prefixes, key=lambda prefix: "ema" not in prefix.split(".")):
            if prefix and not prefix.endswith("."):
                continue
            own = dict(
                family.convert(key[len(prefix) :], weights.tensors[key])
                for key in keys
                if key.startswith(prefix)
            )
            if all(key in own for key in family.required) and not any(
                key.startswith(banned) for banned in family.banned for key in own
            ):
                return family, own
    return None


def _nothing_found(weights: Weights, part: str) -> str:
    name = weights.path.name
    for other, families in PARTS.items():
        if other != part and (found := _find(weights, families)) is not None:
            what = f"{found[0].title} {_NOUNS[other]}".rstrip()
            return f"{name}: this is a {what}, not a {part}. {_remedy(other, part)}"
    family, missing = _nearest(weights, PARTS[part])
    sample = ", ".join(list(weights.tensors)[:3]) or "no tensors at all"
    hint = f"; nearest is {family.title}, but {missing[0]} is missing" if missing else ""
    return (
        f"{name}: no known {part} in this file{hint} (it holds {len(weights.tensors)} tensors: {sample} ...)."
        " Check that it is the file named in the README's table of models"
    )


def _remedy(found: str, wanted: str) -> str:
    """What to do with a file that holds another part than was asked for."""
    if found == "diffusion":
        return "Load it with AR Load EDM2"
    if wanted == "diffusion":
        return f"Load it with AR Load Checkpoint, as the {found}"
    return f"Choose it as the {found} and another file as the {wanted}"


def _nearest(weights: Weights, families: tuple[Family, ...]) -> tuple[Family, list[str]]:
    """The family with the most required keys present anywhere, and those that are missing ([] if none is there)."""
    best = (-1, families[0], [])
    for family in families:
        keys = [family.convert(key, tensor)[0] for key, tensor in weights.tensors.items()]
        missing = [r for r in family.required if not any(key.endswith(r) for key in keys)]
        present = len(family.required) - len(missing)
        if present > best[0]:
            best = (present, family, missing if present else [])
    return best[1], best[2]


def _checked(
    weights: Weights, family: Family, expected: dict[str, Tensor], tensors: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors the network takes: all there, of the right shapes, all numbers finite."""
    missing = [k for k in expected if k not in tensors and not re.fullmatch(family.absent, k)]
    unexpected = [k for k in tensors if k not in expected and not re.fullmatch(family.ignored, k)]
    wrong = [
        f"{k} is {tuple(tensors[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in tensors and tensors[k].shape != expected[k].shape
    ]
    for what, keys in (("lacks", missing), ("has unknown", unexpected), ("has misshapen", wrong)):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise CheckpointError(
                f"{weights.path.name}: this {family.title} file {what} {', '.join(keys[:3])}{more}."
                " It may be incomplete, or a variant this pack does not know"
            )
    taken = {key: tensors[key] for key in expected if key in tensors}
    for key, value in taken.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise CheckpointError(
                f"{weights.path.name}: {key} holds values that are not numbers (NaN or infinite)."
                " The file is damaged or was converted badly: get it again"
            )
    return taken
