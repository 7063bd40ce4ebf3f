#!/usr/bin/env python3
"""Write the help pages of the guidance nodes, English and Chinese, from their dataclasses: python -m tools.help_pages [--check]."""

import argparse
import sys

from ar_guidance.guidance.base import Guidance, settings
from ar_guidance.guidance.curve import Curve
from ar_guidance.guidance.registry import METHODS

from .help_pages_zh import has_words, page_zh
from .notation import printed
from .pack import ROOT

PAGES = ROOT / "web" / "docs"
DRAWN_BY = {"softcfg": "Bundled token-wise model"}


def page(method: type[Guidance]) -> str:
    """Markdown of one method's help page."""
    lines = [f"# {method.title}", "", method.summary, "", f"`{printed(method.formula)}`", ""]
    source = f"[{method.paper}](https://arxiv.org/abs/{method.paper.split()[-1]})"
    lines += [f"{printed(method.symbols)} Source: {source}.", ""]
    if (PAGES / "images" / f"{method.name}.png").is_file():
        lines += [
            f"![Without and with]({'images/' + method.name}.png)",
            "",
            f"{DRAWN_BY.get(method.name, 'Bundled model')}, same classes and seeds in every panel"
            " (`python -m tools.help_pictures`).",
            "",
        ]
    elif (PAGES / "images" / f"node-{method.node_id}.png").is_file():
        lines += [f"![The node](images/node-{method.node_id}.png)", ""]
    if method.remarks:
        lines += [printed(method.remarks), ""]
    lines += ["| input | default | range | |", "|---|---|---|---|"]
    lines += ["| ar_sampling | | | From AR Sampler or another guidance node. |"]
    for field in settings(method):
        shown = field.metadata["parameter"]
        if shown.options:
            limits = ", ".join(shown.options)
        elif shown.minimum is None:
            limits = ""
        else:
            limits = f"{shown.minimum:g} to {shown.maximum:g}"
        default = "" if field.default == () else field.default
        if isinstance(default, Curve):
            default, limits = "straight line", "hosts with a curve widget only"
        lines.append(f"| {field.name} | {default} | {limits} | {shown.tooltip} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a page is not up to date")
    check = parser.parse_args().check
    stale = 0
    for method in METHODS.values():
        own = PAGES / method.node_id
        pages = {own.with_suffix(".md"): page(method)}
        if has_words(method):
            pages[own / "zh.md"] = page_zh(method)
        for path, text in pages.items():
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            stale += 1
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
            print(f"{'out of date' if check else 'written'}: {path.relative_to(ROOT)}")
    return stale if check else 0


if __name__ == "__main__":
    sys.exit(main())
