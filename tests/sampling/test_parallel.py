"""Laws of parallel decoding: the tokens, reports and recordings of plain decoding, in fewer passes."""

import json
import re
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from ar_guidance.guidance.cfg import CFG
from ar_guidance.guidance.chain import Chain
from ar_guidance.guidance.record import TraceRecorder
from ar_guidance.guidance.registry import METHODS
from ar_guidance.guidance.softcfg import SoftCFG
from ar_guidance.sampling.draw import Filters
from ar_guidance.sampling.edit import KeptSequence
from ar_guidance.sampling.parallel import WIDTHS, Window, agreeing, growth, guess, widest_pass
from ar_guidance.tests.rounding import holds
from ar_guidance.tests.tiny_tokens import TOKEN_FAMILIES, TinyTokens, tiny_simplear

ROOT = Path(__file__).resolve().parents[2]
CHAINS = {
    "none": (),
    "cfg": (CFG(3.0, "constant"),),
    "schedule": (CFG(4.0, "cosine power"),),
    "dropped": (CFG(4.0, "constant", end=0.5),),
    "softcfg": (SoftCFG(3.0, "constant"),),
}


@pytest.fixture(params=sorted(TOKEN_FAMILIES))
def model(request) -> TinyTokens:
    return TOKEN_FAMILIES[request.param]()


def always(monkeypatch, width: int) -> None:
    """Every pass is so wide, whatever it costs."""
    monkeypatch.setattr(Window, "_width", lambda self: min(width, self.widths[-1]))


def passes(model: TinyTokens, monkeypatch) -> list[int]:
    """How many positions each pass of the network reads."""
    read, seen = model.network.read, []

    def counted(state, tokens, rows):
        seen.append(tokens.shape[1])
        return read(state, tokens, rows)

    monkeypatch.setattr(model.network, "read", counted)
    return seen


@pytest.mark.parametrize("width", [2, 5, 32])
@pytest.mark.parametrize("guidances", CHAINS.values(), ids=CHAINS)
def test_tokens_are_those_of_plain_decoding(model, guidances, width, monkeypatch) -> None:
    filters, seen = Filters(temperature=0.3), passes(model, monkeypatch)
    always(monkeypatch, width)

    def law(seed: int) -> bool:
        plain = model.sample([1, 2], guidances, seed=seed, filters=filters).tokens
        seen.clear()
        wide = model.sample([1, 2], guidances, seed=seed, filters=filters, widest=32).tokens
        return torch.equal(plain, wide)

    assert holds(law)
    one_by_one = guidances and isinstance(guidances[0], SoftCFG)
    assert len(seen) == model.config.length if one_by_one else len(seen) < model.config.length


def test_the_window_that_chooses_its_width_gives_the_same_tokens(model) -> None:
    def law(seed: int) -> bool:
        plain = model.sample([1, 2, 3], CHAINS["cfg"], seed=seed).tokens
        wide = model.sample([1, 2, 3], CHAINS["cfg"], seed=seed, widest=32).tokens
        return torch.equal(plain, wide)

    assert holds(law)


def test_reports_and_recordings_are_those_of_plain_decoding(model, monkeypatch) -> None:
    always(monkeypatch, 6)
    runs = []
    for widest in (1, 32):
        steps, recorder = [], TraceRecorder(model.run.grids, model.config.grid)
        model.sample([1, 4], CHAINS["schedule"], steps.append, recorder, widest=widest)
        runs.append((steps, recorder.finish()))
    (plain, traced), (wide, traced_wide) = runs
    assert [step.index for step in wide] == [step.index for step in plain]
    for one, other in zip(plain, wide, strict=True):
        assert torch.equal(one.tokens, other.tokens) and one.count == other.count
        for name in ("cond", "uncond", "guided"):
            assert torch.allclose(getattr(one, name), getattr(other, name), atol=1e-4)
    assert traced.maps.keys() == traced_wide.maps.keys()
    assert traced.numbers == traced_wide.numbers
    for name, maps in traced.maps.items():
        for one, other in zip(maps, traced_wide.maps[name], strict=True):
            assert torch.allclose(one.float(), other.float(), atol=2e-3), name


def test_cancelling_ends_the_run_in_the_middle_of_a_window(model, monkeypatch) -> None:
    class Cancelled(Exception):
        pass

    def cancel(step) -> None:
        if step.index == 2:
            raise Cancelled

    always(monkeypatch, 8)
    with pytest.raises(Cancelled):
        model.sample([1], on_step=cancel, widest=32)


def test_half_precision_decodes_plainly(model, monkeypatch) -> None:
    model.network.compute_dtype = torch.bfloat16
    model.network.bfloat16()
    seen = passes(model, monkeypatch)
    model.sample([1], widest=32)
    assert len(seen) == model.config.length


def test_a_repetition_penalty_counts_only_what_was_read_before(monkeypatch) -> None:
    model = tiny_simplear()
    object.__setattr__(model.network.config, "repetition", 1.7)
    filters = Filters(temperature=0.3)
    plain = model.sample([1, 2], CHAINS["cfg"], filters=filters).tokens
    always(monkeypatch, 8)
    assert torch.equal(
        plain, model.sample([1, 2], CHAINS["cfg"], filters=filters, widest=32).tokens
    )
    object.__setattr__(model.network.config, "repetition", 1.0)
    assert not torch.equal(plain, model.sample([1, 2], CHAINS["cfg"], filters=filters).tokens)


def test_the_switch_says_which_guidances_draw_plainly() -> None:
    node = json.loads((ROOT / "locales/en/nodeDefs.json").read_text("utf-8"))["ARSampler"]
    words = set(re.findall(r"\w+", node["inputs"]["parallel"]["tooltip"].casefold()))
    run = tiny_simplear().run
    found = {}
    for name, method in METHODS.items():
        chain = Chain((method(),))
        with suppress(ValueError):  # SSG, for one, has no token-wise form
            found[name] = chain.begin(run).looks_back
    assert found["softcfg"] and not found["cfg"]
    assert found.keys() & words == {name for name, back in found.items() if back}


# --- kept tokens ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("widest", [1, 32])
def test_runs_of_kept_tokens_are_read_in_one_pass(model, widest, monkeypatch) -> None:
    always(monkeypatch, 3)
    length = model.config.length
    given = model.sample([3], seed=8).tokens
    rows = {
        "first": torch.arange(length) < 5,
        "last": torch.arange(length) >= 4,
        "scattered": torch.arange(length) % 3 > 0,
    }
    for mask in rows.values():
        alone = [
            model.sample([3], CHAINS["cfg"], seed=2, kept=KeptSequence(given, one)).tokens
            for one in (mask, torch.zeros(length))
        ]
        seen = passes(model, monkeypatch)
        kept = KeptSequence(given, mask)
        tokens = model.sample([3], CHAINS["cfg"], seed=2, kept=kept, widest=widest).tokens
        monkeypatch.undo()
        always(monkeypatch, 3)
        assert torch.equal(tokens, alone[0]) and torch.equal(tokens[:, mask], given[:, mask])
        assert not torch.equal(tokens, alone[1])
        drawn = int((~mask).sum())
        assert len(seen) <= drawn + 1


def test_kept_tokens_of_a_weighing_guidance_are_read_one_by_one(model, monkeypatch) -> None:
    given, length = model.sample([3], seed=8).tokens, model.config.length
    seen = passes(model, monkeypatch)
    model.sample([3], CHAINS["softcfg"], kept=KeptSequence(given, torch.arange(length) < 5))
    assert len(seen) == length


# --- the window -------------------------------------------------------------------------------------------------------


def test_a_window_ends_with_the_sequence_and_reads_over_kept_tokens() -> None:
    window = Window([True] * 3, widest=32)
    assert window.end(0) == 3 and window.end(2) == 3
    kept = Window([False, False, True, False, True, False])
    assert [kept.end(known) for known in (0, 3, 5)] == [3, 5, 6]
    assert Window([False] * 1000).end(0) == 128


def play(window: Window, settled, seconds) -> list[int]:
    """Widths of a run of 2000 tokens; `settled` and `seconds`: width -> what a pass of it gives."""
    known, widths = 0, []
    while known < 2000:
        end = window.end(known)
        widths.append(end - known)
        count = min(settled(end - known), end - known)
        window.note(known, end, count, seconds(end - known))
        known += count
    return widths


def test_the_width_is_the_one_that_settles_most_tokens_a_second() -> None:
    free = [True] * 2000
    wide = play(Window(free, 32), lambda width: max(1, width // 2), lambda width: 1 + width / 100)
    assert sorted(wide[50:])[len(wide[50:]) // 2] >= 24
    dear = play(Window(free, 32), lambda width: 1 + width // 8, lambda width: float(width))
    assert dear[50:].count(1) > 0.8 * len(dear[50:])


@pytest.mark.parametrize("batch", [1, 8])
def test_a_clock_that_does_not_tick_within_a_pass_is_no_fault(batch) -> None:
    window = Window([True] * 256, 32, batch=batch)
    for known in range(64):
        end = window.end(known)
        assert end > known
        window.note(known, end, 1, 0.0 if known % 16 else 1 / 64)


def test_growth_is_found_again() -> None:
    for exponent in (0.0, 0.3, 0.7, 1.0):
        assert abs(growth([(16, 16**exponent)] * 3) - exponent) < 1e-6
        assert abs(growth([(width, width**exponent) for width in (4, 8, 16)]) - exponent) < 0.05


def test_large_vocabularies_and_batches_narrow_the_pass() -> None:
    assert widest_pass(512, 1) == WIDTHS[-1]
    assert widest_pass(217000, 8) == 9 and widest_pass(217000, 1000) == 1


def test_only_tokens_behind_right_guesses_settle_in_every_image() -> None:
    guessed = torch.tensor([[1, 2, 3, 4], [5, 6, 7, 8]])
    assert agreeing(guessed, guessed) == 4
    assert agreeing(torch.tensor([[1, 2, 9, 4], [5, 6, 7, 8]]), guessed) == 3
    assert agreeing(torch.tensor([[1, 2, 3, 9], [9, 6, 7, 8]]), guessed) == 1


def test_first_guesses_are_the_tokens_above() -> None:
    tokens = torch.tensor([[1, 2, 3, 0, 0, 0, 0]])
    guess(tokens, 3, 7, row=3)
    assert tokens.tolist() == [[1, 2, 3, 1, 2, 3, 1]]
    guess(tokens, 5, 7, row=0)
    assert tokens.tolist() == [[1, 2, 3, 1, 2, 2, 2]]
