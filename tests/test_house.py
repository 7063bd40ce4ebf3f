"""What keeps the house readable, as numbers that may only fall: `Any` in product code, long files, long functions."""

import ast
import statistics
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = (
    "analysis",
    "conditioning",
    "guidance",
    "imaging",
    "loaders",
    "models",
    "nodes",
    "sampling",
)
FOLDERS = (*PRODUCT, "benchmarks", "tools", "tests")
LINES, FUNCTION, MEDIAN = 350, 45, 8
# Uses of `Any` in each tree: lower a number when it falls, never raise one. What arrives from outside is an `object` that is
# narrowed; what the host hands out is a protocol (`nodes/execution/host.py`); a family's config is a type variable.
ANY = {
    "analysis": 0,
    "conditioning": 2,
    "guidance": 8,
    "imaging": 0,
    "loaders": 14,
    "models": 6,
    "nodes": 8,
    "sampling": 18,
}
LATE = "noqa: " + "E402"
# Attributes looked for by name: of a host's layers, of errors of others, of streams; `classes` in the one place that counts them.
LOOKED_FOR = {
    "imaging/token_file.py": {"short"},
    "models/family.py": {"classes"},
    "models/parts/linear.py": {"weight_function", "bias_function"},
}


def files(folders: tuple[str, ...]) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions() -> list[tuple[str, str, int]]:
    """(file, name, lines) of every function, decorators aside."""
    return [
        (path.relative_to(ROOT).as_posix(), node.name, node.end_lineno - node.lineno + 1)
        for path in files(FOLDERS)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    ]


@pytest.mark.parametrize("folder", PRODUCT)
def test_any_becomes_rarer(folder: str) -> None:
    found: Counter[str] = Counter()
    for path in files((folder,)):
        names = (node.id for node in ast.walk(parsed(path)) if isinstance(node, ast.Name))
        found[path.relative_to(ROOT).as_posix()] = sum(name == "Any" for name in names)
    assert sum(found.values()) <= ANY[folder], (
        f"a known type in place of Any: {found.most_common(5)}"
    )


def test_any_is_rare_in_all() -> None:
    assert sum(ANY.values()) <= 60


def test_no_file_is_long() -> None:
    counts = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines())
        for path in files(FOLDERS)
    }
    long = {name: count for name, count in counts.items() if count > LINES}
    assert not long, f"of more than {LINES} lines: {long}"


def test_no_function_is_long() -> None:
    """A node's schema is a list of its inputs, and as long as they are many."""
    long = [entry for entry in functions() if entry[2] > FUNCTION and entry[1] != "define_schema"]
    assert not long


def test_most_functions_are_short() -> None:
    assert statistics.median(lines for _, _, lines in functions()) <= MEDIAN


def asked_by_name(path: Path) -> set[str]:
    """Attributes that a file looks for by a name written out, with `getattr` or `hasattr`."""
    calls = (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call))
    named = [
        call.args[1]
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in ("getattr", "hasattr")
    ]
    return {name.value for name in named if isinstance(name, ast.Constant)}


def test_networks_and_configs_declare_what_they_have() -> None:
    """What may be there or not is declared by a base class or a protocol, not looked for."""
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in files(("analysis", "conditioning", "guidance", "imaging", "models", "sampling"))
        if (names := asked_by_name(path))
    }
    assert found == LOOKED_FOR


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_stand_at_the_top(folder: str) -> None:
    late = [path.name for path in files((folder,)) if LATE in path.read_text(encoding="utf-8")]
    assert not late, "what has to come before an import belongs into a function or another module"


@pytest.mark.parametrize("folder", PRODUCT)
def test_every_console_can_show_what_the_pack_says(folder: str) -> None:
    wrong = {
        path.name: sorted({letter for letter in text if not letter.encode("cp1252", "ignore")})
        for path in files((folder,))
        if (text := path.read_text(encoding="utf-8")).encode("cp1252", "ignore").decode("cp1252")
        != text
    }
    assert not wrong, f"letters that a Windows console has not: {wrong}"
