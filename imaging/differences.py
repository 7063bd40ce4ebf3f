"""Of several runs, what differs: settings as named texts."""

from collections.abc import Mapping, Sequence

Parameters = dict[str, str]


def parse_label(label: str) -> Parameters:
    """ "scale = 3; seed = 7" -> its parts; text without '=' is one part without a name."""
    parts = [part.strip() for line in label.splitlines() for part in line.split(";")]
    pairs = (part.partition("=") for part in parts if part)
    return {
        (name.strip() if sign else ""): (value if sign else name).strip()
        for name, sign, value in pairs
    }


def differing(runs: Sequence[Mapping[str, str]]) -> list[Parameters]:
    """Of every run only the settings that are not the same in all; one that a run lacks is a dash."""
    names = list(dict.fromkeys(name for run in runs for name in run))
    kept = [name for name in names if len({run.get(name) for run in runs}) > 1]
    return [{name: run.get(name, "-") for name in kept} for run in runs]


def caption(run: Mapping[str, str]) -> str:
    """One line: "scale 3, seed 7"."""
    return ", ".join(f"{name} {value}".strip() for name, value in run.items())
