#!/usr/bin/env python3
"""What is said of the papers' claims in docs/guidance-sweep.md: one difference each, over all runs that made it.

    python -m tools.evaluate claims             # likewise claims-igg, claims-ssg, claims-mixes, claims-later, claims-token, claims-softcfg
    python -m benchmarks.sweep_claims .evaluation/claims
    python -m benchmarks.sweep_document

Reads the folders' reports into docs/data/claims.json, and of a plan that is still running the seeds that are finished in all its
settings; `sweep_document` makes the table of it and of docs/data/sweep.json, whose seeds are others. Within a run differences are taken
block by block and averaged over the strengths; runs are averaged by their numbers of images; images of other weights are refused.
The interval is Student's with Welch's degrees of freedom, once for every claim alone and once for all of them together (Bonferroni).
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ar_guidance.tools.pack import ROOT
from scipy.special import stdtrit

from .sweep_so_far import report_of
from .sweep_weights import check_weights

Row = dict[str, Any]
Runs = Mapping[str, Sequence[Row]]
Pair = tuple[tuple[str, float], tuple[str, float]]

DATA = ROOT / "docs" / "data" / "claims.json"
MEASURES = {"frechet": 2, "accuracy": 3}  # and digits
LEVEL = 0.05
BEFORE = "sweep-tokens-before"
"""A token-wise sweep that was made before, of the same weights, with other images of the same settings (commit 1732f72, `benchmarks.sweep`)."""
FOUR, SIX = (2.0, 3.0, 4.0, 6.0), (1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True)
class Claim:
    """A less B, pooled.

    Attributes:
        text: what is claimed.
        shown: A − B, for the table.
        sign: -1 if A's Fréchet distance is claimed to be lower, 1 higher, 0 where nothing is claimed.
        pairs: run -> pairs of settings (label, strength).
    """

    text: str
    shown: str
    sign: int
    pairs: Mapping[str, Sequence[Pair]]


def at(a: str, b: str, strengths: Sequence[float]) -> list[Pair]:
    """A and B at equal strengths."""
    return [((a, x), (b, x)) for x in strengths]


SSG, WARM, BASE = ("CFG + SSG", 1.2), ("CFG 3, temperature", 0.9), ("CFG", 3.0)
RAMP = ("IGG, linear ramp", 2.85)
FIXED, MIX = ("IGG, constant", 1.85), ("mix, w = w' = 0.75", 1.75)
SOFT = ("SoftCFG", 4.0)
TOKENS = ("token", "claims-token")
SAME, MORE, MIXES = "claims", "claims-ssg", "claims-mixes"
CLAIMS = (
    Claim(
        "IGG is better than CFG at equal scale (IGG, Table 2)",
        "IGG − CFG",
        -1,
        {
            "scale": at("IGG", "CFG", SIX),
            **{run: at("IGG", "CFG", FOUR) for run in (SAME, "claims-igg")},
        },
    ),
    Claim(
        "IGG beside CFG is better than CFG alone (IGG, Eq. 7)",
        "CFG and IGG 0.5 − CFG",
        -1,
        {
            "scale": at("CFG and IGG 0.5", "CFG", (2.0, 4.0)),
            **{run: at("CFG and IGG 0.5", "CFG", FOUR) for run in (SAME, MORE)},
        },
    ),
    Claim(
        "IGG beside CFG is better than CFG alone, each at its best scale",
        "CFG 3 and IGG 0.5 − CFG 6",
        -1,
        {run: [(("CFG and IGG 0.5", 3.0), ("CFG", 6.0))] for run in (SAME, MORE)},
    ),
    Claim(
        "a fixed schedule is worse than the ramp (IGG, Table 4)",
        "IGG 1.85, constant − IGG 2.85, ramp",
        1,
        {run: [(FIXED, RAMP)] for run in ("scale", SAME, MIXES)},
    ),
    Claim(
        "w = w′ = 0.75 is worse than IGG alone (IGG, Table 4)",
        "mix − IGG 2.85, ramp",
        1,
        {run: [(MIX, RAMP)] for run in ("scale", SAME, MIXES)},
    ),
    Claim(
        "SSG makes CFG's images better (SSG, Table 1)",
        "CFG, SSG 1.2 − CFG",
        -1,
        {
            "scale": [(SSG, BASE), (("CFG 6 + SSG", 1.2), ("CFG", 6.0))],
            **{run: at("CFG, SSG 1.2", "CFG", FOUR) for run in (SAME, MORE)},
        },
    ),
    Claim(
        "SSG makes CFG's images better at CFG's best scale",
        "CFG 6, SSG 1.2 − CFG 6",
        -1,
        {
            "scale": [(("CFG 6 + SSG", 1.2), ("CFG", 6.0))],
            **{run: at("CFG, SSG 1.2", "CFG", (6.0,)) for run in (SAME, MORE)},
        },
    ),
    Claim(
        "SSG is more than a lower temperature",
        "CFG, SSG 1.2 − CFG, temperature 0.9",
        -1,
        {
            "scale": [(SSG, WARM)],
            **{run: at("CFG, SSG 1.2", "CFG, temperature 0.9", FOUR) for run in (SAME, MORE)},
        },
    ),
    Claim(
        "a lower temperature makes CFG's images better (nobody's; for comparison)",
        "CFG, temperature 0.9 − CFG",
        -1,
        {
            "scale": [(WARM, BASE)],
            **{run: at("CFG, temperature 0.9", "CFG", FOUR) for run in (SAME, MORE)},
        },
    ),
    Claim(
        "SoftCFG is better than CFG (SoftCFG, Table 2)",
        "SoftCFG − CFG",
        -1,
        {
            **{
                run: at("SoftCFG", "CFG", (2.0, 4.0, 6.0))
                for run in ("token", BEFORE, "claims-softcfg")
            },
            "claims-token": at("SoftCFG", "CFG", (4.0,)),
        },
    ),
    Claim(
        "fading keys is worse than fading values (SoftCFG, Table 3)",
        "SoftCFG 4, keys − values",
        1,
        {run: [(("SoftCFG, keys", 4.0), SOFT)] for run in TOKENS},
    ),
    Claim(
        "fading both is no worse than fading values (SoftCFG, Table 3)",
        "SoftCFG 4, keys and values − values",
        0,
        {run: [(("SoftCFG, keys and values", 4.0), SOFT)] for run in TOKENS},
    ),
    Claim(
        "the unconditional confidence is worse than the conditional (SoftCFG, Fig. 9)",
        "SoftCFG 4, unconditional − conditional",
        1,
        {run: [(("SoftCFG, confidence unconditional", 4.0), SOFT)] for run in TOKENS},
    ),
    Claim(
        "the guided confidence is worse than the conditional (SoftCFG, Fig. 9)",
        "SoftCFG 4, guided − conditional",
        1,
        {run: [(("SoftCFG, confidence guided", 4.0), SOFT)] for run in TOKENS},
    ),
    Claim(
        "SoftCFG is better than CFG under the cosine schedule (SoftCFG, section 3.4)",
        "SoftCFG − CFG, k 1.4, γ 4 and 8",
        -1,
        {"claims-token": at("SoftCFG, cosine 1.4", "CFG, cosine 1.4", (4.0, 8.0))},
    ),
    Claim(
        "k matters under the cosine schedule",
        "SoftCFG, k 1.4 − k 0.7, γ 4 and 8",
        0,
        {"claims-token": at("SoftCFG, cosine 1.4", "SoftCFG, cosine 0.7", (4.0, 8.0))},
    ),
    Claim(
        "γ matters under the cosine schedule",
        "SoftCFG, γ 8 − γ 4, k 0.7 and 1.4",
        0,
        {
            "claims-token": [
                ((name, 8.0), (name, 4.0))
                for name in ("SoftCFG, cosine 0.7", "SoftCFG, cosine 1.4")
            ]
        },
    ),
)


LATER = (
    Claim(
        "APG is better than CFG at equal scale",
        "APG − CFG",
        -1,
        {"later": at("APG", "CFG", (4.0,)), "scale": at("APG", "CFG", (3.0, 6.0))},
    ),
    Claim(
        "TCFG is better than CFG at equal scale",
        "TCFG − CFG",
        -1,
        {"later": at("TCFG", "CFG", (4.0,)), "scale": at("TCFG", "CFG", (3.0, 6.0))},
    ),
    Claim(
        "CFG-Zero* is better than CFG at equal scale",
        "CFG-Zero* − CFG",
        -1,
        {"later": at("CFG-Zero*", "CFG", (4.0,)), "scale": at("CFG-Zero*", "CFG", (3.0, 6.0))},
    ),
    Claim(
        "the published entropy-aware temperature is better than temperature 1",
        "CFG, entropy-aware − CFG",
        -1,
        {
            "later": at("CFG, entropy-aware temperature", "CFG", (4.0,)),
            "scale": at("CFG, entropy-aware temperature", "CFG", (3.0,)),
        },
    ),
)
"""What is said of methods that came later, in a table of their own."""


@dataclass(frozen=True)
class Pooled:
    """A difference over runs: its mean, its standard error, its degrees of freedom, and how many images stand behind A."""

    mean: float
    error: float
    freedom: float
    images: int

    def half(self, level: float) -> float:
        """Half the interval that misses with a chance of `level`."""
        return float(stdtrit(self.freedom, 1 - level / 2) * self.error)


def pooled(claim: Claim, runs: Runs, measure: str) -> Pooled:
    """A claim's difference over the runs there are."""
    parts = []
    for run, pairs in claim.pairs.items():
        if run not in runs:
            continue
        found = {(row["method"], row["strength"]): row for row in runs[run]}
        apart = [np.subtract(found[a][measure], found[b][measure]) for a, b in pairs]
        blocks = np.mean(apart, axis=0)
        images = sum(found[a]["pictures"] for a, _ in pairs)
        parts.append((images, blocks.mean(), blocks.var(ddof=1) / len(blocks), len(blocks) - 1))
    total = sum(images for images, *_ in parts)
    shares = [images / total for images, *_ in parts]
    mean = sum(share * m for share, (_, m, _, _) in zip(shares, parts, strict=True))
    scatter = [share**2 * v for share, (_, _, v, _) in zip(shares, parts, strict=True)]
    freedom = sum(scatter) ** 2 / sum(
        v**2 / f for v, (_, _, _, f) in zip(scatter, parts, strict=True)
    )
    return Pooled(float(mean), float(np.sqrt(sum(scatter))), float(freedom), total)


def verdict(claim: Claim, found: Pooled, level: float) -> str:
    """Of the Fréchet distance, when all claims are asked about at once."""
    if abs(found.mean) <= found.half(level):
        return "cannot be told"
    if claim.sign == 0:
        return "a difference"
    return "holds" if found.mean * claim.sign > 0 else "does not hold"


def table(runs: Runs, claims: Sequence[Claim] = CLAIMS) -> list[str]:
    """Markdown: one line per claim."""
    together = LEVEL / len(claims)
    lines = [
        "| claim | A − B | images of A | Fréchet distance | ± for all at once | class accuracy | |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for claim in claims:
        distance, accuracy = (pooled(claim, runs, measure) for measure in MEASURES)
        cells = [claim.text, claim.shown, str(distance.images), _cell(distance, 2)]
        cells += [f"{distance.half(together):.2f}", _cell(accuracy, 3)]
        lines.append(f"| {' | '.join(cells)} | {verdict(claim, distance, together)} |")
    return lines


def _cell(found: Pooled, digits: int) -> str:
    return f"{found.mean:+.{digits}f} ± {found.half(LEVEL):.{digits}f}"


def all_runs(sweep: Mapping[str, Any]) -> Runs:
    """The sweep's two models and the runs of the claims; "later": those of 'claims-later' beside the CFG of 'claims'."""
    made = json.loads(DATA.read_text("utf-8"))
    made["later"] = [*made[SAME], *made.get("claims-later", [])]
    return {name: sweep[name] for name in ("scale", "token")} | made


def record(report: Mapping[str, Any]) -> list[Row]:
    """What is kept of a report: blocks of both measures for every setting."""
    return [
        {"method": row["label"], "strength": row["strength"], "pictures": row["samples"]}
        | {m: [round(v, 4) for v in row["metrics"][m]["blocks"]] for m in MEASURES}
        for row in report["rows"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+", help="of plans, named as they are")
    options = parser.parse_args()
    reports = {folder.name: report_of(folder) for folder in options.folders}
    for report in reports.values():
        check_weights(report)
    made = {name: record(report) for name, report in reports.items()}
    kept = json.loads(DATA.read_text("utf-8")) if DATA.is_file() else {}
    parts = []
    for name, rows in (kept | made).items():
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        parts.append(f'"{name}": [\n{lines}\n]')
    DATA.write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
