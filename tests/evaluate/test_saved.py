"""Results that are saved with their scores are kept, if nothing that they depend on changed."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from numpy_engines import Unchanged

from derain.data import PairedFolder, find_pairs
from derain.errors import ExistsError
from derain.evaluate import Evaluation, Failure, Model, Scoring, compare, evaluate_each
from derain.evaluate.saved import Settings, check_saved, holds_results, weights_digest
from derain.files import SCORES
from derain.images import find_images, read_image, write_image
from derain.metrics import NaturalModel
from derain.restore import Derainer
from derain.weights import CATALOGUE


class Counting(Unchanged):
    """An engine that counts the pictures it is given, and fails at one of them."""

    def __init__(self, fails_at: int = 0) -> None:
        super().__init__("NLEDN")
        self.fails_at = fails_at

    def __call__(self, rainy: NDArray[np.float32], /) -> NDArray[np.float32]:
        if len(self.seen) + 1 == self.fails_at:
            raise KeyboardInterrupt
        return super().__call__(rainy) * np.float32(0.9)


@pytest.fixture
def dataset(tmp_path: Path, photo: NDArray[np.uint8]) -> PairedFolder:
    """Four pairs."""
    for k in range(4):
        for part in ("rainy", "clean"):
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
            pixels = photo[k : k + 20, 10 * k : 10 * k + 24] // (1 + (part == "rainy"))
            write_image(tmp_path / "set" / part / f"{k}.png", pixels)
    return find_pairs(tmp_path / "set")


@pytest.fixture
def scoring(tmp_path: Path) -> Scoring:
    """Results are saved and kept."""
    return Scoring(save_to=tmp_path / "out", keep=True)


def run(
    dataset: PairedFolder, scoring: Scoring, fails_at: int = 0, tile: int | None = None
) -> tuple[int, list[Failure | Evaluation]]:
    """Return how many pictures were computed, and what came of it."""
    engine = Counting(fails_at)
    outcomes: list[Failure | Evaluation] = []
    with contextlib.suppress(KeyboardInterrupt):
        outcomes += evaluate_each(Derainer(engine, name="a", tile=tile), dataset, scoring)
    return len(engine.seen), outcomes


def only(outcomes: list[Failure | Evaluation]) -> Evaluation:
    (outcome,) = outcomes
    assert isinstance(outcome, Evaluation)
    return outcome


def test_an_interrupted_evaluation_gives_the_scores_of_a_whole_one(
    dataset: PairedFolder, scoring: Scoring, tmp_path: Path
) -> None:
    _, whole = run(dataset, replace(scoring, save_to=tmp_path / "whole"))
    assert run(dataset, scoring, fails_at=3) == (2, [])
    done, outcomes = run(dataset, scoring)
    evaluation = only(outcomes)
    assert (done, evaluation.kept) == (2, 2)
    assert evaluation.pictures == only(whole).pictures
    assert evaluation.cost.peak_memory == pytest.approx(only(whole).cost.peak_memory, rel=0.5)
    for path in (tmp_path / "whole").glob("*.png"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    done, outcomes = run(dataset, scoring)
    assert (done, only(outcomes).kept, only(outcomes).pictures) == (0, 4, evaluation.pictures)


def test_without_keep_everything_is_done_again(dataset: PairedFolder, scoring: Scoring) -> None:
    run(dataset, scoring)
    anew = replace(scoring, keep=False)
    assert run(dataset, anew, fails_at=3)[0] == 2
    assert run(dataset, scoring)[0] == 2  # that one can be continued, too
    assert run(dataset, anew)[0] == 4


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-30])


def garble(file: Path) -> None:
    lines = file.read_bytes().splitlines()
    file.write_bytes(b"\n".join([*lines[:2], b"once upon a time", *lines[3:]]))


def exchange(file: Path) -> None:
    write_image(file.parent / "3.png", np.zeros((20, 24, 3), np.uint8))


def remove(file: Path) -> None:
    (file.parent / "3.png").unlink()


@pytest.mark.parametrize(("harm", "again"), [(cut, 1), (garble, 3), (exchange, 1), (remove, 1)])
def test_what_cannot_be_proved_is_done_again(
    harm: object, again: int, dataset: PairedFolder, scoring: Scoring, tmp_path: Path
) -> None:
    whole = only(run(dataset, scoring)[1])
    assert callable(harm)
    harm(tmp_path / "out" / SCORES)
    done, outcomes = run(dataset, scoring)
    assert (done, only(outcomes).pictures) == (again, whole.pictures)
    assert run(dataset, scoring)[0] == 0


def test_pictures_that_exchanged_their_names_are_done_again(
    dataset: PairedFolder, scoring: Scoring, tmp_path: Path
) -> None:
    """The digest of the data is that of the same files, whatever they are called."""
    before = only(run(dataset, scoring)[1])
    for part in ("rainy", "clean"):
        folder = tmp_path / "set" / part
        (folder / "0.png").rename(folder / "x.png")
        (folder / "1.png").rename(folder / "0.png")
        (folder / "x.png").rename(folder / "1.png")
    done, outcomes = run(find_pairs(tmp_path / "set"), scoring)
    assert done == 2
    assert only(outcomes).data == before.data
    first, second, *others = only(outcomes).pictures
    assert (first.output, second.output) == (before.pictures[1].output, before.pictures[0].output)
    assert tuple(others) == before.pictures[2:]


def test_results_beside_the_data_are_no_data(
    dataset: PairedFolder, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for pair in dataset.pairs:
        (flat / f"rain-{pair.name}.png").write_bytes(pair.rainy.read_bytes())
        (flat / f"norain-{pair.name}.png").write_bytes(pair.clean.read_bytes())
    saving = Scoring(save_to=flat / "out/a/flat", keep=True)
    before = only(run(find_pairs(flat), saving)[1])
    assert len(list(flat.rglob("*.png"))) == 12
    assert len(find_pairs(flat).pairs) == 4
    done, outcomes = run(find_pairs(flat), saving)
    assert (done, only(outcomes).pictures) == (0, before.pictures)
    assert len(find_images(flat / "out/a/flat")[0]) == 4  # as a user asks for them


def test_other_settings_are_refused_and_nothing_is_touched(
    dataset: PairedFolder, scoring: Scoring, natural: NaturalModel, tmp_path: Path
) -> None:
    run(dataset, scoring)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for changed, tile, words in (
        (replace(scoring, protocols=["rgb"]), None, "protocols: y-matlab, y-pil, rgb; now rgb"),
        (replace(scoring, weights="other"), None, "weights: none; now other"),
        (replace(scoring, natural=natural), None, "natural: none; now fitted on 48"),
        (scoring, 128, "execution: tile 512, overlap 64"),
    ):
        with pytest.raises(ExistsError, match="holds results of other settings") as raised:
            run(dataset, changed, tile=tile)
        assert words in str(raised.value)
    write_image(tmp_path / "set/rainy/1.png", read_image(tmp_path / "set/rainy/1.png")[::-1])
    with pytest.raises(ExistsError, match="data: "):
        run(dataset, scoring)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_folder_of_other_files_is_refused(
    dataset: PairedFolder, scoring: Scoring, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/0.png").write_bytes(b"mine")
    with pytest.raises(ExistsError, match="out already exists; force=True overwrites it"):
        run(dataset, scoring)
    assert (tmp_path / "out/0.png").read_bytes() == b"mine"
    assert not holds_results(tmp_path / "out")
    (tmp_path / "out/0.png").unlink()
    assert holds_results(tmp_path / "out")
    check_saved(tmp_path / "out", Settings("", "", (), ""))


def test_pixels_of_kept_results_are_handed_out(dataset: PairedFolder, scoring: Scoring) -> None:
    run(dataset, scoring, fails_at=3)
    names: list[str] = []

    def take(
        name: str,
        rainy: NDArray[np.floating],
        output: NDArray[np.floating],
        clean: NDArray[np.uint8] | None,
    ) -> None:
        names.append(name)
        assert np.abs(output - 0.9 * rainy).max() < 0.003
        assert clean is not None

    run(dataset, replace(scoring, on_result=take))
    assert names == ["0", "1", "2", "3"]


def test_a_missing_niqe_is_told_again(
    dataset: PairedFolder, scoring: Scoring, natural: NaturalModel
) -> None:
    scoring = replace(scoring, natural=natural)
    first, again = run(dataset, scoring)[1], run(dataset, scoring)[1]
    assert [str(one.error) for one in first if isinstance(one, Failure)] == [
        str(one.error) for one in again if isinstance(one, Failure)
    ]
    assert len(again) == 5


def test_models_are_compared_with_what_is_there_before_one_is_loaded(
    dataset: PairedFolder, tmp_path: Path
) -> None:
    (tmp_path / "w.onnx").write_bytes(b"1")
    loads: list[str] = []

    def load(source: str) -> Derainer:
        loads.append(source)
        return Derainer(Counting(), name=source)

    def outcomes() -> Iterator[Failure | Evaluation]:
        models = [Model("petrichor-live", "live"), Model(str(tmp_path / "w.onnx"), "w")]
        return compare(models, [dataset], Scoring(save_to=tmp_path / "out", keep=True), load)

    list(outcomes())
    assert len(loads) == 2
    rows = (tmp_path / "out/live/set" / SCORES).read_text().splitlines()
    assert json.loads(rows[0])["weights"] == CATALOGUE["petrichor-live"].sha256
    (tmp_path / "w.onnx").write_bytes(b"2")
    with pytest.raises(ExistsError, match=r"out/w/set holds results of other settings .weights: "):
        list(outcomes())
    assert len(loads) == 2


def test_the_digest_of_weights_is_of_all_their_files(tmp_path: Path) -> None:
    for name in ("m.index", "m.data-00000-of-00001", "n.index", "parts/a.pth", "parts/b.pth"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())

    def digests() -> list[str]:
        names = ("m", "m.index", "n.index", "parts")
        return [weights_digest(str(tmp_path / name)) for name in names]

    before = digests()
    assert before[0] == before[1]
    (tmp_path / "m.data-00000-of-00001").write_bytes(b"other")
    (tmp_path / "parts/b.pth").write_bytes(b"other")
    changed = [one != other for one, other in zip(before, digests(), strict=True)]
    assert changed == [True, True, False, True]


def test_the_digest_of_a_link_is_of_the_files_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("a.xml", "a.bin", "a.onnx", "a.onnx.data"):
        (tmp_path / "deep" / name).write_bytes(name.encode())
    for suffix, weights in ((".xml", "a.bin"), (".onnx", "a.onnx.data")):
        link = tmp_path / f"link{suffix}"
        link.symlink_to(f"deep/a{suffix}")
        before = weights_digest(str(link))
        (tmp_path / "deep" / weights).write_bytes(b"other")
        assert weights_digest(str(link)) != before


def test_litter_and_unrelated_files_change_nothing(tmp_path: Path) -> None:
    settings = Settings("w", "d", ("rgb",), "")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.DS_Store").write_bytes(b"litter")
    check_saved(tmp_path / "out", settings)
    assert holds_results(tmp_path / "out")
    (tmp_path / "out/mine.txt").write_bytes(b"a user's")
    assert not holds_results(tmp_path / "out")
    with pytest.raises(ExistsError):
        check_saved(tmp_path / "out", settings)
    (tmp_path / "parts").mkdir()
    names = ("a.onnx", "a.xml", "a.index", "parts/b.pth")
    for name in (*names, "a.bin", "a.onnx.data", "a.data-00000-of-00001"):
        (tmp_path / name).write_bytes(name.encode())

    def changed_by(name: str) -> list[str]:
        before = {each: weights_digest(str(tmp_path / each)) for each in whole}
        (tmp_path / name).write_bytes(b"other")
        return [each for each in whole if weights_digest(str(tmp_path / each)) != before[each]]

    whole = ("a.onnx", "a.xml", "a.index", "parts")
    for name in ("a.txt", "a.card.md", ".DS_Store", "parts/.DS_Store", "parts/Thumbs.db"):
        assert changed_by(name) == []
    assert changed_by("a.bin") == ["a.xml"]
    assert changed_by("a.onnx.data") == ["a.onnx"]
    assert changed_by("a.data-00000-of-00001") == ["a.index"]


def test_scores_after_a_half_written_line_are_kept(dataset: PairedFolder, scoring: Scoring) -> None:
    assert scoring.save_to is not None
    scores = scoring.save_to / SCORES

    class Torn(Counting):
        def __call__(self, rainy: NDArray[np.float32], /) -> NDArray[np.float32]:
            if len(self.seen) == 2:
                with scores.open("ab") as file:
                    file.write(b'{"picture": "hal')
            return super().__call__(rainy)

    list(evaluate_each(Derainer(Torn(), name="a"), dataset, scoring))
    done, outcomes = run(dataset, scoring)
    assert (done, only(outcomes).kept) == (0, 4)
