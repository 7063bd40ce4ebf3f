"""Files of ours: whole or absent, and never over one that is there."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def write_new(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file that is not there yet: first under a name of its own beside it, then, complete, under its own name.

    Args:
        path: of the new file.
        write: writes the content to the path it is given.

    Raises:
        FileExistsError: there is a file of that name; it is left as it is.
        OSError: it cannot be written; nothing is left behind.
    """
    if path.exists():
        raise FileExistsError(f"{path.name} is there already")
    handle, name = tempfile.mkstemp(".part", ".ar-", path.parent)
    os.close(handle)
    unfinished = Path(name)
    try:
        write(unfinished)
        _settle(unfinished, path)
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink()


def _settle(unfinished: Path, path: Path) -> None:
    """Give a complete file its name, if nobody has taken it meanwhile."""
    os.chmod(unfinished, 0o666 & ~_mask())
    try:
        os.link(unfinished, path)  # fails where the name is taken, unlike a rename
    except FileExistsError:
        raise
    except OSError:  # a file system without links: the name is claimed by an empty file first
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        os.replace(unfinished, path)


def _mask() -> int:
    """The rights new files of this process do not get; those of temporary files are narrower."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
