"""Scale lists of Infinity's release: 15 aspect ratios, four pixel budgets.

Facts of the release (FoundationVision/Infinity@4c27bbb): a ratio h/w has one list of 13 grids, and a budget uses its
beginning. Image = 16 x the last grid. Ratios below 1 use the transposed list of their inverse.
"""

from dataclasses import dataclass

from ..parts.grid import Grid

PIXELS = 16  # per side of a token of the last grid, in every release
BUDGETS = {"0.06M": 7, "0.25M": 10, "0.60M": 12, "1M": 13}  # -> number of scales
RELEASED = ("0.06M", "0.25M", "1M")  # budgets some network was trained for

# h/w -> (rows of every grid, columns of every grid)
_TALL: dict[float, tuple[tuple[int, ...], tuple[int, ...]]] = {
    1.0: (
        (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64),
        (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64),
    ),
    1.25: (
        (1, 2, 3, 5, 10, 15, 20, 25, 30, 35, 45, 55, 70),
        (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 36, 44, 56),
    ),
    1.333: (
        (1, 2, 4, 8, 12, 16, 20, 24, 28, 36, 48, 60, 72),
        (1, 2, 3, 6, 9, 12, 15, 18, 21, 27, 36, 45, 54),
    ),
    1.5: (
        (1, 2, 3, 6, 9, 15, 21, 27, 33, 39, 48, 63, 78),
        (1, 2, 2, 4, 6, 10, 14, 18, 22, 26, 32, 42, 52),
    ),
    1.75: (
        (1, 2, 3, 7, 11, 14, 21, 28, 35, 42, 56, 70, 84),
        (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48),
    ),
    2.0: (
        (1, 2, 4, 6, 10, 16, 22, 30, 38, 46, 60, 74, 90),
        (1, 2, 2, 3, 5, 8, 11, 15, 19, 23, 30, 37, 45),
    ),
    2.5: (
        (1, 2, 5, 10, 15, 20, 25, 30, 40, 50, 65, 80, 100),
        (1, 2, 2, 4, 6, 8, 10, 12, 16, 20, 26, 32, 40),
    ),
    3.0: (
        (1, 2, 6, 9, 15, 21, 27, 36, 45, 54, 72, 90, 111),
        (1, 2, 2, 3, 5, 7, 9, 12, 15, 18, 24, 30, 37),
    ),
}


@dataclass(frozen=True)
class Template:
    """One aspect ratio h/w and its grids at the largest budget."""

    ratio: float
    grids: tuple[Grid, ...]

    def at(self, budget: str) -> tuple[Grid, ...]:
        """Grids of a budget ("1M")."""
        return self.grids[: BUDGETS[budget]]


def _templates() -> tuple[Template, ...]:
    found = []
    for ratio, (tall, narrow) in _TALL.items():
        found.append(Template(ratio, tuple(zip(tall, narrow, strict=True))))
        if ratio > 1:
            inverse = int(1000 / ratio) / 1000  # the release cuts to three digits: 0.666
            found.append(Template(inverse, tuple(zip(narrow, tall, strict=True))))
    return tuple(found)


TEMPLATES = _templates()  # in the release's order: on ties the earlier one is taken


def template_for(ratio: float) -> Template:
    """The aspect ratio nearest to h/w."""
    return min(TEMPLATES, key=lambda template: abs(template.ratio - ratio))


def sizes(budget: str) -> list[tuple[int, int]]:
    """Images (height, width) a budget offers."""
    last = [template.at(budget)[-1] for template in TEMPLATES]
    return [(PIXELS * h, PIXELS * w) for h, w in last]


def frames() -> tuple[Grid, ...]:
    """The last grid of every ratio at every budget, those a network was released for first."""
    budgets = dict.fromkeys((*RELEASED, *BUDGETS))
    return tuple(template.at(budget)[-1] for budget in budgets for template in TEMPLATES)


def place_of(frame: Grid) -> tuple[float, int]:
    """Ratio and number of scales of the list that ends with this grid.

    Raises:
        ValueError: none does.
    """
    for template in TEMPLATES:
        if frame in template.grids:
            return template.ratio, template.grids.index(frame) + 1
    raise ValueError(f"no scale list of Infinity ends with {frame}")
