"""What a file is, told from its bytes: its name and its ending say what somebody thought it was."""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

from .quote import reason

SAFETENSORS, TORCH_ZIP, PROGRAM = "safetensors", "torch archive", "TorchScript archive"
TORCH_LEGACY, PICKLE = "old torch file", "pickle"
READABLE = (SAFETENSORS, TORCH_ZIP, PROGRAM, TORCH_LEGACY, PICKLE)

# The first number of torch's files from before 1.6, as every protocol of pickle writes it.
_LEGACY = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
HEADER_MOST = 100_000_000  # bytes of a safetensors header, as the format's own library allows
DESCRIPTION_MOST = 1 << 26  # bytes that the description of a torch archive may take
MEMBERS_MOST = 200_000  # parts of an archive
GET = "Get the file itself"
UNPACK = "Unpack it, and choose the weight file in it"

# First bytes -> what it is and what to do with it.
_OTHERS: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    (
        (b"version https://git-lfs",),
        "a Git LFS pointer: the few lines that stand for the file in a repository",
        f"{GET}: run 'git lfs pull' in that folder, or download it from the model's page",
    ),
    (
        (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<script"),
        "a web page, saved in the file's place",
        f"{GET}: use the download link on the model's page, not the address of the page; a licence may have to be accepted",
    ),
    (
        (b"gguf",),
        "a GGUF file, whose weights are quantised for llama.cpp",
        "Take the release's .safetensors or .pth file",
    ),
    ((b"\x93numpy",), "a NumPy array", "Take the release's .safetensors or .pth file"),
    ((b"\x89hdf",), "an HDF5 file (Keras)", "Take the release's .safetensors or .pth file"),
    (
        (b"\x1f\x8b", b"rar!", b"7z\xbc\xaf", b"bzh", b"\xfd7zxz", b"\x28\xb5\x2f\xfd"),
        "a packed archive",
        UNPACK,
    ),
    ((b"\x89png", b"\xff\xd8\xff", b"riff", b"gif8"), "an image", "Choose a weight file"),
    ((b"{", b"["), "a JSON text, not weights", "Choose the weight file it lies beside"),
)


AGAIN = "Download it again, and compare its size with the one on the model's page"


class Unreadable(ValueError):
    """A file that holds no weights this pack can read; the message says what it is and what to do.

    Attributes:
        short: what it is, alone.
    """

    def __init__(self, short: str, message: str) -> None:
        super().__init__(message)
        self.short = short


def _cut_short(size: int, why: str) -> Unreadable:
    return Unreadable(why, f"this is not a complete weight file ({size:,} bytes; {why}). {AGAIN}")


def _instead(size: int, what: str, remedy: str) -> Unreadable:
    return Unreadable(
        f"it is {what}", f"this is not a complete weight file but {what} ({size:,} bytes). {remedy}"
    )


def kind_of(path: Path) -> str:
    """One of `READABLE`.

    Raises:
        Unreadable: it is something else, or cut short.
        OSError: it cannot be opened.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise _cut_short(size, "it is empty")
    if _is_safetensors(start, size):
        return SAFETENSORS
    if start[:4] == b"PK\x03\x04":
        return _zip_kind(path, size)
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        return TORCH_LEGACY if _LEGACY in start[:32] else PICKLE
    raise _other(start, size)


def _is_safetensors(start: bytes, size: int) -> bool:
    """Whether it begins as one does: the length of its header, then a JSON object."""
    if len(start) < 9 or start[8:9] not in b"{":
        return False
    (length,) = struct.unpack("<Q", start[:8])
    if length > min(HEADER_MOST, size - 8):
        raise _cut_short(size, f"its header alone should take {length:,}")
    return True


def _other(start: bytes, size: int) -> Unreadable:
    """What a file is that begins like no weight file."""
    plain = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for marks, what, remedy in _OTHERS:
        if plain.startswith(marks):
            return _instead(size, what, remedy)
    if start[257:262] == b"ustar":
        return _instead(size, "a packed archive (tar)", UNPACK)
    if not start.strip(b"\0"):
        return _cut_short(size, "it begins with zeros, as an unfinished download does")
    return _cut_short(size, "it does not begin like one")


def _zip_kind(path: Path, size: int) -> str:
    """Torch's archive or a program's, its parts checked: none packed, and together no larger than the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise _cut_short(size, f"its list of parts cannot be read: {reason(error, 80)}") from error
    names = [part.filename for part in parts]
    described = sum(part.file_size for part in parts if part.filename.endswith("/data.pkl"))
    if not any(name.endswith("/data.pkl") for name in names):
        raise _instead(size, "a zip archive without weights", UNPACK)
    program = any("/code/" in name for name in names)
    parts = [part for part in parts if "/code/" not in part.filename]  # never read
    if any(part.compress_type != zipfile.ZIP_STORED or part.flag_bits & 1 for part in parts):
        raise _instead(
            size,
            "a torch file that was packed again, compressed or with a password, which torch never does",
            "Get the file as it was released",
        )
    if len(names) > MEMBERS_MOST or len(set(names)) < len(names):
        raise _cut_short(size, "its list of parts is damaged")
    if sum(part.file_size for part in parts) > size or described > DESCRIPTION_MOST:
        raise _cut_short(size, "its parts claim to be larger than they can be")
    return PROGRAM if program else TORCH_ZIP


def read_json_text(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none, or nested so deep that no settings are.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
