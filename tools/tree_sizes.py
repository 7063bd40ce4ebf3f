"""How large every folder is: files and lines of code, now and, where asked, at an earlier commit.

    python -m tools.tree_sizes [COMMIT]

Python and JavaScript count, as git has them; what is made or bundled does not.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from .pack import ROOT

CODE = (".py", ".js", ".mjs")
TOP = "(top)"


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def sources(commit: str) -> Iterator[tuple[str, int]]:
    """(folder, lines) of every source file of a commit."""
    names = git("ls-tree", "-r", "--name-only", "-z", commit).decode().split("\0")
    wanted = [name for name in names if name.endswith(CODE)]
    asked = "".join(f"{commit}:{name}\n" for name in wanted).encode()
    done = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=ROOT, check=True, capture_output=True, input=asked
    )
    rest = done.stdout
    for name in wanted:
        head, rest = rest.split(b"\n", 1)
        size = int(head.split()[2])
        text, rest = rest[:size], rest[size + 1 :]
        yield (name.split("/")[0] if "/" in name else TOP), text.count(b"\n")


def counted(commit: str) -> tuple[Counter[str], Counter[str]]:
    """Files and lines of every folder of a commit."""
    files: Counter[str] = Counter()
    lines: Counter[str] = Counter()
    for folder, count in sources(commit):
        files[folder] += 1
        lines[folder] += count
    return files, lines


def table(*commits: str) -> str:
    """The rows, of one commit or of several side by side, as Markdown."""
    found = [counted(commit) for commit in commits]
    folders = sorted(set().union(*(files for files, _ in found)))
    heads = [f"{what}, {commit}" for commit in commits for what in ("files", "lines")]
    rows = [f"| folder | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for folder in folders:
        cells = [f"{part[folder]:,}" for pair in found for part in pair]
        rows.append(f"| {folder} | {' | '.join(cells)} |")
    totals = [f"{sum(part.values()):,}" for pair in found for part in pair]
    return "\n".join([*rows, f"| all | {' | '.join(totals)} |"])


if __name__ == "__main__":
    print(table(*sys.argv[1:2], "HEAD"))
