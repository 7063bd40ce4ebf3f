"""Numbers of mapped files, looked at and let go, so that no more of a file is in memory than must be."""

import ctypes
import mmap
import sys
from bisect import bisect
from pathlib import Path

from torch import Tensor

from .scaled import EIGHT_BITS

AT_ONCE = 1 << 18  # numbers that are looked at together
# Of Linux: what lies where in this process's memory, and whether it was written to.
MAPS = Path("/proc/self/smaps")


def finite(value: Tensor) -> bool:
    """Whether no number is NaN or infinite; a part at a time, since the answers of all take more than the tensor does."""
    for part in value.reshape(-1).split(AT_ONCE):
        numbers = part.float() if part.dtype in EIGHT_BITS else part
        if not numbers.isfinite().all():
            return False
    return True


class MappedFiles:
    """The mapped files of this process that nothing has written to so far; none where the system does not say (all but Linux)."""

    def __init__(self) -> None:
        self.spans = sorted(_file_spans())

    def let_go(self, tensor: Tensor) -> None:
        """Takes the pages of a tensor out of this process's memory, if they are a mapped file's.

        To be asked of what nobody has written to since these files were looked up.

        Reading the tensor again brings them back, as a rule from the system's cache of files.
        """
        if sys.platform != "linux" or not self.spans or not tensor.is_contiguous():
            return
        start, page = tensor.data_ptr(), mmap.PAGESIZE
        end = start + tensor.numel() * tensor.element_size()
        first, last = -(-start // page) * page, end // page * page  # pages that are all its own
        if first < last and self._hold(start, end):
            size = ctypes.c_size_t(last - first)
            ctypes.CDLL(None).madvise(ctypes.c_void_p(first), size, mmap.MADV_DONTNEED)

    def _hold(self, start: int, end: int) -> bool:
        """Whether all of it is one mapped file. Of other memory the system would take the contents with the pages."""
        at = bisect(self.spans, (start, 1 << 64)) - 1
        return at >= 0 and self.spans[at][0] <= start and end <= self.spans[at][1]


def _file_spans() -> list[tuple[int, int]]:
    """First and last address of every mapping of a file that nothing has been written to: what was written is in no file."""
    if not MAPS.is_file():
        return []
    spans: list[tuple[int, int]] = []
    for line in MAPS.read_text(errors="replace").splitlines():
        row = line.split(maxsplit=5)
        if row[0] == "Anonymous:" and row[1] != "0" and spans:
            spans[-1] = (0, 0)  # it has pages of its own, in place of the file's
        elif not row[0].endswith(":"):
            of_file = len(row) == 6 and row[5].startswith("/")
            start, end = row[0].split("-")
            spans.append((int(start, 16), int(end, 16)) if of_file else (0, 0))
    return [span for span in spans if span != (0, 0)]
