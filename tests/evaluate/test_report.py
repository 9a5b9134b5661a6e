"""The report: one page that is whole, safe and the same each time, and what it is made of."""

import base64
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from numpy_engines import Local

from derain.data import Pair, PairedFolder, find_pairs
from derain.evaluate import (
    Cost,
    Evaluation,
    Gallery,
    Photographs,
    PictureScore,
    Scoring,
    check_report,
    evaluate_each,
    find_photographs,
    to_html,
    to_markdown,
)
from derain.evaluate.report.crops import Window, busiest_window, to_png
from derain.evaluate.report.gallery import PAIR_PIXELS, evenly
from derain.evaluate.report.tables import cross_table, score_table, signed, tint
from derain.images import read, write_image
from derain.metrics import NaturalModel, Protocol, Score
from derain.restore import Derainer

DAY = date(2026, 1, 2)
VOID = {"meta", "img", "br"}
MINUS = "\N{MINUS SIGN}"
LINKS = ("src", "href", "xlink:href", "srcset", "data", "action", "poster")
"""Attributes by which a page asks for something."""


@dataclass
class Page(HTMLParser):
    """A parsed page: elements with their attributes, texts with the element they are in.

    A tag that is closed wrongly is an error.
    """

    html: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open:
            self.texts.append((self.open[-1], data.strip()))

    def words(self, tag: str = "") -> list[str]:
        return [text for element, text in self.texts if tag in ("", element)]

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for element, attributes in self.elements if element == tag]


def html_of(evaluations: Sequence[Evaluation], gallery: Gallery, made: date) -> str:
    """The page; skips the test where what makes it is not installed."""
    for package in ("matplotlib", "jinja2"):
        pytest.importorskip(package)
    return to_html(evaluations, gallery, made)


def psnr_plot(evaluations: Sequence[Evaluation], protocol: Protocol) -> str:
    """The plot; skips the test where what makes it is not installed."""
    pytest.importorskip("matplotlib")
    from derain.evaluate.report import plot

    return plot.psnr_plot(evaluations, protocol)


def report(
    models: Sequence[Derainer],
    datasets: Sequence[PairedFolder | Photographs],
    natural: NaturalModel | None = None,
) -> tuple[list[Evaluation], Gallery]:
    """What is evaluated, models first, as the command does it."""
    gallery = Gallery(len(models))
    outcomes = [
        outcome
        for model in models
        for dataset in datasets
        for outcome in evaluate_each(
            model,
            dataset,
            Scoring(natural=natural, on_result=gallery.on_result(model.name, dataset)),
        )
    ]
    return [outcome for outcome in outcomes if isinstance(outcome, Evaluation)], gallery


def made_up(
    model: str,
    psnr: float,
    *,
    dataset: str = "set",
    network: str = "N",
    protocol: Protocol = "rgb",
    **cost: float,
) -> Evaluation:
    """An evaluation of one picture, whose input has 20 dB and 0.5."""
    picture = PictureScore("1", (Score(protocol, 20.0, 0.5),), (Score(protocol, psnr, psnr / 100),))
    return Evaluation(
        model,
        network,
        dataset,
        "",
        "",
        "cpu",
        Cost(10, None, cost.get("seconds", 1.0), None),
        (picture,),
    )


def test_a_page_holds_every_figure_and_nothing_from_elsewhere(
    nothing: Derainer, pairs: Path, tmp_path: Path, natural: NaturalModel
) -> None:
    (tmp_path / "photos").mkdir()
    write_image(tmp_path / "photos/street.png", skimage.data.coffee()[:192, :192])
    other = shutil.copytree(pairs.rename(tmp_path / "Rain100L"), tmp_path / "else")
    datasets = [
        find_pairs(tmp_path / "Rain100L"),
        find_pairs(other),
        find_photographs(tmp_path / "photos"),
    ]
    evaluations, gallery = report(
        [nothing, Derainer(Local(), name="two", tile=512, overlap=64)], datasets, natural
    )
    html = html_of(evaluations, gallery, DAY)
    page = Page(html)
    table = "\n".join(
        line for line in to_markdown(evaluations).splitlines() if line.startswith("|")
    )
    figures = set(re.findall(r"\d[\d,]*\.\d+|\d+,\d+", table))
    assert len(figures) > 20
    assert [figure for figure in figures if figure not in " ".join(page.words())] == []
    links = [
        value
        for _, attributes in page.elements
        for name, value in attributes.items()
        if name in LINKS
    ]
    assert links
    assert [link for link in links if not link.startswith(("data:image/png;base64,", "#"))] == []
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert re.findall(r"url\((?!#)|@import|src=\"http|DOCTYPE svg", html) == []
    sections = [attributes["id"] for attributes in page.all("section")]
    assert sections == ["scores", "across", "time", "pictures", "lowest", "depends"]
    assert "NLEDN (as printed in its paper)" in page.words("th")
    assert {evaluation.data for evaluation in evaluations} | {
        natural.describe(),
        nothing.describe(),
    } <= set(page.words("dd"))
    assert "none: every picture was scored" in page.words("dd")
    assert DAY.isoformat() in page.words("time")
    pictures = page.all("img")
    # Rainy, two models and clean, of each pair; no clean photograph.
    assert len(pictures) == 2 * 2 * 4 + 3
    assert {attributes["alt"] for attributes in pictures} >= {
        "derained by two: street of photos",
        "clean: 2 of else",
    }
    png = base64.b64decode(pictures[0]["src"].removeprefix("data:image/png;base64,"))
    assert read(png).pixels.shape == (40, 50, 3)
    assert html == html_of(evaluations, gallery, DAY)
    assert html.replace("2026-01-02", "2026-01-03") == html_of(
        evaluations, gallery, date(2026, 1, 3)
    )


def test_photographs_alone_have_neither_psnr_nor_plot(
    nothing: Derainer, tmp_path: Path, natural: NaturalModel
) -> None:
    photo = skimage.data.coffee()[:192, :192]
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.png", photo)
    evaluations, gallery = report([nothing], [find_photographs(tmp_path)], natural)
    changes = gallery.exhibits[tmp_path.name].changes["nothing"]
    assert {name: change.tolist() for name, change in changes.items()} == {
        "a": [0, 0, 0],
        "b": [0, 0, 0],
    }
    changes["a"] = np.array([-3.0, -1.0, -0.5])  # darker by 1.5, red leans by 1.5
    page = Page(html_of(evaluations, gallery, DAY))
    assert [attributes["id"] for attributes in page.all("section")] == [
        "scores",
        "pictures",
        "depends",
    ]
    assert page.all("svg") == []
    assert "PSNR" not in " ".join(page.words("th"))
    words = page.words("td")
    assert words[-5:] == [f"{MINUS}0.75", f"{MINUS}1.50", "0.75", "1.50", "1 of 2"]
    notes = page.words("small")
    assert f"R {MINUS}3.0 G {MINUS}1.0 B {MINUS}0.5" in notes
    niqe = evaluations[0].pictures[0].niqe
    assert niqe is not None
    assert notes.count(f"NIQE {niqe.rainy:.2f}") == 4  # both photographs, rainy and as they were


def test_names_are_text_whatever_they_hold(nothing: Derainer, pairs: Path) -> None:
    hostile = os.fsdecode(b"<script>alert('1')</script>&\" $x^2$\n\xff-->")
    both = (pairs / "rainy/1.png", pairs / "clean/1.png")
    nothing.name = f"model{hostile}"
    evaluations, gallery = report(
        [nothing], [PairedFolder(f"set{hostile}", "list", (Pair(hostile, *both),))]
    )
    evaluations = [
        replace(evaluation, unscored=(hostile,), execution=hostile, data=hostile)
        for evaluation in evaluations
    ]
    html = html_of(evaluations, gallery, DAY)
    html.encode()
    page = Page(html)
    assert page.all("script") == []
    assert hostile.replace("\n", "\\n").replace("\udcff", "\\udcff") in page.words("dd")
    assert any(
        attributes["alt"].startswith("derained by model<script>") for attributes in page.all("img")
    )


def test_the_window_is_where_rain_is_densest() -> None:
    clean = np.full((90, 120, 3), 100, np.uint8)
    rainy = clean.copy()
    rainy[60:, 90:] += 50
    assert busiest_window(rainy, clean, 30) == Window(60, 90, 30, 30)
    assert busiest_window(clean, rainy, 30) == Window(60, 90, 30, 30)
    assert busiest_window(rainy, clean, 192) == Window(0, 0, 90, 120)
    assert busiest_window(clean, clean, 30) == Window(0, 0, 30, 30)
    assert Window(60, 90, 30, 30).of(rainy).min() == 150


def test_the_window_is_the_same_for_all_models(pairs: Path) -> None:
    dice = np.random.default_rng(0)
    photo = dice.integers(0, 200, (300, 400, 3), dtype=np.uint8)
    rain, first, second = (np.zeros_like(photo) for _ in range(3))
    rain[:40, :50], first[260:, 350:], second[:40, 350:] = 30, 20, 50
    for clean, window in ((photo, Window(0, 0, 192, 192)), (None, Window(44, 144, 256, 256))):
        dataset = find_pairs(pairs) if clean is not None else find_photographs(pairs / "clean")
        gallery = Gallery(2)
        for model, change in (("first", first), ("second", second)):
            output = (photo + rain - np.minimum(change, photo)).astype(np.float32) / 255
            gallery.on_result(model, dataset)(
                "1", (photo + rain).astype(np.float32) / 255, output, clean
            )
            exhibit = gallery.exhibits[dataset.name].by_name["1"]
            assert exhibit.window == window
            assert np.array_equal(
                read(exhibit.outputs[model]).pixels,
                window.of(photo + rain - np.minimum(change, photo)),
            )
        assert [one.name for one in gallery.exhibits[dataset.name].shown] == ["1"]
        assert (exhibit.clean is None) == (clean is None)


@pytest.mark.parametrize(
    ("count", "at_most", "chosen"),
    [(10, 4, [0, 3, 6, 9]), (3, 4, [0, 1, 2]), (1, 4, [0]), (5, 1, [0]), (0, 4, [])],
)
def test_pictures_shown_are_evenly_spaced(count: int, at_most: int, chosen: list[int]) -> None:
    assert evenly([str(k) for k in range(count)], at_most) == tuple(map(str, chosen))


def test_with_many_models_windows_are_smaller(photo: NDArray[np.uint8]) -> None:
    dataset = PairedFolder(
        "set", "list", tuple(Pair(str(k), Path(f"{k}.png"), Path("c.png")) for k in range(9))
    )
    sides: list[int] = []
    for models in (1, 6, 60):
        gallery = Gallery(models)
        gallery.on_result("m", dataset)
        exhibits = gallery.exhibits["set"]
        assert exhibits.chosen == ("0", "2", "5", "8")
        assert 4 * (models + 2) * exhibits.side**2 <= PAIR_PIXELS
        sides.append(exhibits.side)
    assert sides[0] == 192 > sides[1] > 160 > sides[2]
    assert np.array_equal(read(to_png(photo[:, ::2])).pixels, photo[:, ::2])


def test_the_best_of_a_column_is_marked_even_if_it_is_the_input() -> None:
    group = [
        made_up("a", 25.0, seconds=2),
        made_up("b", 30.0, seconds=3),
        made_up("c", 19.0, seconds=0.5),
    ]
    rows = score_table(group).rows
    assert [row.heading.text for row in rows] == ["rainy input", "a", "b", "c"]
    assert [row.cells[0].text for row in rows] == ["20.000", "25.000", "30.000", "19.000"]
    assert [row.cells[0].note for row in rows] == ["", "+5.000", "+10.000", f"{MINUS}1.000"]
    assert [row.cells[0].best for row in rows] == [False, False, True, False]
    assert [row.cells[1].best for row in rows] == [True, False, False, False]  # SSIM 0.5
    assert [row.cells[2].best for row in rows] == [False] * 4  # all have ten parameters
    assert [row.cells[4].best for row in rows] == [False, False, False, True]
    page = Page(html_of(group, Gallery(3), DAY))
    assert page.words("strong") == ["0.5000", "30.000", "0.50"]


def test_papers_figures_stand_under_their_own_protocol() -> None:
    group = [made_up("mine", 30.0, dataset="Rain100L", network="NLEDN", protocol="y-pil")]
    (paper,) = [row for row in score_table(group).rows if row.kind == "paper"]
    assert [cell.text for cell in paper.cells] == ["36.57", "0.9747", ""]
    assert "NLEDN, its paper" in psnr_plot(group, "y-pil")
    group = [made_up("mine", 30.0, dataset="Rain100L", network="NLEDN", protocol="rgb")]
    (paper,) = [row for row in score_table(group).rows if row.kind == "paper"]
    assert [(cell.text, cell.note, cell.span) for cell in paper.cells] == [
        ("36.57 / 0.9747", "y-pil", 2),
        ("", "", 4),
    ]
    assert "paper" not in psnr_plot(group, "rgb")


def test_cells_are_tinted_by_gain() -> None:
    evaluations = [made_up("a", 30.0), made_up("b", 20.0), made_up("a", 15.0, dataset="other")]
    rows = cross_table(evaluations, "rgb").rows
    assert [[cell.colour for cell in row.cells] for row in rows] == [
        ["", ""],
        [tint(1), tint(-0.5)],
        [tint(0), ""],
    ]
    assert tint(0) == "rgb(255, 255, 255)"
    assert rows[2].cells[1].text == ""
    assert [signed(value, 1) for value in (1.25, -0.04, 0.0, -2)] == [
        "+1.2",
        "0.0",
        "0.0",
        f"{MINUS}2.0",
    ]


def test_the_plots_words_are_text_and_always_the_same() -> None:
    group = [
        made_up("a", 30.0),
        made_up("of \u4e2d $x$ & more" * 3, 30.0, dataset="1 < 2", seconds=0),
    ]
    svg = psnr_plot(group, "rgb")
    words = Page(svg).words("text")
    assert {"a", "rainy input", "set", "1 < 2", "seconds per megapixel", "PSNR, dB (rgb)"} <= set(
        words
    )
    assert any(re.fullmatch(r"of \u4e2d \$x\$ & .*….*& more", word) for word in words)
    assert svg == psnr_plot(group, "rgb")


def test_labels_of_points_keep_clear_of_each_other() -> None:
    svg = psnr_plot(
        [made_up(f"model-{k}", 30.0 + k / 100, seconds=1 + k / 100) for k in range(6)], "rgb"
    )
    page = Page(svg)
    places = page.all("text")
    boxes = [
        label_box(place, text)
        for place, text in zip(places, page.words("text"), strict=True)
        if text[:5] in ("model", "rainy")
    ]
    assert len(boxes) == 7
    for k, (left, top, right, bottom) in enumerate(boxes):
        assert 0 < left < right < 4.7 * 72
        others = [
            other
            for other in boxes[:k]
            if other[0] < right and left < other[2] and other[1] < bottom and top < other[3]
        ]
        assert others == []


def label_box(place: dict[str, str], text: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom, about, of letters in 9 points."""
    width = 4.5 * len(text)
    start = {"start": 0.0, "middle": 0.5, "end": 1.0}[
        place["style"].split("text-anchor: ")[1].split(";")[0]
    ]
    left, base = float(place["x"]) - start * width, float(place["y"])
    return left, base - 7, left + width, base


def test_what_could_not_be_scored_is_named(nothing: Derainer, pairs: Path) -> None:
    (pairs / "rainy/1.png").write_bytes(b"no picture")
    evaluations, gallery = report([nothing], [find_pairs(pairs)])
    page = Page(html_of(evaluations, gallery, DAY))
    assert "nothing on set: 1" in page.words("dd")
    assert "NLEDN, 1 of 2" in page.words("small")
    assert len(page.all("img")) == 3
    kept = gallery.exhibits["set"].by_name
    kept["1"] = replace(kept["2"], name="1")  # of a model that was interrupted
    assert len(Page(html_of(evaluations, gallery, DAY)).all("img")) == 3
    del kept["2"].outputs["nothing"]
    assert "not scored" in Page(html_of(evaluations, gallery, DAY)).words("small")


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_what_it_needs_is_asked_for(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("matplotlib", "jinja2"):
        pytest.importorskip(needed)
    check_report()
    monkeypatch.setitem(sys.modules, package, None)
    message = rf'^a report needs {package}: pip install "derain\[report\]"$'
    with pytest.raises(ImportError, match=message):
        check_report()
    with pytest.raises(ImportError, match=message):
        to_html([], Gallery(1), DAY)
