"""What a run depends on, as named texts."""

from dataclasses import fields, is_dataclass

from ...imaging.canvas import number
from ...imaging.differences import Parameters
from ...imaging.editing import BLENDED, TOKENS_ONLY, Edit
from ..types import EDM2Sampling, Sampling


def parameters_of(sampling: Sampling | EDM2Sampling) -> Parameters:
    """Name -> value of every setting of a run; those of a guidance bear its name where there are several."""
    found = _networks(sampling)
    found["condition"] = repr(sampling.conditioning).removeprefix("AR conditioning: ")
    for entry in fields(sampling):
        if entry.name not in ("model", "edm2", "conditioning", "guidances", "edit"):
            found |= _flat(entry.name, getattr(sampling, entry.name))
    found["guidance"] = " > ".join(guidance.name for guidance in sampling.guidances) or "none"
    for place, guidance in enumerate(sampling.guidances):
        twice = sum(other.name == guidance.name for other in sampling.guidances) > 1
        name = f"{guidance.name} {place + 1}" if twice else guidance.name
        own = {entry.name: getattr(guidance, entry.name) for entry in fields(guidance)}  # type: ignore[arg-type]
        for key, value in own.items():
            found |= _flat(f"{name} {key}" if len(sampling.guidances) > 1 else key, value)
    return found if isinstance(sampling, EDM2Sampling) else found | _kept(sampling.edit)


def _networks(sampling: Sampling | EDM2Sampling) -> Parameters:
    """What draws, and of EDM2 what guidance pushes away from."""
    if not isinstance(sampling, EDM2Sampling):
        return {"model": sampling.model.name}
    guide = sampling.edm2.guide_name or "none"
    return {"model": sampling.edm2.name, "guide": guide}


def _kept(edit: Edit | None) -> Parameters:
    if edit is None:
        return {}
    found = {"kept": number(edit.kept), "soft edge": str(edit.softness)}
    if edit.mask is not None:
        found["seam"] = BLENDED if edit.blend else TOKENS_ONLY
        found["keep outside"] = str(edit.pixels is not None)
    return found


def _flat(name: str, value: object) -> Parameters:
    if is_dataclass(value) and not isinstance(value, type):
        parts = [_flat(entry.name, getattr(value, entry.name)) for entry in fields(value)]
        return {key: text for part in parts for key, text in part.items()}
    return {name.replace("_", " "): _text(value)}


def _text(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, tuple | list):
        return ", ".join(_text(entry) for entry in value) or "none"
    return "none" if value is None else str(value)
