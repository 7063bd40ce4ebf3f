"""The widget that says which row of a paper a sampler's settings come from."""

from comfy_api.v0_0_2 import io

from ...loaders.quote import quoted
from ...sampling.paper_settings import paper_setting
from ..compat import widget


def preset_widget() -> io.Input:
    """It sets nothing."""
    return widget(
        io.String,
        "preset",
        default="",
        optional=True,
        tooltip="The paper's row that these settings come from, filled in by the subgraphs 'AR paper ...'. It sets"
        " nothing: a model it is not for is refused, another size of the right one is pointed out. Empty = none.",
        advanced=True,
    )


def preset_notes(preset: str, family: str, width: int) -> tuple[str, ...]:
    """What to tell beside the images of a network of a family and so many channels.

    Raises:
        ValueError: there is no such row, or it is for another family.
    """
    if not preset.strip():
        return ()
    note = paper_setting(quoted(preset.strip()), family).note(width)
    return (note,) if note else ()
