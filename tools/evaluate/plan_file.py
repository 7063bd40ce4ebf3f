"""From a YAML file to a plan; what a plan cannot say is refused, by the name it has in the file."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from ar_guidance.sampling.heun import Heun

from .plan import KEEP, SPREADS, Plan, Setting
from .problems import EvaluationError

MOST_SEEDS = 1_000_000
SWEPT = "$x"  # stands for the strength in a row that lists several
TOP = {
    *(
        "name",
        "about",
        "models",
        "conditions",
        "seeds",
        "each",
        "batch",
        "shard",
        "sampler",
        "keep",
    ),
    *("judges", "trace", "rows", "blocks", "latency", "threads", "figures"),
}
ROW = {
    "model",
    "label",
    "strengths",
    "strength",
    "chain",
    "sampler",
    "conditions",
    "paper",
    "about",
}
SAMPLER = {"temperature", "temperatures", "top_k", "top_p", "min_p", "smooth", "by_entropy"}
HEUN = {entry.name for entry in fields(Heun)}  # of diffusion models


def read_plan(path: Path) -> Plan:
    """The plan in a YAML file.

    Raises:
        EvaluationError: the file cannot be read, or says something a plan cannot say.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EvaluationError(f"{path}: the plan cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path.name}: this is not YAML: {error}") from error
    if not isinstance(content, dict):
        raise EvaluationError(
            f"{path.name}: a plan is a list of names and values; see docs/evaluation.md"
        )
    try:
        return make_plan(content)
    except EvaluationError as error:
        raise EvaluationError(f"{path.name}: {error}") from error


def make_plan(content: Mapping[str, Any]) -> Plan:
    """A plan from what its file says, checked.

    Raises:
        EvaluationError: what is wrong, by the name in the file.
    """
    _known(content, TOP, "the plan")
    models = _mapping(content, "models")
    if not models:
        raise EvaluationError("'models' names no model: there is nothing to sample from")
    rows = content.get("rows")
    if not isinstance(rows, list) or not rows:
        raise EvaluationError("'rows' must be a list with a row per setting or curve")
    settings = tuple(
        s for number, row in enumerate(rows, 1) for s in _settings(row, number, content)
    )
    _check_settings(settings, models)
    plan = Plan(
        name=str(content.get("name", "evaluation")),
        about=str(content.get("about", "")).strip(),
        models=models,
        settings=settings,
        seeds=_seeds(content.get("seeds", 1)),
        each=_count(content, "each", 100),
        batch=_count(content, "batch", 50),
        shard=_count(content, "shard", 250),
        keep=_one_of(content, "keep", KEEP),
        judges=_judges(content.get("judges", ["bundled"])),
        trace=_trace(content.get("trace", False)),
        blocks=_count(content, "blocks", 20),
        latency=_latency(content.get("latency")),
        threads=_count(content, "threads", 1),
        figures=tuple(_list(content, "figures", "the plan")),
    )
    _check_plain(plan)
    return plan


def _check_plain(plan: Plan) -> None:
    """What YAML reads as dates, NaN and the like is found here, not after an hour."""
    try:
        json.dumps(plan.identity(), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise EvaluationError(
            f"a value is neither a finite number nor words (a date? write it in quotes): {error}"
        ) from error


def _settings(row: Any, number: int, content: Mapping[str, Any]) -> list[Setting]:
    """The settings of one row: one, or one per strength."""
    where = f"row {number}"
    if not isinstance(row, dict):
        raise EvaluationError(f"{where} is not a list of names and values: {row!r}")
    _known(row, ROW, where)
    if "label" not in row:
        raise EvaluationError(f"{where} has no 'label'")
    if "strength" in row and "strengths" in row:
        raise EvaluationError(f"{where} ('{row['label']}') has both 'strength' and 'strengths'")
    swept = "strengths" in row
    strengths = row["strengths"] if swept else [row.get("strength")]
    if not isinstance(strengths, list) or not strengths:
        raise EvaluationError(f"{where} ('{row['label']}'): 'strengths' must be a list of numbers")
    return [_setting(row, where, content, strength) for strength in strengths]


def _setting(row: Mapping[str, Any], where: str, content: Mapping[str, Any], x: Any) -> Setting:
    where = f"{where} ('{row['label']}')"
    if x is not None and not _is_number(x):
        raise EvaluationError(f"{where}: a strength must be a number, not {x!r}")
    models = content.get("models", {})
    model = row.get("model", next(iter(models), ""))
    if not isinstance(model, str) or model not in models:
        raise EvaluationError(f"{where}: unknown model '{model}'; there are: {', '.join(models)}")
    sampler = _options(content, "sampler", "the plan") | _options(row, "sampler", where)
    conditions = _options(row, "conditions", where) or _options(content, "conditions", "the plan")
    paper = _options(row, "paper", where)
    if not all(map(_is_number, paper.values())):
        raise EvaluationError(f"{where}, 'paper': a metric's number in the paper, not {paper!r}")
    known = HEUN if "diffusion" in models[model] else SAMPLER
    _known(sampler, known, f"{where}, 'sampler' of model '{model}'")
    return Setting(
        label=str(row["label"]),
        strength=None if x is None else float(x),
        model=model,
        chain=tuple(_link(entry, where, x) for entry in _list(row, "chain", where)),
        sampler=_filled(sampler, x),
        conditions=conditions or {"classes": "all"},
        paper=paper,
    )


def _link(entry: Any, where: str, x: float | None) -> tuple[str, Mapping[str, Any]]:
    """One guidance: its name, or {name: options}."""
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, dict) and len(entry) == 1:
        (method, options), *_ = entry.items()
        if options is None or isinstance(options, dict):
            return str(method), _filled(options or {}, x)
    raise EvaluationError(
        f"{where}: a guidance is written as 'name: {{option: value}}', not {entry!r}"
    )


def _filled(options: Mapping[str, Any], x: float | None) -> dict[str, Any]:
    """Options with the strength in its place."""
    return {name: x if value == SWEPT else value for name, value in options.items()}


def _check_settings(settings: Sequence[Setting], models: Mapping[str, Any]) -> None:
    """No two settings share a folder; every model is used."""
    seen: dict[str, str] = {}
    for setting in settings:
        if setting.slug in seen:
            raise EvaluationError(
                f"two rows are both called '{setting.name}' on model '{setting.model}': give one another label"
            )
        seen[setting.slug] = setting.name
    unused = set(models) - {setting.model for setting in settings}
    if unused:
        raise EvaluationError(f"no row uses the model '{sorted(unused)[0]}': use it or remove it")


def _known(given: Mapping[str, Any], names: set[str], where: str) -> None:
    unknown = [str(name) for name in given if name not in names]
    if unknown:
        raise EvaluationError(
            f"{where}: unknown entry '{unknown[0]}'; there are: {', '.join(sorted(names))}"
        )


def _mapping(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    given = _options(content, name, "the plan")
    if not all(isinstance(value, dict) for value in given.values()):
        raise EvaluationError(f"'{name}' must hold a name with options for each entry")
    return given


def _options(content: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """Names and values; none where nothing is given."""
    given = content.get(name) or {}
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise EvaluationError(f"{where}: '{name}' must hold names and values, not {given!r}")
    return dict(given)


def _list(content: Mapping[str, Any], name: str, where: str) -> list[Any]:
    """A list; an empty one where nothing is given."""
    given = content.get(name) or []
    if not isinstance(given, list):
        raise EvaluationError(f"{where}: '{name}' must be a list, not {given!r}")
    return given


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _count(content: Mapping[str, Any], name: str, default: int) -> int:
    value = content.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise EvaluationError(f"'{name}' must be a whole number of 1 or more, not {value!r}")
    return value


def _trace(given: Any) -> str:
    """Whether and how the guidance is measured."""
    spread = SPREADS[0] if given is True else given or ""
    if spread and spread not in tuple(SPREADS):
        raise EvaluationError(
            f"'trace' must be true, false or one of {', '.join(SPREADS)}, not {given!r}"
        )
    return spread


def _one_of(content: Mapping[str, Any], name: str, choices: Sequence[str]) -> str:
    value = content.get(name, choices[0])
    if value not in choices:
        raise EvaluationError(f"'{name}' must be one of {', '.join(choices)}, not {value!r}")
    return value


def _seeds(given: Any) -> tuple[int, ...]:
    """A number of seeds (0, 1, ...), or the seeds themselves."""
    if type(given) is int and 0 < given <= MOST_SEEDS:
        return tuple(range(given))
    seeds = given if isinstance(given, list) else []
    whole = all(type(seed) is int and seed >= 0 for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise EvaluationError(
            f"'seeds' must be how many, or a list of different whole numbers from 0, not {given!r}"
        )
    return tuple(seeds)


def _judges(given: Any) -> dict[str, dict[str, Any]]:
    """["name", {"name": options}, ...] -> name -> options."""
    found: dict[str, dict[str, Any]] = {}
    for entry in given if isinstance(given, list) else [given]:
        if not isinstance(entry, (str, dict)):
            raise EvaluationError(
                f"'judges': a judge is its name, or its name with options: {entry!r}"
            )
        both = entry if isinstance(entry, dict) else {entry: {}}
        for name, options in both.items():
            if not isinstance(options or {}, dict):
                raise EvaluationError(f"'judges': {name} needs options, not {options!r}")
            found[str(name)] = dict(options or {})
    return found


def _latency(given: Any) -> dict[str, int]:
    if not given:
        return {}
    asked = {} if given is True else given
    if not isinstance(asked, dict):
        raise EvaluationError(f"'latency' must be true or options, not {given!r}")
    _known(asked, {"runs", "warm_up", "batch"}, "'latency'")
    defaults = {"runs": 100, "warm_up": 3, "batch": 1}
    return {name: _count(asked, name, default) for name, default in defaults.items()}
