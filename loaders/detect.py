"""Which networks a file holds, by key names and shapes; a file name is never evidence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Generic, Literal, TypeVar, overload

import torch
from torch import Tensor

from ..models.edm2.config import EDM2Config
from ..models.family import (
    Defaults,
    DiffusionFamily,
    Family,
    FileFacts,
    PartName,
    TokenizerFamily,
    TransformerFamily,
)
from ..models.parts.sizes import CodecConfig, TransformerConfig
from .families import PARTS
from .json_files import setting_like
from .kinds import read_json_text
from .pages import finite
from .plausible import check_plausible, check_transformer
from .quote import listed, quoted, reason
from .read import SETTINGS, CheckpointError, Weights
from .scaled import EIGHT_BITS, is_beside, plain, taken_apart
from .sets import FLOATS, chosen, is_bookkeeping, quantised, without_others

SMALL = 1 << 20  # integer buffers up to this many elements are handed to the config function

LEVELS = "lvl_1L"  # of the scale-wise families

# What a part is called behind its family's title; that of a tokenizer says it already.
_NOUNS = {"transformer": "transformer", "tokenizer": "", "diffusion": "diffusion network"}


F = TypeVar("F", bound=Family, covariant=True)
S = TypeVar("S", covariant=True)


@dataclass(frozen=True)
class Part(Generic[F, S]):
    """One network found in a file, checked against its own description.

    Attributes:
        family: what it is.
        config: its sizes.
        tensors: its weights under the network's own keys.
        weights: the file it came from.
        note: which of several sets of weights it is, or "".
        scales: () in single precision, of the weights in 8 bits that have one, by key.
    """

    family: F
    config: S
    tensors: dict[str, Tensor]
    weights: Weights
    note: str = ""
    scales: dict[str, Tensor] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, str]:
        return self.weights.metadata

    @property
    def defaults(self: "TransformerPart") -> Defaults:
        """The family's published settings, or those the file's metadata gives."""
        own = self.family.defaults_for(self.config)
        return own if "defaults" not in self.metadata else self._stored(own)

    def _stored(self, own: Defaults) -> Defaults:
        """The settings of the metadata, each of the type it should have.

        Raises:
            CheckpointError: they are no settings.
        """
        try:
            given = dict(read_json_text(self.metadata["defaults"]))
            known = {entry.name: getattr(own, entry.name) for entry in fields(Defaults)}
            return Defaults(
                **{name: setting_like(known[name], value) for name, value in given.items()}
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{quoted(self.weights.path.name)}: the 'defaults' in its header are not sampling settings"
                f" ({reason(error)}). Get the file again"
            ) from error


TransformerPart = Part[TransformerFamily, TransformerConfig]
TokenizerPart = Part[TokenizerFamily, CodecConfig]
DiffusionPart = Part[DiffusionFamily, EDM2Config]


@overload
def find_part(weights: Weights, part: Literal["transformer"]) -> TransformerPart: ...
@overload
def find_part(weights: Weights, part: Literal["tokenizer"]) -> TokenizerPart: ...
@overload
def find_part(weights: Weights, part: Literal["diffusion"]) -> DiffusionPart: ...
def find_part(weights: Weights, part: PartName) -> Part[Family, object]:
    """The one `part` ("transformer", "tokenizer" or "diffusion") in a file.

    Raises:
        CheckpointError: there is none, or it is incomplete; the message says what was found instead.
    """
    found = _find(weights, PARTS[part])
    if found is None:
        raise CheckpointError(_nothing_found(weights, part))
    family, tensors, note = found
    tensors, scales = _in_8_bits(weights, family, tensors)
    try:
        facts = _facts(weights, family, tensors, part)
        config = family.config(facts)
        check_plausible(config)
        if isinstance(family, TransformerFamily):
            check_transformer(config)
        with torch.device("meta"):
            expected = family.build(config).state_dict()
        tensors = family.trim(config, tensors)
    except (
        Exception
    ) as error:  # whatever its shapes and settings lead to, it is the file that is wrong
        form = _unread(weights)
        hint = (
            f". Its weights are quantised ({form}), which this pack does not read" if form else ""
        )
        raise CheckpointError(
            f"{quoted(weights.path.name)}: looks like a {family.title} {part}, but its sizes cannot be read:"
            f" {reason(error)}{hint}. The file may be incomplete or changed by a conversion, or a {SETTINGS} beside it be"
            " another model's"
        ) from error
    return Part(family, config, _checked(weights, family, expected, tensors), weights, note, scales)


def _in_8_bits(
    weights: Weights, family: Family, tensors: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The tensors without their scales, and those. Only transformers run in 8 bits: what is smaller is made plain here."""
    try:
        tensors, scales = taken_apart(tensors, weights.metadata)
    except ValueError as error:
        raise CheckpointError(
            f"{quoted(weights.path.name)}: the 8-bit floats (fp8) of this {family.title} file cannot be used: {error}."
            " Get the file again, or take the release's own, in 16 or 32 bits"
        ) from error
    if family.part == "transformer":
        return tensors, scales
    wide = {
        key: plain(value, scales.get(key), torch.float32) if value.dtype in EIGHT_BITS else value
        for key, value in tensors.items()
    }
    return wide, {}


def _unread(weights: Weights) -> str:
    """What the weights are quantised with, of the forms that are not read, or ""."""
    return quantised([key for key in weights.tensors if not is_beside(key)])


def _facts(weights: Weights, family: Family, tensors: dict[str, Tensor], part: str) -> FileFacts:
    """What is known of a network's weights before memory is taken."""
    return FileFacts(
        {key: tuple(value.shape) for key, value in tensors.items()},
        _integers(tensors),
        weights.metadata,
        weights.settings,
        {k: tensors[k][index].item() for k, index in family.samples if k in tensors},
        weights.vocabulary if isinstance(family, TransformerFamily) and family.prompt else {},
        weights.generation,
        weights.code_lists if part == "tokenizer" else (),
    )


def _integers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The small integer tensors; also the level of every token where a conversion cast it with the weights."""
    found = {}
    for key, value in tensors.items():
        if value.numel() > SMALL:
            continue
        value = value.float() if value.dtype in EIGHT_BITS else value
        if not value.is_floating_point():
            found[key] = value
        elif key == LEVELS and (value == value.round()).all():
            found[key] = value.long()
    return found


def fitted(transformer: TransformerPart, tokenizer: TokenizerPart) -> TokenizerPart:
    """The tokenizer as this transformer uses it.

    Raises:
        CheckpointError: the tokenizer's tokens are not those the transformer predicts.
    """
    names = f"{quoted(transformer.weights.path.name)} and {quoted(tokenizer.weights.path.name)}"
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


def has_part(weights: Weights, part: PartName) -> bool:
    """Whether a file holds a network of this kind at all."""
    return _find(weights, PARTS[part]) is not None


def _find(
    weights: Weights, families: Sequence[Family]
) -> tuple[Family, dict[str, Tensor], str] | None:
    """First family whose required keys are all there under one prefix ("", "module.", "trainer.var_wo_ddp.", ...).

    Where several sets of weights are complete (model and EMA), the family's rule chooses; the last text says which it was.
    """
    keys = weights.tensors.keys()
    for family in families:
        first = family.required[0]
        prefixes = {key[: -len(first)] for key in keys if key.endswith(first)}
        sets = {}
        for prefix in chosen((p for p in prefixes if not p or p.endswith(".")), family.averaged):
            own = dict(
                family.convert(key[len(prefix) :], weights.tensors[key])
                for key in without_others(keys, prefix, prefixes)
            )
            if all(key in own for key in family.required) and not any(
                key.startswith(banned) for banned in family.banned for key in own
            ):
                sets[prefix] = own
        if sets:
            taken = next(iter(sets))
            return family, sets[taken], _which(weights, family, list(sets))
    return None


def _which(weights: Weights, family: Family, prefixes: list[str]) -> str:
    """Which set of weights was taken, in words; "" where there is one."""
    if len(prefixes) < 2:
        return ""
    names = [f"'{quoted(p.rstrip('.'))}'" if p else "those at its top" for p in prefixes]
    kind = "averaged (EMA)" if family.averaged else "plain"
    return (
        f"{quoted(weights.path.name)} holds {len(names)} sets of {family.title} weights: {names[0]} were taken, not"
        f" {listed(names[1:])}, for {family.title}'s own sampler takes the {kind} ones"
    )


def _nothing_found(weights: Weights, part: PartName) -> str:
    name = quoted(weights.path.name)
    if form := _unread(weights):
        return (
            f"{name}: its weights are quantised ({form}), which this pack does not read. Take the release's own file, in"
            " 16 or 32 bits"
        )
    for other, families in PARTS.items():
        if other != part and (found := _find(weights, families)) is not None:
            what = f"{found[0].title} {_NOUNS[other]}".rstrip()
            return f"{name}: this is a {what}, not a {part}. {_remedy(other, part)}"
    family, missing = _nearest(weights, PARTS[part])
    sample = listed(weights.tensors) or "no tensors at all"
    hint = f"; nearest is {family.title}, but {missing[0]} is missing" if missing else ""
    if form := quantised(weights.tensors):
        hint += f"; it holds {form}"
    return (
        f"{name}: no known {part} in this file{hint} (it holds {len(weights.tensors):,} tensors: {sample})."
        " Check that it is the file named in the README's table of models"
    )


def _remedy(found: str, wanted: str) -> str:
    """What to do with a file that holds another part than was asked for."""
    if found == "diffusion":
        return "Load it with AR Load EDM2"
    if wanted == "diffusion":
        return f"Load it with AR Load Checkpoint, as the {found}"
    return f"Choose it as the {found} and another file as the {wanted}"


def _nearest(weights: Weights, families: Sequence[Family]) -> tuple[Family, list[str]]:
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
    unexpected = [
        k
        for k in tensors
        if k not in expected and not re.fullmatch(family.ignored, k) and not is_bookkeeping(k)
    ]
    wrong = [
        f"{k} is {tuple(tensors[k].shape)} instead of {tuple(expected[k].shape)}"
        for k in expected
        if k in tensors and tensors[k].shape != expected[k].shape
    ]
    form = _unread(weights)
    for what, keys in (("lacks", missing), ("has unknown", unexpected), ("has misshapen", wrong)):
        if keys:
            guess = (
                f"Its weights are quantised ({form}), which this pack does not read"
                if form
                else "It may be incomplete, or a variant this pack does not know"
            )
            raise CheckpointError(
                f"{quoted(weights.path.name)}: this {family.title} file {what} {listed(keys)}. {guess}: get the release's"
                " own file"
            )
    taken = {key: tensors[key] for key in expected if key in tensors}
    for key, value in taken.items():
        _check_numbers(weights, key, value, expected[key])
    return taken


def _check_numbers(weights: Weights, key: str, value: Tensor, expected: Tensor) -> None:
    """Raise CheckpointError when a weight is stored as something that is no weight, or holds NaN or infinity."""
    name = quoted(weights.path.name)
    if expected.is_floating_point() and key != LEVELS and value.dtype not in (*FLOATS, *EIGHT_BITS):
        raise CheckpointError(
            f"{name}: {quoted(key)} is stored as {str(value.dtype).removeprefix('torch.')}, as in quantised files,"
            " which this pack does not read. Take the release's own file, in 16 or 32 bits"
        )
    if value.is_floating_point() and not finite(value):
        raise CheckpointError(
            f"{name}: {quoted(key)} holds values that are not numbers (NaN or infinite)."
            " The file is damaged or was converted badly: get it again"
        )
