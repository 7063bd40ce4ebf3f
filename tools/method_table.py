#!/usr/bin/env python3
"""Write what the panels need to know of the guidance methods, web/js/methods.mjs: python -m tools.method_table [--check]."""

import argparse
import sys

from ar_guidance.guidance.registry import METHODS

from .pack import ROOT

TABLE = ROOT / "web" / "js" / "methods.mjs"
HEAD = "// Made by: python -m tools.method_table. What guidance methods declare in Python.\n"


def listed(name: str, comment: str, nodes: list[str]) -> str:
    """A constant of the module."""
    lines = "".join(f'  "{node}",\n' for node in nodes)
    return f"\n/** {comment} */\nexport const {name} = [\n{lines}];\n"


def table() -> str:
    """The module's text."""
    combining = [method for method in METHODS.values() if method.combines]
    like_cfg = [method.node_id for method in combining if method.on_cond]
    others = [method.node_id for method in combining if not method.on_cond]
    return (
        HEAD
        + listed("LIKE_CFG", "Nodes whose terms are added on c.", like_cfg)
        + listed("OTHERS", "Further nodes that add a term.", others)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the file is not up to date")
    check = parser.parse_args().check
    text = table()
    if TABLE.is_file() and TABLE.read_text(encoding="utf-8") == text:
        return 0
    if not check:
        TABLE.write_text(text, encoding="utf-8")
    print(f"{'out of date' if check else 'written'}: {TABLE.relative_to(ROOT)}")
    return int(check)


if __name__ == "__main__":
    sys.exit(main())
