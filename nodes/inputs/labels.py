"""Class names: the searchable list of the widget, and what an artist types -> class indices."""

import difflib
import json
import re

from safetensors import safe_open

from ...conditioning.class_words import meant
from ...loaders.checkpoint import ARModel
from ...loaders.class_names import imagenet_labels
from ...loaders.edm2 import EDM2Model
from ...loaders.quote import listed, quoted
from ...models.family import class_count
from . import folders

Labelled = ARModel | EDM2Model
NO_CLASS = "no class (unconditional)"


def choices() -> list[str]:
    """Every label an artist can search: the bundled model's, then ImageNet's."""
    with safe_open(folders.BUNDLED_FILES[0], framework="pt") as file:
        metadata = file.metadata() or {}
    bundled = json.loads(metadata.get("labels", "[]"))
    prefix = metadata.get("label_set", "Labels")
    imagenet = [f"ImageNet: {name} ({index})" for index, name in enumerate(imagenet_labels())]
    bundled.sort(key=lambda name: name.endswith(")"))  # plain classes before those of one style
    return [f"{prefix}: {name}" for name in bundled] + imagenet + [NO_CLASS]


def parse(model: Labelled, label: str, classes: str) -> tuple[list[int], list[str]]:
    """Class indices and names from the chosen label or, if given, the typed list.

    Raises:
        ValueError: a name or number the model does not have; the message names the nearest ones.
    """
    typed = [part.strip() for part in re.split(r"[,\n;]", classes) if part.strip()]
    indices = [_index(model, entry) for entry in typed or [label]]
    return indices, [name_of(model, index) for index in indices]


def name_of(model: Labelled, index: int) -> str:
    """What a class is called."""
    if index == class_count(model.config):
        return NO_CLASS
    return model.labels[index] if model.labels else f"class {index}"


def _index(model: Labelled, entry: str) -> int:
    if entry.lower() in (NO_CLASS, "no class", "none", "null", "unconditional"):
        return class_count(model.config)
    if re.fullmatch(r"-?[0-9]{1,18}", entry):
        return _numbered(model, int(entry))
    set_name, _, rest = entry.partition(": ")
    if rest and set_name in (model.label_set, "ImageNet"):
        if set_name != model.label_set:
            raise ValueError(
                f"'{quoted(entry)}' is not a class of {quoted(model.name)}. Choose a label that starts with"
                f" '{quoted(model.label_set)}:', or type a number from 0 to {class_count(model.config) - 1}"
                if model.label_set
                else f"'{quoted(entry)}': {quoted(model.name)} has no class names. Type a number from 0 to"
                f" {class_count(model.config) - 1} into 'classes'"
            )
        entry = re.sub(r" \(\d+\)$", "", rest) if set_name == "ImageNet" else rest
        numbered = re.search(r" \((\d+)\)$", rest)
        if set_name == "ImageNet" and numbered:
            return _numbered(model, int(numbered[1]))
    return _named(model, entry)


def _numbered(model: Labelled, number: int) -> int:
    if not 0 <= number < class_count(model.config):
        raise ValueError(
            f"class {number} is out of range: {model.name} has classes 0 to {class_count(model.config) - 1}"
        )
    return number


def _named(model: Labelled, name: str) -> int:
    lowered = [label.lower() for label in model.labels]
    if name.lower() in lowered:
        return lowered.index(name.lower())
    word = meant(name, model.labels)
    if word is not None:
        return model.labels.index(word)
    containing = [i for i, label in enumerate(lowered) if name.lower() in label]
    if len(containing) == 1:
        return containing[0]
    near = [model.labels[i] for i in containing[:5]] or difflib.get_close_matches(
        name, model.labels, 5, 0.4
    )
    hint = f" Did you mean: {listed(near, 5)}?" if near else ""
    raise ValueError(
        f"'{quoted(name)}' is not a class of {quoted(model.name)}.{hint} Numbers from 0 to {class_count(model.config) - 1} work too"
    )
