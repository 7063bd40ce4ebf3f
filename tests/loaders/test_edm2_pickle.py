"""EDM2's release files: read as data, nothing in them is run, everything unknown is refused by name."""

import contextlib
import io
import os
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from ar_guidance.loaders import edm2_pickle, opcodes
from ar_guidance.loaders.detect import find_part
from ar_guidance.loaders.read import CheckpointError, read_weights
from ar_guidance.tests import tiny_edm2
from ar_guidance.tools.convert_checkpoint import content
from safetensors.torch import save_file


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return tiny_edm2.write_release(tmp_path / "edm2-img64-xs.pkl")


def marker(path: Path) -> Path:
    return path.with_suffix(".marker")


def test_the_tensors_are_those_that_were_stored(release: Path) -> None:
    wanted = tiny_edm2.stored(tiny_edm2.config_of(tiny_edm2.arguments()))
    found = edm2_pickle.read_network(release)
    assert set(found.tensors) == set(wanted)
    for key, value in wanted.items():
        assert torch.equal(found.tensors[key], value) and found.tensors[key].dtype == value.dtype
    assert found.arguments == tiny_edm2.arguments() and found.encoder == "StabilityVAEEncoder"


def test_the_program_in_the_file_is_not_run(release: Path) -> None:
    read_weights(release)
    assert not marker(release).exists()
    run = compile(tiny_edm2.SOURCE.format(marker=str(marker(release))), "source", "exec")
    eval(run)  # noqa: S307 - the marker is one that works
    assert marker(release).exists()


def test_sliced_and_turned_tensors_are_read(tmp_path: Path) -> None:
    given = tiny_edm2.arguments()
    tensors = tiny_edm2.stored(tiny_edm2.config_of(given))
    key = "unet.emb_noise.weight"
    tensors[key] = tensors[key].T.contiguous().T
    tensors["unet.out_gain"] = torch.arange(5).half()[3]
    found = edm2_pickle.read_network(
        tiny_edm2.write_release(tmp_path / "a.pkl", tensors=tensors)
    ).tensors
    assert torch.equal(found[key], tensors[key]) and found["unet.out_gain"] == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_other_number_types_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    given = tiny_edm2.arguments()
    tensors = {k: v.to(dtype) for k, v in tiny_edm2.stored(tiny_edm2.config_of(given)).items()}
    part = find_part(
        read_weights(tiny_edm2.write_release(tmp_path / "a.pkl", tensors=tensors)), "diffusion"
    )
    assert part.tensors["unet.out_gain"].dtype == dtype


def test_a_conversion_gives_the_same_network(release: Path, tmp_path: Path) -> None:
    converted = tmp_path / "converted.safetensors"
    tensors, metadata, _ = content(release)
    save_file(tensors, converted, metadata)
    one, other = (find_part(read_weights(path), "diffusion") for path in (release, converted))
    assert one.config == other.config
    assert all(torch.equal(value, other.tensors[key]) for key, value in one.tensors.items())


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *given: Any) -> None:
        self.call = (function, given)

    def __reduce__(self) -> Any:
        return self.call


def touch(path: Path) -> Calls:
    return Calls(os.system, f"touch {path}")


@pytest.mark.parametrize(
    ("function", "given", "named"),
    [
        (os.system, ("touch {marker}",), f"{os.name}"),
        (eval, ("open({marker!r}, 'w')",), "eval"),
        (exec, ("open({marker!r}, 'w')",), "exec"),
        (Path, ("{marker}",), "Path"),
        (torch.load, ("{marker}",), "torch.serialization.load"),
        (getattr, ("{marker}", "upper"), "getattr"),
        (bytearray, (3,), "bytearray"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_call_outside_the_list_is_refused_by_name(
    tmp_path: Path, function: Any, given: tuple, named: str
) -> None:
    path = tmp_path / "evil.pkl"
    filled = [g.format(marker=str(marker(path))) if isinstance(g, str) else g for g in given]
    tiny_edm2.write_release(path, extra={"zzz": Calls(function, *filled)})
    with pytest.raises(CheckpointError, match=named) as refusal:
        read_weights(path)
    assert not marker(path).exists() and "evil.pkl" in str(refusal.value)


def test_a_call_inside_a_tensors_own_stream_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "evil.pkl"
    hidden = pickle.dumps(touch(marker(path)), protocol=2)
    tiny_edm2.write_release(path, extra={"zzz": Calls(torch.storage._load_from_bytes, hidden)})
    with pytest.raises(CheckpointError, match="system"):
        read_weights(path)
    assert not marker(path).exists()


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x04\x82\x01.",  # an extension
        b"(cos\nsystem\nS'x'\no.",  # OBJ
        b"(S'x'\nios\nsystem\n.",  # INST
        b"\x80\x04)\x8c\x02os\x8c\x06system\x93)}\x92.",  # NEWOBJ_EX
        b"\x80\x04Pname\n.",  # a persistent name
        b"\x80\x04K\x01Q.",  # a persistent id
        b"I1\n.",
    ],
)
def test_opcodes_that_reach_names_another_way_are_refused(stream: bytes) -> None:
    with pytest.raises((opcodes.Refused, opcodes.Damaged)):
        opcodes.read_pickle(memoryview(stream), edm2_pickle.NAMES)


def test_names_on_the_list_cannot_be_used_for_more(tmp_path: Path) -> None:
    called = b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93)R."
    built = b"\x80\x04\x8c\x0bdnnlib.util\x8c\x08EasyDict\x93K\x01\x85\x81."
    stated = b"\x80\x04}K\x01b."
    for stream in (called, built, stated):
        with pytest.raises(opcodes.Refused):
            opcodes.read_pickle(memoryview(stream), edm2_pickle.NAMES)


def test_a_file_that_is_cut_short_is_refused_wherever_it_ends(release: Path) -> None:
    whole = release.read_bytes()
    places = [*range(0, 100), *random.Random(0).sample(range(100, len(whole)), 100)]
    for end in places:
        release.write_bytes(whole[:end])
        with pytest.raises(CheckpointError, match=r"not a complete weight file|holds"):
            read_weights(release)


def test_any_changed_byte_gives_tensors_or_a_refusal(release: Path) -> None:
    whole, chance = release.read_bytes(), random.Random(0)
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            changed[chance.randrange(len(whole))] = chance.randrange(256)
        release.write_bytes(changed)
        with contextlib.suppress(CheckpointError):
            find_part(read_weights(release), "diffusion")
        assert not marker(release).exists()


def storage(body: bytes, count: int, kind: Any = torch.HalfStorage) -> bytes:
    """A storage's stream with this body."""

    class Identified(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return ("storage", kind, "0", "cpu", count, None) if value == "it" else None

    stream = io.BytesIO()
    for value in (edm2_pickle.MAGIC, edm2_pickle.VERSION, {"little_endian": True}):
        pickle.dump(value, stream, protocol=2)
    Identified(stream, 2).dump("it")
    pickle.dump(["0"], stream, protocol=2)
    return stream.getvalue() + struct.pack("<q", count) + body


def test_a_storage_that_lies_about_its_length_is_refused() -> None:
    assert edm2_pickle._storage(memoryview(storage(b"\0" * 6, 3))).shape == (3,)
    for body, count in ((b"\0" * 6, 1 << 39), (b"\0" * 6, 2), (b"", 1), (b"\0" * 5, 3)):
        with pytest.raises(opcodes.Damaged):
            edm2_pickle._storage(memoryview(storage(body, count)))


@pytest.mark.parametrize(
    ("offset", "size", "stride"),
    [
        (0, (11,), (1,)),
        (1, (10,), (1,)),
        (0, (2, 6), (5, 1)),
        (0, (1 << 30,), (0,)),
        (0, (-1,), (1,)),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(offset: int, size: tuple, stride: tuple) -> None:
    numbers = torch.arange(10.0)
    assert edm2_pickle._tensor(numbers, 1, (3, 2), (2, 1)).tolist() == [[1, 2], [3, 4], [5, 6]]
    with pytest.raises(opcodes.Damaged):
        edm2_pickle._tensor(numbers, offset, size, stride)


def test_memory_is_bounded() -> None:
    grows = b"\x80\x04]\x94" + b"h\x00a" * opcodes.STEPS + b"."
    with pytest.raises(opcodes.Refused, match="opcodes"):
        opcodes.read_pickle(memoryview(grows), {})
    text = b"X" + struct.pack("<I", opcodes.TEXT // 2 + 1) + b"a" * (opcodes.TEXT // 2 + 1)
    with pytest.raises(opcodes.Refused, match="text"):
        opcodes.read_pickle(memoryview(b"\x80\x04" + text + text + b"0."), {})
    deep = (
        b"\x80\x04" + b")" + b"\x94h\x00h\x00\x86" * 40 + b"}\x8c\x01ah\x00s."
    )  # shared, not copied
    opcodes.read_pickle(memoryview(deep), {})


def test_a_costly_key_is_refused() -> None:
    pairs = b"".join(b"\x94h" + bytes([n]) + b"\x86" for n in range(60))  # 2^60 leaves
    with pytest.raises(opcodes.Refused, match="key"):
        opcodes.read_pickle(memoryview(b"\x80\x04}\x94)" + pairs + b"K\x01s."), {})


def test_what_is_no_network_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    with pytest.raises(CheckpointError, match="'ema' is missing"):
        read_weights(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="empty"):
        read_weights(path)
    path.write_bytes(b"PK\x03\x04 anything")
    with pytest.raises(CheckpointError, match="list of parts"):
        read_weights(path)
