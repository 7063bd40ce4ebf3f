"""Numbers of mapped files: every one is looked at, and pages that are let go come back as they were."""

import sys
from pathlib import Path

import pytest
import torch
from ar_guidance.loaders import pages
from safetensors import safe_open
from safetensors.torch import save_file

SIZE = 1 << 22  # numbers; 8 MB in half precision
TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("place", [0, 6, 7, 10])
def test_one_number_that_is_none_is_found_wherever_it_is(
    dtype: torch.dtype, place: int, monkeypatch
) -> None:
    monkeypatch.setattr(pages, "AT_ONCE", 7)
    value = torch.ones(11)
    assert pages.finite(value.to(dtype))
    value[place] = torch.nan
    assert not pages.finite(value.to(dtype))


def test_large_numbers_tables_and_nothing_at_all_are_numbers() -> None:
    assert pages.finite(torch.tensor([[1e300]], dtype=torch.float64))
    assert (
        pages.finite(torch.ones(3, 5).T)
        and pages.finite(torch.ones(()))
        and pages.finite(torch.ones(0))
    )
    assert not pages.finite(torch.tensor(torch.inf))


def resident(path: Path) -> int:
    """Kilobytes of a mapped file that are in this process's memory."""
    rows = Path("/proc/self/smaps").read_text().splitlines()
    starts = [i for i, row in enumerate(rows) if row.endswith(str(path))]
    return sum(
        next(int(row.split()[1]) for row in rows[start:] if row.startswith("Rss:"))
        for start in starts
    )


@pytest.mark.parametrize("kind", ["safetensors", "pth"])
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is let go")
def test_a_tensor_that_is_let_go_is_read_again_from_its_file(kind: str, tmp_path: Path) -> None:
    path, numbers = tmp_path / f"half.{kind}", torch.arange(SIZE).remainder(1000).half()
    save_file({"a": numbers}, path) if kind == "safetensors" else torch.save({"a": numbers}, path)
    stored = mapped(path)
    assert torch.equal(stored, numbers) and resident(path) > 7000
    pages.MappedFiles().let_go(stored)
    assert resident(path) < 1000
    assert torch.equal(stored, numbers)


def mapped(path: Path) -> torch.Tensor:
    if path.suffix == ".pth":
        return torch.load(path, weights_only=True, mmap=True)["a"]
    with safe_open(path, framework="pt") as file:
        return file.get_tensor("a")


def test_what_is_no_mapped_file_is_left_alone() -> None:
    numbers = torch.arange(SIZE)
    pages.MappedFiles().let_go(numbers)
    assert torch.equal(numbers, torch.arange(SIZE))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is let go")
def test_what_was_written_to_a_mapped_tensor_stays(tmp_path: Path) -> None:
    path = tmp_path / "half.pth"
    torch.save({"a": torch.zeros(SIZE).half()}, path)
    stored = mapped(path)
    stored[SIZE // 2] = 7.0
    pages.MappedFiles().let_go(stored)
    assert stored[SIZE // 2] == 7.0 and resident(path) > 0
