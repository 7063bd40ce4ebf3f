"""Pickles as data: a walker over the opcodes that imports nothing and calls nothing but the stand-ins it is given.

Python's own unpickler runs whatever a file names. This one knows a short list of names, each with a harmless stand-in;
any other name, and every opcode that could reach one another way, ends the reading. Byte strings stay views of the file, so
that memory grows with the number of objects, which is bounded, and not with their size.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

STEPS = 1 << 22  # most opcodes: a release file of the largest network has about 30 000
TEXT = (
    1 << 24
)  # bytes of all texts together: a release file holds its modules' program texts, about 100 kB
LINE = 256  # longest name


Kind = TypeVar("Kind")


class Refused(ValueError):
    """The file asks for something that is not on the list."""


class Damaged(ValueError):
    """The bytes are not a complete pickle."""


@dataclass(frozen=True)
class Name:
    """A name on the list, and what stands in for it.

    Attributes:
        path: module and name.
        call: arguments -> what a call gives; None = must not be called.
        new: makes an empty instance; None = must not be instantiated.
    """

    path: str
    call: Callable[..., object] | None = None
    new: Callable[[], object] | None = None


@dataclass
class Instance:
    """An object of a class on the list, with the state the file gives it."""

    kind: str
    state: object = None


def read_pickle(
    data: memoryview,
    names: Mapping[str, Name],
    persistent: Callable[[object], object] | None = None,
) -> tuple[object, int]:
    """The object of the pickle at the beginning of some bytes, and where it ends.

    Args:
        data: the bytes.
        names: module and name -> its stand-in.
        persistent: what stands in for a persistent id; None = there must be none.

    Raises:
        Refused: a name, call or opcode that is not on the list; the message names it.
        Damaged: no complete pickle.
    """
    return _Walker(data, names, persistent).run()


class _Walker:
    """One reading: a stack, the marks on it, and what the file told to remember."""

    def __init__(
        self,
        data: memoryview,
        names: Mapping[str, Name],
        persistent: Callable[[object], object] | None,
    ) -> None:
        self.data, self.names, self.persistent = data, names, persistent
        self.place = 0
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}
        self.text_left = TEXT

    def run(self) -> tuple[object, int]:
        for _ in range(STEPS):
            code = self.bytes(1)[0]
            if code == _STOP:
                return self.pop(), self.place
            step = _STEPS.get(code)
            if step is None:
                raise Refused(f"opcode {bytes([code])!r} at byte {self.place - 1:,}")
            step(self)
        raise Refused(f"more than {STEPS:,} opcodes")

    # reading

    def bytes(self, count: int) -> memoryview:
        end = self.place + count
        if end > len(self.data):
            raise Damaged(f"it ends at byte {len(self.data):,}, in the middle of a value")
        taken = self.data[self.place : end]
        self.place = end
        return taken

    def number(self, layout: str) -> int:
        return struct.unpack(layout, self.bytes(struct.calcsize(layout)))[0]

    def decimal(self) -> float:
        return struct.unpack(">d", self.bytes(8))[0]

    def text(self, count: int) -> str:
        self.text_left -= count
        if self.text_left < 0:
            raise Refused(f"more than {TEXT:,} bytes of text")
        try:
            return str(self.bytes(count), "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise Damaged("a text is not UTF-8") from error

    def line(self) -> str:
        start = bytes(self.data[self.place : self.place + LINE])
        length = start.find(b"\n")
        if length < 0:
            raise Damaged("a name does not end")
        return self.text(length + 1)[:-1]

    # the stack

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Damaged("a value is missing")
        return self.stack.pop()

    def top(self, kind: type[Kind]) -> Kind:
        """The container on top, which is about to be filled."""
        if len(self.stack) <= (self.marks[-1] if self.marks else 0):
            raise Damaged("a value is missing")
        found = self.stack[-1]
        if not isinstance(found, kind):
            raise Refused(f"adding to {_named(found)}")
        return found

    def since_mark(self) -> list[object]:
        if not self.marks:
            raise Damaged("a mark is missing")
        start = self.marks.pop()
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    # names, calls and objects

    def find(self, module: object, name: object) -> None:
        path = f"{module}.{name}"
        if path not in self.names:
            raise Refused(path[:LINE])
        self.push(self.names[path])

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise Damaged("a name is not text")
        self.find(module, name)

    def reduce(self) -> None:
        arguments, function = self.pop(), self.pop()
        call = function.call if isinstance(function, Name) else None
        if call is None or not isinstance(arguments, tuple):
            raise Refused(f"a call of {_named(function)}")
        try:
            self.push(call(*arguments))
        except (TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
            raise Damaged(f"{_named(function)} was given something else than it takes") from error

    def instance(self) -> None:
        arguments, kind = self.pop(), self.pop()
        new = kind.new if isinstance(kind, Name) else None
        if new is None or arguments != ():
            raise Refused(f"an object of {_named(kind)}")
        self.push(new())

    def build(self) -> None:
        state = self.pop()
        self.top(Instance).state = state

    def persistent_id(self) -> None:
        if self.persistent is None:
            raise Refused("a persistent id")
        self.push(self.persistent(self.pop()))

    # containers

    def set_items(self, items: list[object]) -> None:
        if len(items) % 2:
            raise Damaged("a key has no value")
        target = self.top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[_key(key)] = value

    def remember(self, place: int) -> None:
        if not self.stack:
            raise Damaged("a value is missing")
        self.memo[place] = self.stack[-1]

    def recall(self, place: int) -> None:
        if place not in self.memo:
            raise Damaged(f"value {place} was never given")
        self.push(self.memo[place])


def _key(value: object) -> object:
    """What may be a key or a member of a set: plain values, whose hash costs nothing."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise Refused(f"{_named(value)} as a key")


def _named(value: object) -> str:
    """What a value is, for a message."""
    if isinstance(value, Name):
        return value.path
    return value.kind if isinstance(value, Instance) else type(value).__name__


def _extend(w: _Walker, values: list[object]) -> None:
    w.top(list).extend(values)


def _add(w: _Walker) -> None:
    values = w.since_mark()
    w.top(set).update(_key(value) for value in values)


def _set_item(w: _Walker) -> None:
    value, key = w.pop(), w.pop()
    w.set_items([key, value])


def _some(w: _Walker, count: int) -> None:
    w.push(tuple(reversed([w.pop() for _ in range(count)])))


_STOP = ord(".")
_STEPS: dict[int, Callable[[_Walker], object]] = {
    code[0]: step
    for code, step in {
        b"\x80": lambda w: w.bytes(1),  # protocol
        b"\x95": lambda w: w.number("<Q"),  # frame: its length, which the walker does not need
        b"(": lambda w: w.marks.append(len(w.stack)),
        b"0": lambda w: w.pop(),
        b"1": lambda w: w.since_mark(),
        b"N": lambda w: w.push(None),
        b"\x88": lambda w: w.push(True),
        b"\x89": lambda w: w.push(False),
        b"K": lambda w: w.push(w.number("<B")),
        b"M": lambda w: w.push(w.number("<H")),
        b"J": lambda w: w.push(w.number("<i")),
        b"\x8a": lambda w: w.push(int.from_bytes(w.bytes(w.number("<B")), "little", signed=True)),
        b"G": lambda w: w.push(w.decimal()),
        b"\x8c": lambda w: w.push(w.text(w.number("<B"))),
        b"X": lambda w: w.push(w.text(w.number("<I"))),
        b"\x8d": lambda w: w.push(w.text(w.number("<Q"))),
        b"C": lambda w: w.push(w.bytes(w.number("<B"))),
        b"B": lambda w: w.push(w.bytes(w.number("<I"))),
        b"\x8e": lambda w: w.push(w.bytes(w.number("<Q"))),
        b"}": lambda w: w.push({}),
        b"]": lambda w: w.push([]),
        b")": lambda w: w.push(()),
        b"\x8f": lambda w: w.push(set()),
        b"\x85": lambda w: _some(w, 1),
        b"\x86": lambda w: _some(w, 2),
        b"\x87": lambda w: _some(w, 3),
        b"t": lambda w: w.push(tuple(w.since_mark())),
        b"a": lambda w: _extend(w, [w.pop()]),
        b"e": lambda w: _extend(w, w.since_mark()),
        b"s": _set_item,
        b"u": lambda w: w.set_items(w.since_mark()),
        b"\x90": _add,
        b"q": lambda w: w.remember(w.number("<B")),
        b"r": lambda w: w.remember(w.number("<I")),
        b"\x94": lambda w: w.remember(len(w.memo)),
        b"h": lambda w: w.recall(w.number("<B")),
        b"j": lambda w: w.recall(w.number("<I")),
        b"c": lambda w: w.find(w.line(), w.line()),
        b"\x93": _Walker.stack_global,
        b"R": _Walker.reduce,
        b"\x81": _Walker.instance,
        b"b": _Walker.build,
        b"Q": _Walker.persistent_id,
    }.items()
}
