"""Where model files are found: registered folders, and the pack's own bundled checkpoints."""

import re
from collections.abc import Iterable
from pathlib import Path

import folder_paths

from ...loaders.quote import quoted
from ...loaders.read import INDEX_SUFFIX, SUFFIXES, files_of

CHECKPOINTS, TOKENIZERS = "ar_checkpoints", "ar_tokenizers"
BUNDLED_FOLDER = Path(__file__).resolve().parents[2] / "bundled"
BUNDLED = "bundled: emoji 64x64"
BUNDLED_TOKENWISE = "bundled: emoji 64x64, token by token"
BUNDLED_FILES = (
    BUNDLED_FOLDER / "emoji_var.safetensors",
    BUNDLED_FOLDER / "emoji_tokenizer.safetensors",
)
BUNDLED_MODELS = {
    BUNDLED: BUNDLED_FILES,
    BUNDLED_TOKENWISE: (
        BUNDLED_FOLDER / "emoji_llamagen.safetensors",
        BUNDLED_FOLDER / "emoji_vq.safetensors",
    ),
}
SAME_FILE = "automatic"
TEXT_ENCODERS = "text_encoders"  # the host's own folder
NO_FILE = "none"
SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")


def register() -> None:
    """Make `models/ar_checkpoints` and `models/ar_tokenizers` known; a user's extra_model_paths.yaml may add more."""
    for key in (CHECKPOINTS, TOKENIZERS):
        default = Path(folder_paths.models_dir) / key
        default.mkdir(parents=True, exist_ok=True)
        folder_paths.add_model_folder_path(key, str(default))
        # A key made this way would list every file, read-me files included.
        paths, _ = folder_paths.folder_names_and_paths[key]
        folder_paths.folder_names_and_paths[key] = (paths, {*SUFFIXES, ".json"})


def checkpoint_choices() -> list[str]:
    """The bundled models first, then what lies in the folders."""
    return [*BUNDLED_MODELS, *_weight_files(CHECKPOINTS)]


def tokenizer_choices() -> list[str]:
    return [SAME_FILE, *_weight_files(TOKENIZERS)]


def _weight_files(key: str) -> list[str]:
    """Files a model can be read from: a checkpoint of several files is chosen by its index, not by one of them."""
    names = folder_paths.get_filename_list(key)
    indices = {name for name in names if name.endswith(INDEX_SUFFIX)}
    indexed = {Path(name).parent for name in indices}
    return [
        name
        for name in names
        if name in indices
        or not (name.endswith(".json") or (SHARD.search(name) and Path(name).parent in indexed))
    ]


def state_of(paths: Iterable[Path]) -> list[tuple[str, tuple[int, int] | None]]:
    """What the host compares to know whether models have changed: time and size of every file that is read with them.

    None where there is no such file, so that one put there later counts as a change.
    """
    return [(str(file), _state(file)) for path in paths for file in files_of(path)]


def _state(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def resolve(checkpoint: str, tokenizer: str) -> tuple[Path, Path | None]:
    """Paths of the chosen transformer and tokenizer (None: inside the transformer's file).

    Raises:
        ValueError: a name that is not in the folders.
    """
    if checkpoint in BUNDLED_MODELS:
        transformer, own = BUNDLED_MODELS[checkpoint]
        return transformer, own if tokenizer == SAME_FILE else _path(TOKENIZERS, tokenizer)
    chosen = None if tokenizer == SAME_FILE else _path(TOKENIZERS, tokenizer)
    return _path(CHECKPOINTS, checkpoint), chosen


def edm2_choices() -> list[str]:
    """Files an EDM2 network can be read from. Other models lie in the same folder: which is which, only reading one tells."""
    return _weight_files(CHECKPOINTS) or [NO_FILE]


def resolve_edm2(name: str) -> Path:
    """Path of a chosen EDM2 file.

    Raises:
        ValueError: none was chosen, or one that is not in the folder.
    """
    if name == NO_FILE:
        raise ValueError(
            f"no EDM2 file is chosen: put one (for example edm2-img512-s-2147483-0.025.pkl) into models/{CHECKPOINTS}, press R"
            " in the browser to refresh the list, and choose it"
        )
    return _path(CHECKPOINTS, name)


def text_encoder_choices() -> list[str]:
    """Files of the host's folder of text encoders."""
    return folder_paths.get_filename_list(TEXT_ENCODERS)


def resolve_text_encoder(first: str, second: str) -> list[Path]:
    """Paths of the chosen text encoder, or of both of a pair.

    Raises:
        ValueError: a name that is not in the folder.
    """
    return [_path(TEXT_ENCODERS, name) for name in (first, second) if name != NO_FILE]


def _path(key: str, name: str) -> Path:
    path = folder_paths.get_full_path(key, name)
    if path is None:
        raise ValueError(
            f"{quoted(name)}: there is no such file in models/{key}. Put it there, or choose another one, then press R"
            " in the browser to refresh the list"
        )
    return Path(path)
