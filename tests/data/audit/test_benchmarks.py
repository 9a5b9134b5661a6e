"""Which benchmark a dataset is, by what was seen of it."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from derain.data.audit.benchmarks import BENCHMARKS, Size, Traits, form_of, is_alike, recognise
from derain.data.audit.known import RAIN100H, RAIN100L, SPA, Known

ORIGINAL, CROPPED = (481, 321), (480, 320)


def traits(
    name: str,
    pairs: int,
    psnr: float,
    *,
    size: Size = ORIGINAL,
    clean: int = 0,
    known: Sequence[Known] = (),
    part: str = "",
    above: str = "",
) -> Traits:
    rest = [Known(0x5555AAAA5555AAAA, psnr)] * (pairs - len(known))
    return Traits(
        (name, part),
        pairs,
        clean or pairs,
        (size,) * pairs,
        (*known, *rest),
        whole=True,
        above=(above,),
    )


def found(seen: Traits) -> set[tuple[str, str, int]]:
    return {
        (match.benchmark.name, match.benchmark.part, match.benchmark.pairs)
        for match in recognise(seen, BENCHMARKS)
    }


@pytest.mark.parametrize(
    ("seen", "rows"),
    [
        (traits("pairs", 100, 26.903), {("Rain100L", "test", 100)}),
        (traits("pairs", 100, 13.551, size=CROPPED), {("Rain100H", "test", 100)}),
        (traits("Rain100L", 100, 26.7), {("Rain100L", "test", 100)}),
        (traits("Rain100L", 90, 26.86), {("Rain100L", "test", 100), ("Rain100L", "train", 200)}),
        (traits("test", 90, 26.86, part="Rain100L"), {("Rain100L", "test", 100)}),
        (traits("Rain100H", 200, 13.0), {("Rain200H", "test", 200)}),
        (
            traits("Rain100H", 1800, 13.0),
            {("Rain100H", "train", 1800), ("Rain200H", "train", 1800)},
        ),
        (
            traits("RainTrainH", 1800, 13.0, known=[Known(RAIN100H[0].fingerprint, 30.0)]),
            {("Rain100H", "train", 1800)},
        ),
        (traits("Rain200H", 1800, 13.0), {("Rain200H", "train", 1800)}),
        # A count without pictures that are known, their mean or a name proves nothing.
        (traits("data", 1254, 13.0), set()),
        (traits("data", 12_600, 22.0, size=(500, 375), clean=900), set()),
        (traits("data", 1400, 22.0, size=(500, 375), clean=100), set()),
        (traits("data", 12_000, 21.0, size=(512, 512)), set()),
        (traits("Rain100H", 1254, 13.0), {("Rain100H", "train", 1254)}),
        (
            traits("Rain1400", 12_600, 22.0, size=(500, 375), clean=900),
            {("Rain1400", "train", 12_600)},
        ),
        (traits("Rain1400", 1400, 22.0, size=(500, 375), clean=100), {("Rain1400", "test", 1400)}),
        (traits("Rain1200", 12_000, 21.0, size=(512, 512)), {("Rain1200", "train", 12_000)}),
        (
            traits("Outdoor-Rain", 750, 14.0, size=(720, 480), clean=50),
            {("Outdoor-Rain", "test", 750)},
        ),
        (traits("Rain800", 100, 22.0, size=(500, 400)), {("Rain800", "test", 100)}),
        (traits("data", 100, 22.0), set()),
        (traits("holiday", 1254, 30.0), set()),
        (traits("Rain100L", 100, 13.551), {("Rain100H", "test", 100)}),
        (traits("Rain100L", 100, 26.9, size=(1024, 768)), set()),
        (traits("Rain14", 14, 26.9), set()),
        (traits("test1", 1, 14.0, size=(160, 120)), set()),
        (traits("Test1", 750, 14.0, size=(720, 480), clean=50), {("Outdoor-Rain", "test", 750)}),
        (traits("spanish-streets", 1000, 30.0, size=(640, 480)), set()),
        (traits("spa", 12, 30.0, size=(512, 512)), set()),
        (traits("SPA-data", 12, 30.0, size=(512, 512)), {("SPA-data", "test", 1000)}),
        (traits("spa", 12, 23.7, size=(512, 512), known=SPA), {("SPA-data", "test", 1000)}),
        (traits("didactic", 12, 22.0, size=(512, 512)), set()),
        (traits("DID", 12, 22.0, size=(512, 512)), set()),
        (
            traits("DID-MDN", 12, 22.0, size=(512, 512)),
            {("Rain1200", "test", 1200), ("Rain1200", "train", 12_000)},
        ),
        (traits("DID", 1200, 22.0, size=(512, 512)), {("Rain1200", "test", 1200)}),
        (traits("ddn-mine", 9, 22.0), set()),
        (traits("DDN", 1400, 22.0, size=(500, 375), clean=100), {("Rain1400", "test", 1400)}),
        (traits("data", 2800, 22.0), set()),
        (traits("Test2800", 2800, 22.0), {("Rain1400", "test", 2800)}),
        (traits("Test100", 100, 22.0), set()),
        (traits("real world", 12, 30.0, size=(256, 256)), set()),
        (traits("Rain100Lite", 10, 26.9), set()),
        (
            traits("rain_data_test_Light", 10, 26.9),
            {("Rain100L", "test", 100), ("Rain100L", "train", 200)},
        ),
        (traits("mine", 10, 26.9, above="Rain100L-experiments"), set()),
        (traits("test", 10, 26.9, above="Rain100L"), {("Rain100L", "test", 100)}),
        (traits("test", 10, 22.0, above="Rain800"), set()),
        (traits("mine", 10, 22.0, above="Rain800"), set()),
        (traits("mine", 100, 22.0, above="Rain800"), {("Rain800", "test", 100)}),
    ],
)
def test_recognised(seen: Traits, rows: set[tuple[str, str, int]]) -> None:
    assert found(seen) == rows


def test_content_outweighs_a_wrong_name() -> None:
    assert found(traits("Rain100L", 10, 14.0, size=CROPPED, known=RAIN100H)) == {
        ("Rain100H", "test", 100)
    }
    one = Known(RAIN100L[0].fingerprint ^ 0b101, RAIN100L[0].psnr + 0.3)
    assert found(traits("holiday", 3, 26.0, known=[one])) == {("Rain100L", "test", 100)}
    # One of a hundred does not make a benchmark.
    assert found(traits("holiday", 100, 26.0, known=[one])) == set()


def test_most_known_pairs_decide_not_the_name() -> None:
    for name in ("Rain100L", "Rain100H", "holiday"):
        mixed = traits(name, 12, 25.0, size=CROPPED, known=[*RAIN100L, *RAIN100H[:2]])
        assert found(mixed) == {("Rain100L", "test", 100)}


def test_the_guide_counts_the_pictures_that_are_known() -> None:
    different: list[int] = []
    for row in BENCHMARKS:
        for known in row.known:
            if not any(is_alike(known.fingerprint, other) for other in different):
                different.append(known.fingerprint)
    guide = (Path(__file__).parents[3] / "docs/guides/data.md").read_text(encoding="utf-8")
    assert f"fingerprints of {len(different)} clean pictures" in guide


def test_names_stay_on_one_line() -> None:
    (match,) = recognise(traits("Rain800\n(2)", 100, 22.0), BENCHMARKS)
    assert match.evidence == ("Rain800\\n(2) is its name", "it has 100 pairs")
    (match,) = recognise(traits("x", 100, 22.0, above="Rain800\x1b"), BENCHMARKS)
    assert match.evidence == ("it lies in Rain800\\x1b", "it has 100 pairs")


def test_the_form_is_told_by_sizes() -> None:
    (row,) = [row for row in BENCHMARKS if row.name == "Rain12"]
    assert form_of(row, [CROPPED, CROPPED]) == "cropped to 480x320"
    assert form_of(row, [ORIGINAL]) == "321x481 originals"
    assert form_of(row, [(240, 160)]) == "of another size than its own"


def test_no_pairs_are_no_benchmark() -> None:
    assert recognise(Traits(("Rain100L",), 0, 0, (), (), whole=True), BENCHMARKS) == []
    assert traits("x", 2, math.inf).psnr == 100


def test_rows_can_be_told_apart() -> None:
    rows = [(row.name, row.part, row.pairs) for row in BENCHMARKS]
    assert len(set(rows)) == len(rows)
    assert all(row.source and row.names for row in BENCHMARKS)
    assert all(
        alias.isalnum() and alias == alias.lower()
        for row in BENCHMARKS
        for alias in (*row.names, *row.also, *row.short)
    )
