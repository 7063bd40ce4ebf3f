"""Numbers from widgets or links: checked, and turned into whole scales and tokens."""

from .tokens import ImageTokens

BY_VARIATION = -1
SOFTEST = 256  # pixels
WIDEST = 0.9  # of an image, on one side


def within(name: str, value: float, low: float, high: float) -> float:
    """The value. A link brings any number, where a widget has its ends.

    Raises:
        ValueError: it lies outside [low, high] or is no number.
    """
    if not low <= value <= high:
        raise ValueError(
            f"{name} is {value:g}, but goes from {low:g} to {high:g}: change the number that is connected to it"
        )
    return value


def share_kept(tokens: ImageTokens, variation: float, keep_scales: int) -> float:
    """Share of the steps to keep, 0-1, from the two controls of AR Keep Scales.

    Raises:
        ValueError: a variation out of range, more scales than there are, or scales of a model that has none.
    """
    scales = len(tokens.grids)
    most = max(keep_scales, scales)  # more than there are get a message of their own
    within("keep_scales", keep_scales, BY_VARIATION, most)
    if keep_scales == BY_VARIATION:
        return 1 - within("variation", variation, 0, 1)
    if tokens.kind != "scale":
        raise ValueError(
            f"{tokens.family} has no scales: set keep_scales to {BY_VARIATION} and use variation"
        )
    if keep_scales > scales:
        raise ValueError(
            f"keep_scales is {keep_scales}, but these images of {tokens.family} have {scales} scales:"
            f" {scales} keeps the image as it is, {scales - 1} draws only the finest scale again"
        )
    return keep_scales / scales


def margins(tokens: int, **sides: float) -> tuple[int, int]:
    """Whole tokens before and after the image, of a side `tokens` long, from the shares of its two `sides`, by name.

    Raises:
        ValueError: a share out of range, or no token is left for the image.
    """
    before, after = (within(name, share, 0, WIDEST) for name, share in sides.items())
    margin = round(before * tokens), round(after * tokens)
    if sum(margin) >= tokens:
        raise ValueError(
            f"{' and '.join(sides)} together take {before + after:.2f} of the image and leave no place for the old one:"
            " lower them"
        )
    return margin
