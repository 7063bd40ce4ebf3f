#!/usr/bin/env python3
"""From the reports of the plans `sweep` and `sweep-tokens` to docs/data/sweep.json.

    python -m tools.evaluate sweep --workers 2 && python -m tools.evaluate sweep-tokens --workers 2
    python -m benchmarks.sweep_plan .evaluation/sweep/report.json .evaluation/sweep-tokens/report.json
    python -m benchmarks.sweep_document

A report's model takes the place of what the data had of it; the other model stays. Reports of other weights than those of the claims'
data, which the document adds up with these, are refused (--output makes another file). Settings whose samples are not all there are left out.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ar_guidance.tools.pack import ROOT

from .sweep_weights import check_weights

Row = dict[str, Any]

DATA = ROOT / "docs" / "data" / "sweep.json"
DIGITS = {"frechet": 3, "accuracy": 4, "evenness": 5, "divergence": 5, "entropy": 5}


def records(report: Mapping[str, Any]) -> dict[str, list[Row]]:
    """Model -> what the document keeps of every finished setting."""
    found: dict[str, list[Row]] = {}
    for row in report["rows"]:
        if row["samples"] == report["samples"] and row["strength"] is not None:
            found.setdefault(row["model"], []).append(_record(row, report["seeds"]))
    return found


def _record(row: Mapping[str, Any], seeds: Sequence[int]) -> Row:
    kept: Row = {"method": row["label"], "strength": row["strength"]}
    kept |= {"seeds": list(seeds), "pictures": row["samples"]}
    count = len(row["metrics"]["frechet"]["blocks"])
    for name, digits in DIGITS.items():
        blocks = row["metrics"].get(name, {}).get("blocks", [None] * count)
        kept[name] = [None if value is None else round(value, digits) for value in blocks]
    kept["steps"] = {
        name: [None if value is None else round(value, 5) for value in values]
        for name, values in row["steps"].items()
    }
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=DATA)
    options = parser.parse_args()
    content = json.loads(options.output.read_text("utf-8")) if options.output.is_file() else {}
    for path in options.reports:
        report = json.loads(path.read_text("utf-8"))
        if options.output == DATA:
            check_weights(report)
        content |= records(report)
    options.output.write_text(as_text(content), encoding="utf-8")


def as_text(content: Mapping[str, Any]) -> str:
    """JSON with a line per record."""
    parts = []
    for name, value in content.items():
        if name in ("scale", "token"):
            rows = ",\n".join(json.dumps(row) for row in value)
            parts.append(f'"{name}": [\n{rows}\n]')
        else:
            parts.append(f"{json.dumps(name)}: {json.dumps(value)}")
    return "{" + ",\n".join(parts) + "}\n"


if __name__ == "__main__":
    main()
