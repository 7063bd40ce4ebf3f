"""Names of a model's classes. No host."""

from pathlib import Path

from ..models.family import class_count
from .detect import Part
from .kinds import read_json_text


def class_labels(part: Part) -> tuple[tuple[str, ...], str]:
    """Class names: from the file's metadata, or ImageNet's when it has 1000 classes."""
    classes = class_count(part.config)
    labels = _stored_labels(part)
    if len(labels) == classes and labels:
        return labels, part.metadata.get("label_set", "Labels")[:40]
    if classes == 1000:
        return imagenet_labels(), "ImageNet"
    return (), ""


def _stored_labels(part: Part) -> tuple[str, ...]:
    """Class names in a file's header; () where they are no list of texts, for the classes have numbers too."""
    try:
        labels = read_json_text(part.metadata.get("labels", "[]"))
    except ValueError:
        return ()
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        return ()
    return tuple(" ".join(name[:200].split()) for name in labels)


def imagenet_labels() -> tuple[str, ...]:
    """The 1000 class names of ImageNet-1k, in the order of the sorted synsets."""
    path = Path(__file__).parent / "labels" / "imagenet.txt"
    return tuple(path.read_text(encoding="utf-8").splitlines())
