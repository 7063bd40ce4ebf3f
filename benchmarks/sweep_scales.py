"""Claims about scales 2 to 6 one scale at a time: a table of docs/guidance-sweep.md, made by benchmarks.sweep_document."""

from dataclasses import replace

from .sweep_claims import CLAIMS, FOUR, LEVEL, Claim, Runs, pooled

SHOWN = ("IGG − CFG", "CFG and IGG 0.5 − CFG", "CFG, SSG 1.2 − CFG", "CFG, temperature 0.9 − CFG")


def at_scale(claim: Claim, scale: float) -> Claim:
    """The part of a claim that is about CFG's images at this scale."""
    kept = {
        run: [pair for pair in pairs if pair[1][1] == scale] for run, pairs in claim.pairs.items()
    }
    return replace(claim, pairs={run: pairs for run, pairs in kept.items() if pairs})


def table(runs: Runs) -> list[str]:
    """Markdown: Fréchet distances, a claim a line, a scale a column; bold: stands when all cells are asked about (Bonferroni)."""
    claims = [claim for claim in CLAIMS if claim.shown in SHOWN]
    together = LEVEL / (len(claims) * len(FOUR))
    lines = [f"| A − B | {' | '.join(f'{scale:g}' for scale in FOUR)} |", "|---" * 5 + "|"]
    for claim in claims:
        cells = []
        for scale in FOUR:
            found = pooled(at_scale(claim, scale), runs, "frechet")
            text = f"{found.mean:+.2f} ± {found.half(LEVEL):.2f}"
            cells.append(f"**{text}**" if abs(found.mean) > found.half(together) else text)
        lines.append(f"| {claim.shown} | {' | '.join(cells)} |")
    return lines
