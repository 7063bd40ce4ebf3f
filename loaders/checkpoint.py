"""Files -> a model ready to sample: transformer and image tokenizer, checked against each other."""

from dataclasses import dataclass, replace
from pathlib import Path

from ..models.family import Defaults, TransformerFamily, view
from ..models.parts.network import Transformer
from ..models.parts.sizes import Codec, TransformerConfig
from .class_names import class_labels
from .detect import TokenizerPart, TransformerPart, find_part, fitted, has_part
from .fingerprint import fingerprint
from .place import Patcher, place_part
from .quote import quoted
from .read import CheckpointError, Weights, read_weights


@dataclass(frozen=True, repr=False)
class ARModel:
    """What travels on an AR_MODEL link.

    Attributes:
        name: file name of the transformer.
        family, config: what the transformer is, and its sizes.
        patcher: the transformer in ComfyUI's memory management; `get_models` adds the tokenizer's.
        labels: class names in order, or () when the file has none.
        label_set: what the labels are called ("Emoji", "ImageNet").
        codec: fingerprint of the tokenizer: tokens mean the same image for every model that has the same one.
        defaults: sampling settings preselected for this model.
        folder: where the transformer's file lies, with whatever belongs to it.
        note: what the user should know of the files, or "".
    """

    name: str
    family: TransformerFamily
    config: TransformerConfig
    patcher: Patcher
    tokenizer_patcher: Patcher
    defaults: Defaults
    labels: tuple[str, ...] = ()
    label_set: str = ""
    folder: Path = Path()
    codec: str = ""
    note: str = ""

    def get_models(self) -> list[Patcher]:
        """Further patchers, for the host's bookkeeping."""
        return [self.tokenizer_patcher]

    @property
    def network(self) -> Transformer:
        """The transformer, for images of the size that `config` says."""
        network: Transformer = self.patcher.model
        return view(network, self.config)

    @property
    def tokenizer(self) -> Codec:
        return self.tokenizer_patcher.model

    def at(self, height: int, width: int) -> "ARModel":
        """The same model for images of another size in pixels.

        Raises:
            ValueError: it makes no such images; the message names the nearest it makes.
        """
        factor = self.tokenizer.config.factor
        config = self.family.sized(self.config, height, width, factor)
        return replace(self, config=config)

    def __repr__(self) -> str:
        return f"AR model {quoted(self.name)} ({self.family.title})"


def load_model(
    transformer: str | Path, tokenizer: str | Path | None = None, picture_size: int = 0
) -> ARModel:
    """Load a transformer and its image tokenizer.

    Args:
        transformer: file of the transformer.
        tokenizer: file of the tokenizer; None when both are in the one file.
        picture_size: side in pixels, for families whose files do not say; 0 = what the file or its kind suggests.

    Raises:
        CheckpointError: unreadable, unknown, incomplete or mismatched files.
    """
    weights = read_weights(transformer)
    main = find_part(weights, "transformer")
    codec = fitted(main, _tokenizer_part(main, tokenizer))
    main = _sized(main, codec, picture_size)
    labels, label_set = class_labels(main)
    return ARModel(
        name=main.weights.path.name,
        family=main.family,
        config=main.config,
        patcher=place_part(main),
        tokenizer_patcher=place_part(codec),
        labels=labels,
        label_set=label_set,
        defaults=main.defaults,
        folder=main.weights.folder,
        codec=fingerprint(codec),
        note=". ".join(dict.fromkeys(part.note for part in (main, codec) if part.note)),
    )


def _tokenizer_part(main: TransformerPart, tokenizer: str | Path | None) -> TokenizerPart:
    weights: Weights = main.weights
    if tokenizer is not None:
        return find_part(read_weights(tokenizer), "tokenizer")
    if not has_part(weights, "tokenizer"):
        raise CheckpointError(
            f"{quoted(weights.path.name)}: the image tokenizer is not in this file. Choose the tokenizer's own file"
            f" (for {main.family.title}: {main.family.tokenizer_file}) in the tokenizer input"
        )
    return find_part(weights, "tokenizer")


def _sized(main: TransformerPart, codec: TokenizerPart, picture_size: int) -> TransformerPart:
    """The transformer for images of this side; 0 leaves it as it is."""
    if not picture_size:
        return main
    name, factor = quoted(main.weights.path.name), codec.config.factor
    if not main.family.free_size:
        raise CheckpointError(
            f"{name}: a {main.family.title} file already says how large its images are."
            " Set picture_size to 0"
        )
    side, rest = divmod(picture_size, factor)
    if rest or side < 1:
        raise CheckpointError(
            f"{name}: picture_size {picture_size} is not divisible by {factor}, the pixels per token of this tokenizer."
            f" Take {max(1, side) * factor} or {(side + 1) * factor}"
        )
    try:
        return replace(main, config=replace(main.config, grid=(side, side)))
    except ValueError as error:
        raise CheckpointError(
            f"{name}: picture_size {picture_size} cannot be made: {error}"
        ) from error
