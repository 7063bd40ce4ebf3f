"""The classes of the bundled model: 39 groups merged from Unicode subgroups, and four styles."""

from __future__ import annotations

STYLES = ("noto", "noto v1", "fluent flat", "fluent")

GROUPS: dict[str, tuple[str, ...]] = {
    "face": (
        "face-smiling", "face-affection", "face-tongue", "face-hand", "face-neutral-skeptical",
        "face-sleepy", "face-unwell", "face-hat", "face-glasses", "face-concerned",
        "face-negative",
    ),
    "creature": ("face-costume",),
    "animal face": ("cat-face", "monkey-face"),
    "person": ("person", "person-gesture", "person-role", "person-fantasy"),
    "moving person": ("person-activity", "person-sport", "person-resting"),
    "hand": (
        "hand-fingers-open", "hand-fingers-partial", "hand-single-finger",
        "hand-fingers-closed", "hands", "hand-prop",
    ),
    "body part": ("body-parts",),
    "heart": ("heart",),
    "animal": ("animal-mammal", "animal-reptile", "animal-amphibian"),
    "bird": ("animal-bird",),
    "sea animal": ("animal-marine",),
    "insect": ("animal-bug",),
    "flower": ("plant-flower",),
    "plant": ("plant-other",),
    "fruit": ("food-fruit",),
    "vegetable": ("food-vegetable",),
    "meal": ("food-prepared", "food-asian"),
    "sweet": ("food-sweet",),
    "drink": ("drink", "dishware"),
    "landscape": ("place-geographic", "place-map", "place-other"),
    "building": ("place-building", "place-religious"),
    "land vehicle": ("transport-ground",),
    "boat": ("transport-water",),
    "aircraft": ("transport-air",),
    "clock": ("time",),
    "sky": ("sky-weather",),
    "celebration": ("event",),
    "sport": ("sport", "award-medal"),
    "game": ("game", "arts-crafts"),
    "clothing": ("clothing",),
    "music": ("sound", "music", "musical-instrument"),
    "device": ("phone", "computer", "light-video"),
    "paper": ("book-paper", "mail", "writing", "office"),
    "money": ("money",),
    "tool": ("tool", "lock"),
    "science": ("science", "medical"),
    "household": ("household", "other-object"),
    "sign": (
        "alphanum", "av-symbol", "other-symbol", "arrow", "transport-sign", "warning",
        "religion", "zodiac", "keycap", "punctuation", "math", "gender", "currency", "flag",
        "hotel",
    ),
    "shape": ("geometric",),
}  # fmt: skip

# Unicode files these drawings elsewhere; they look like the group named here.
MOVED: dict[str, str] = {
    **dict.fromkeys(
        (
            "monkey face", "dog face", "wolf", "fox", "raccoon", "cat face", "lion", "tiger face",
            "horse face", "moose", "unicorn", "zebra", "cow face", "pig face", "boar",
            "mouse face", "hamster", "rabbit face", "bear", "polar bear", "koala", "panda",
            "frog", "dragon face",
        ),
        "animal face",
    ),
    **dict.fromkeys(
        ("bus stop", "motorway", "railway track", "oil drum", "fuel pump", "wheel",
         "police car light", "horizontal traffic light", "vertical traffic light", "stop sign",
         "construction"),
        "sign",
    ),
}  # fmt: skip

NAMES = tuple(GROUPS)
ANY_GROUP, ANY_STYLE = len(GROUPS), len(STYLES)
ROWS = (ANY_GROUP + 1) * (ANY_STYLE + 1)
UPRIGHT = ("sign", "clock")  # groups whose mirror image is wrong: text and clock hands

_GROUP_OF = {subgroup: name for name, members in GROUPS.items() for subgroup in members}


def group_of(label: str, subgroup: str) -> int | None:
    """Index of the group of an emoji, or None when its Unicode subgroup is left out."""
    name = MOVED.get(label) or _GROUP_OF.get(subgroup)
    return None if name is None else NAMES.index(name)


def row(group: int, style: int) -> int:
    """Row of the class table; (any, any) is the last row, the null class."""
    return group * (ANY_STYLE + 1) + style


def labels() -> list[str]:
    """Names of all rows except the null row, in order."""
    names = []
    for group in range(ANY_GROUP + 1):
        for style in range(ANY_STYLE + 1):
            what = NAMES[group] if group < ANY_GROUP else "anything"
            names.append(f"{what} ({STYLES[style]})" if style < ANY_STYLE else what)
    return names[:-1]
