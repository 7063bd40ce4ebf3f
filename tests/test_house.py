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
# Attributes looked for by name, and why each may be there or not. What is our own is declared instead.
HOST = {  # optional features of ComfyUI, by its version or by how a node was called
    "loaders/place.py": {"archive_model_dtypes", "CoreModelPatcher"},
    "nodes/checked.py": {"ui", "options", "min", "max"},
    "nodes/compare.py": {"unique_id"},
    "nodes/compat.py": {"PromptServer", "instance", "send_progress_text", "hidden"},
    "nodes/edm2.py": {"unique_id"},
    "nodes/execution/attention.py": {"__name__"},
    "nodes/execution/edm2.py": {"latent_channels", "downscale_ratio", "latent_dim"},
    "nodes/execution/live.py": {"PromptServer", "instance"},
    "nodes/execution/post_cfg.py": {"latent_shapes"},
    "nodes/execution/provenance.py": {"extra_pnginfo", "unique_id"},
    "nodes/execution/rescue.py": {"PromptServer", "instance", "send_progress_text"},
    "nodes/execution/retry.py": {"is_oom"},
    "nodes/find_scale.py": {"unique_id"},
    "nodes/guide.py": {"Curve", "points"},
    "nodes/sample.py": {"unique_id"},
    "nodes/templates.py": {"PromptServer", "instance", "app"},
    "models/parts/linear.py": {
        "_linear_pointwise",  # of PyTorch's builds with oneDNN
        "before",
        "weight_function",
        "bias_function",  # of a host's layers
    },
}
ARRIVING = {  # of values that any other node may have made, and of streams and errors
    "imaging/token_file.py": {"short"},
    "loaders/quote.py": {"encoding"},
    "nodes/checked.py": {"branches"},  # of a condition, which is a protocol
    "nodes/inputs/arriving.py": {"__float__", "shape"},
}
OURS = {
    "models/family.py": {"classes"},  # in the one place that counts them
    "nodes/checked.py": {"__wrapped__"},  # whether a method has been wrapped already
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


def test_what_may_be_there_or_not_is_declared() -> None:
    """By a base class or a protocol. What is looked for by name is not ours, and listed with its reason."""
    allowed: dict[str, set[str]] = {}
    for reason in (HOST, ARRIVING, OURS):
        for name, attributes in reason.items():
            allowed[name] = allowed.get(name, set()) | attributes
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in files(PRODUCT)
        if (names := asked_by_name(path))
    }
    assert found == allowed


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
