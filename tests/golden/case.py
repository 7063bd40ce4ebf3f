"""A golden case: settings, checkpoint files and the numbers the official implementation gave."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor


@dataclass
class Case:
    """One case directory. `close` and `equal` remember what was compared; `finish` insists on everything."""

    folder: Path
    compared: set[str] = field(default_factory=set)

    @cached_property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.folder / "case.json").read_text(encoding="utf-8"))

    @cached_property
    def expected(self) -> dict[str, Tensor]:
        path = self.folder / "expected.safetensors"
        return load_file(path) if path.is_file() else {}  # a case may be about text alone

    def file(self, role: str) -> Path | None:
        """Path of a checkpoint file by its role in the case, or None."""
        name = self.facts["checkpoint_files"].get(role)
        return None if name is None else self.folder / name

    def tolerance(self, *names: str) -> float:
        """First of the named tolerances that the case states; of a formula or a remark, the number it starts with."""
        stated = self.facts["tolerance"]
        value = next(stated[name] for name in names if name in stated)
        return float(re.match(r"[\d.e+-]*\d", value)[0]) if isinstance(value, str) else value

    def has(self, name: str) -> bool:
        return name in self.expected

    def input(self, name: str) -> Tensor:
        """A tensor the case gives as an input."""
        self.compared.add(name)
        return self.expected[name]

    def close(self, name: str, value: Tensor, tolerance: float | Tensor) -> None:
        """Every element within `tolerance` (one number, or one that broadcasts); infinities must be equal."""
        wanted = self.expected[name]
        self.compared.add(name)
        assert value.shape == wanted.shape, (
            f"{name}: {tuple(value.shape)} is not {tuple(wanted.shape)}"
        )
        infinite = wanted.isinf()
        assert (value[infinite] == wanted[infinite]).all(), f"{name}: infinities differ"
        assert not value[~infinite].isinf().any(), f"{name}: unexpected infinities"
        assert (value[~infinite] == value[~infinite]).all(), f"{name}: not numbers"
        difference = (value - wanted).masked_fill(infinite, 0.0).abs()
        excess = difference - torch.as_tensor(tolerance)
        assert (excess <= 0).all(), (
            f"{name}: differs by {difference.max().item():.3g}, {excess.max().item():.3g} more than allowed"
        )

    def equal(self, name: str, value: Tensor) -> None:
        """Exactly the same."""
        self.compared.add(name)
        wanted = self.expected[name]
        assert value.shape == wanted.shape, (
            f"{name}: {tuple(value.shape)} is not {tuple(wanted.shape)}"
        )
        different = int((value != wanted).sum())
        assert different == 0, f"{name}: {different} of {wanted.numel()} differ"

    def compare(
        self,
        name: str,
        value: Tensor | Callable[[], Tensor | None] | None,
        tolerance: float | Tensor = 0.0,
    ) -> None:
        """`close`, or `equal` for whole numbers, where the case has the tensor; cases record what they choose to.

        A runner offers everything it computes. What it could not compute (None) counts as not compared, so that `finish`
        names it where the case has it.
        """
        if not self.has(name):
            return
        made = value if isinstance(value, Tensor) or value is None else value()
        if made is None:
            return
        if self.expected[name].is_floating_point():
            self.close(name, made, tolerance)
        else:
            self.equal(name, made.to(self.expected[name].dtype))

    def names(self, pattern: str) -> list[re.Match[str]]:
        """Matches of the names of the case's tensors with a regular expression, in order."""
        found = (re.fullmatch(pattern, name) for name in sorted(self.expected))
        return [match for match in found if match]

    def finish(self) -> None:
        """Every tensor of the case was an input or compared."""
        left = sorted(set(self.expected) - self.compared)
        assert not left, f"tensors of the case that nothing compared: {', '.join(left)}"
