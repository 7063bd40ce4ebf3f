"""Everyday words for classes: plurals, words for the bundled model's groups ("cat" is an animal face), and emoji themselves."""

import re
import unicodedata
from collections.abc import Collection

# class of the bundled model: words that mean it; the first class that has a word gets it
WORDS: dict[str, str] = {
    "animal face": "cat kitten dog puppy monkey fox lion tiger wolf raccoon moose unicorn zebra boar hamster bear koala panda"
    " frog pig cow mouse rabbit bunny horse dragon",
    "face": "smiley smile emoticon head grin",
    "creature": "monster ghost alien robot skull ogre goblin clown imp devil demon",
    "person": "man woman boy girl child baby people human adult lady guy prince princess fairy mage",
    "moving person": "runner dancer swimmer surfer walker cyclist climber skier",
    "hand": "thumb fist finger palm wave",
    "body part": "ear nose eye mouth foot leg tooth brain bone tongue lips arm biceps",
    "heart": "love",
    "animal": "elephant camel giraffe sheep goat deer ox buffalo rat snake lizard turtle crocodile dinosaur sauropod kangaroo"
    " sloth otter squirrel hedgehog bat pet mammal reptile leopard gorilla orangutan rhinoceros hippopotamus badger llama",
    "bird": "chicken rooster hen duck owl eagle penguin dove parrot peacock swan flamingo turkey chick goose feather",
    "sea animal": "fish shark whale dolphin octopus crab lobster shrimp squid seal jellyfish oyster coral blowfish shell",
    "insect": "bug bee butterfly ant beetle spider fly worm mosquito cricket cockroach caterpillar snail scorpion microbe",
    "flower": "rose tulip sunflower blossom bouquet hibiscus daisy lotus hyacinth rosette",
    "plant": "tree leaf cactus palm grass herb seedling shamrock clover mushroom bush",
    "fruit": "apple banana orange pear peach cherry grape strawberry lemon melon watermelon pineapple mango kiwi coconut"
    " blueberry berry tangerine tomato olive lime",
    "vegetable": "carrot broccoli corn potato onion garlic pepper cucumber lettuce aubergine eggplant avocado maize pea bean",
    "meal": "food pizza burger hamburger sandwich bread taco noodles sushi rice egg cheese meat soup curry spaghetti pasta"
    " hotdog bacon pancakes salad dumpling fries bento croissant",
    "sweet": "cake candy chocolate cookie donut doughnut icecream lollipop pie cupcake honey dessert custard sundae",
    "drink": "coffee tea beer wine milk cocktail juice cup glass bottle mug champagne sake beverage teapot chopsticks",
    "landscape": "mountain beach island desert volcano camping sunset sunrise globe earth park bridge fountain cityscape city",
    "building": "house home castle church hospital school factory hotel temple mosque tower stadium hut bank shop",
    "land vehicle": "car automobile bus truck train bicycle bike motorcycle taxi lorry tractor tram ambulance vehicle scooter"
    " locomotive",
    "boat": "ship sailboat ferry canoe yacht anchor speedboat",
    "aircraft": "plane airplane aeroplane helicopter rocket satellite parachute jet ufo saucer",
    "clock": "watch time alarm hourglass timer stopwatch oclock",
    "sky": "sun moon star cloud rain rainbow snow snowflake lightning weather storm wind comet umbrella fire tornado snowman",
    "celebration": "party balloon christmas firework fireworks gift present pumpkin confetti festival sparkler ribbon",
    "sport": "ball football soccer basketball tennis medal trophy baseball golf hockey volleyball skateboard",
    "game": "dice die joystick puzzle card chess doll teddy painting kite dart",
    "clothing": "shirt dress shoe hat clothes jeans glasses sock boot crown trousers coat bag handbag glove scarf bikini kimono",
    "music": "guitar piano violin drum trumpet note saxophone microphone bell speaker accordion banjo flute",
    "device": "phone telephone computer laptop camera television tv printer keyboard battery radio candle torch lamp bulb",
    "paper": "book letter mail envelope pencil pen newspaper notebook folder scissors page document crayon paperclip",
    "money": "coin dollar euro cash banknote receipt yen",
    "tool": "hammer wrench axe saw key lock screwdriver knife sword shield pickaxe dagger",
    "science": "microscope telescope pill syringe dna test tube thermometer stethoscope magnet",
    "household": "chair bed sofa couch toilet door broom basket soap bucket bathtub sponge shower",
    "sign": "flag arrow number symbol zodiac warning cross infinity keycap button",
    "shape": "square circle triangle diamond",
}

_MEANING: dict[str, str] = {}
for _name, _words in WORDS.items():
    for _word in _words.split():
        _MEANING.setdefault(_word, _name)

IRREGULAR = {
    "people": "person", "men": "man", "women": "woman", "children": "child", "feet": "foot", "teeth": "tooth",
    "mice": "mouse", "geese": "goose", "leaves": "leaf", "knives": "knife", "wolves": "wolf", "dice": "die",
}  # fmt: skip


def meant(typed: str, labels: Collection[str]) -> str | None:
    """The label that a word, a plural or an emoji means; None where no label is meant.

    `labels`: of the model. Words of the bundled model's groups count only where the model has that very group.
    """
    known = {label.lower(): label for label in labels}
    for text in (typed.lower(), *_emoji_names(typed)):
        for form in (text, *singulars(text)):
            if form in known:
                return known[form]
            if _MEANING.get(form) in known:
                return known[_MEANING[form]]
    for name in _emoji_names(typed):
        found = _by_words(name.split(), known)
        if found:
            return found
    return None


def singulars(word: str) -> list[str]:
    """What a word may be the plural of, the likeliest first: "cherries" of cherry, "boxes" of box."""
    *before, last = word.split(" ")
    forms = [IRREGULAR[last]] if last in IRREGULAR else []
    if last.endswith("ies"):
        forms.append(f"{last[:-3]}y")
    if last.endswith("s") and not last.endswith("ss"):
        forms.append(last[:-1])
    if re.search(r"(s|x|z|ch|sh|o)es$", last):
        forms.append(last[:-2])
    return [" ".join([*before, form]) for form in forms]


def _emoji_names(typed: str) -> list[str]:
    """The Unicode name of an emoji in words: "cat face"; [] for any other text."""
    signs = [sign for sign in typed if not unicodedata.category(sign).startswith(("M", "C"))]
    if not signs or any(sign.isalnum() or sign.isspace() or ord(sign) < 0xA9 for sign in signs):
        return []
    name = unicodedata.name(signs[0], "").lower()
    return [re.sub(r"[^a-z ]+", " ", name).strip()] if name else []


def _by_words(words: list[str], known: dict[str, str]) -> str | None:
    """The first word that means something; where an animal's face is drawn, the animal face."""
    found = next((label for word in words if (label := _one(word, known))), None)
    if "face" in words and found in ("animal", "insect") and "animal face" in known:
        return known["animal face"]
    return found


def _one(word: str, known: dict[str, str]) -> str | None:
    for form in (word, *singulars(word)):
        if form in known or _MEANING.get(form) in known:
            return known.get(form) or known[_MEANING[form]]
    return None
