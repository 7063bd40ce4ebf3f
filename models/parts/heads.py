"""How many heads a network has whose weights do not say it."""

from collections.abc import Mapping

from .settings import whole

RELEASED = 64  # channels per head of every release this is asked for


def head_count(settings: Mapping[str, object], width: int) -> int:
    """Heads of a network C = `width` channels wide: as its settings say, else one for every 64 channels.

    Raises:
        ValueError: the settings do not say it, and that rule does not fit.
    """
    if settings.get("num_heads") is not None:
        return whole(settings, "num_heads", 0, 1, width)
    if width % RELEASED:
        raise ValueError(
            f"how many heads share its {width} channels cannot be told from the weights: put the release's config.json"
            " beside the file; it must say num_heads"
        )
    return width // RELEASED
