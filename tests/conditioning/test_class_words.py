"""What an artist types for a class: plurals, everyday words, emoji."""

import json

import pytest
from ar_guidance.conditioning.class_words import WORDS, meant, singulars
from ar_guidance.tools.pack import ROOT

SHEET = json.loads((ROOT / "web/classes.json").read_text("utf-8"))
NAMES = SHEET["names"]


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("faces", "face"),
        ("Hearts", "heart"),
        ("cat", "animal face"),
        ("cats", "animal face"),
        ("cherries", "fruit"),
        ("people", "person"),
        ("car", "land vehicle"),
        ("🐱", "animal face"),
        ("🐕", "animal face"),
        ("❤️", "heart"),
        ("😀", "face"),
        ("🍎", "fruit"),
        ("🚗", "land vehicle"),
        ("🐳", "sea animal"),
        ("🕐", "clock"),
        ("🌞", "sky"),
        ("👍🏽", "hand"),
    ],
)
def test_words_and_emoji_mean_a_class(typed: str, label: str) -> None:
    assert meant(typed, NAMES) == label


@pytest.mark.parametrize("typed", ["", "xyzzy", "3", "no class", "  ", "…", "glass harmonica"])
def test_other_texts_mean_none(typed: str) -> None:
    assert meant(typed, NAMES) is None


def test_words_are_of_classes_the_model_has() -> None:
    assert set(WORDS) <= set(NAMES)
    assert SHEET["words"] == WORDS  # the picker finds classes by the same words
    labels = ("tabby, tabby cat", "goldfish, Carassius auratus")
    assert meant("cat", labels) is None  # another model's labels: the group is not among them
    assert meant("goldfishes", ["goldfish"]) == "goldfish"


def test_singulars() -> None:
    assert singulars("sea animals") == ["sea animal"]
    assert singulars("grass") == []
    assert "box" in singulars("boxes") and singulars("leaves")[0] == "leaf"
