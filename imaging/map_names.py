"""The maps a run may record, as AR Guidance Map offers them.

A chain may hold any number of links of one method, and a list in a node is fixed before anything runs: maps of the first
`MOST` of each are offered. The viewer on AR Decode lists what was recorded, however many.
"""

from ..guidance.mixed import Mixed
from ..guidance.record import numbered
from ..guidance.registry import METHODS

MOST = 4

# The mix records its two terms under the names of CFG and IGG.
_COMBINING = [method for method in METHODS.values() if method.combines and method is not Mixed]
_FIRST = ("attention", *(f"{method.name} direction" for method in _COMBINING))
# Only one link of a chain may weigh tokens.
_AGAIN = ("attention", *(f"{m.name} direction" for m in _COMBINING if not m.needs_weights))

MAPS = (
    *("nudge", "added", "confidence", "entropy"),
    *_FIRST,
    *(numbered(name, {name.split()[0]: n}) for n in range(2, MOST + 1) for name in _AGAIN),
)


def unnumbered(name: str) -> tuple[str, int]:
    """A map's name without its number, and the number: "igg 2 direction" -> ("igg direction", 2)."""
    words = name.split()
    number = next((word for word in words[1:] if word.isdigit()), None)
    if number is None:
        return name, 1
    return " ".join(word for word in words if word != number), int(number)
