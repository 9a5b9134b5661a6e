"""Evaluation: the figures of the reference data, what cannot be scored."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray

from derain import metrics
from derain.data import find_pairs
from derain.evaluate import (
    Evaluation,
    Failure,
    Scoring,
    evaluate,
    evaluate_each,
    find_photographs,
    identity,
)
from derain.images import read_image, write_image
from derain.metrics import NaturalModel, NiqeError, niqe
from derain.restore import Derainer, load

PUBLISHED = {"y-matlab": (38.487, 0.9811), "y-pil": (37.160, 0.9761), "rgb": (37.090, 0.9779)}


@pytest.mark.torch
def test_published_checkpoint_gives_the_figures_to_reproduce(reference_data: Path) -> None:
    derainer = load(str(reference_data / "published-weights/nledn/net_Rain100L.pth"), device="cpu")
    evaluation = evaluate(derainer, find_pairs(reference_data / "pairs/Rain100L-dev10"))
    for protocol in metrics.PROTOCOLS:
        score = evaluation.mean(protocol)
        assert score.psnr == pytest.approx(PUBLISHED[protocol][0], abs=0.01)
        assert score.ssim == pytest.approx(PUBLISHED[protocol][1], abs=0.0005)


def test_twins_of_two_sizes_and_depths_are_refused(nothing: Derainer, pairs: Path) -> None:
    write_image(pairs / "rainy/2.png", np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(ValueError, match="30x30 and 50x40"):
        evaluate(nothing, find_pairs(pairs))
    write_image(pairs / "rainy/2.png", np.zeros((40, 50, 3), np.uint16))
    message = "rainy/2.png has 16 bits a channel; expected 8 bits, .*: score copies"
    with pytest.raises(ValueError, match=message):
        evaluate(nothing, find_pairs(pairs))
    write_image(pairs / "clean/2.png", np.zeros((40, 50, 3), np.uint16))
    with pytest.raises(ValueError, match=r"rainy/2\.png and .*clean/2\.png have 16 bits"):
        evaluate(nothing, find_pairs(pairs))


def test_one_bad_pair_leaves_the_others(nothing: Derainer, pairs: Path) -> None:
    write_image(pairs / "rainy/2.png", np.zeros((30, 30, 3), np.uint8))
    seen: list[tuple[str, int, int]] = []
    failure, evaluation = evaluate_each(
        nothing,
        find_pairs(pairs),
        Scoring(),
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    assert isinstance(failure, Failure)
    assert isinstance(evaluation, Evaluation)
    assert [picture.name for picture in evaluation.pictures] == ["1"]
    assert evaluation.unscored == ("2",)
    assert evaluation.total == 2
    assert seen == [("nothing on set", done, 2) for done in (0, 1, 2)]
    assert failure.path == pairs / "rainy/2.png"
    assert "are 30x30 and 50x40: expected the same size" in str(failure.error)


def test_pixels_are_handed_out_as_they_are_scored(nothing: Derainer, pairs: Path) -> None:
    write_image(pairs / "rainy/2.png", np.zeros((30, 30, 3), np.uint8))
    seen: list[str] = []

    def look(
        name: str,
        rainy: NDArray[np.floating],
        output: NDArray[np.floating],
        clean: NDArray[np.uint8] | None,
    ) -> None:
        seen.append(name)
        assert clean is not None
        assert np.array_equal(clean, read_image(pairs / "clean/1.png"))
        assert np.array_equal(metrics.quantise(rainy), read_image(pairs / "rainy/1.png"))
        assert np.allclose(rainy, output, atol=1e-6)

    list(evaluate_each(nothing, find_pairs(pairs), Scoring(["rgb"], on_result=look)))
    assert seen == ["1"]


def test_a_receiver_that_fails_counts_as_a_failure_of_the_picture(
    nothing: Derainer, pairs: Path
) -> None:
    def look(name: str, *_pixels: object, **_more: object) -> None:
        if name == "1":
            raise MemoryError("no room")

    failure, evaluation = evaluate_each(
        nothing, find_pairs(pairs), Scoring(["rgb"], on_result=look)
    )
    assert isinstance(failure, Failure)
    assert isinstance(evaluation, Evaluation)
    assert (failure.path.name, str(failure.error)) == ("1.png", "no room")
    assert [picture.name for picture in evaluation.pictures] == ["2"]


def test_nothing_to_score_is_an_error(nothing: Derainer, pairs: Path) -> None:
    for k in (1, 2):
        (pairs / f"rainy/{k}.png").write_bytes(b"no picture")
    outcomes = list(evaluate_each(nothing, find_pairs(pairs), Scoring()))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    assert len(failures) == len(outcomes)
    assert [failure.path.name for failure in failures] == ["1.png", "2.png", "set"]
    assert str(failures[-1].error) == "set: not one of 2 pictures could be scored"
    with pytest.raises(ValueError, match="expected some of both, or NIQE"):
        evaluate(nothing, find_photographs(pairs / "clean"))


def test_photographs_are_scored_by_niqe_alone(
    nothing: Derainer, tmp_path: Path, natural: NaturalModel
) -> None:
    photo = skimage.data.chelsea()[:200, :300]
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in/a.png", photo)
    write_image(tmp_path / "in/b.png", photo.astype(np.uint16) * 257)
    evaluation = evaluate(
        nothing, find_photographs(tmp_path / "in"), natural=natural, save_to=tmp_path / "out"
    )
    assert evaluation.protocols == []
    assert evaluation.paper is None
    expected = niqe.niqe(photo, natural)
    for picture in evaluation.pictures:
        assert (picture.rainy, picture.output) == ((), ())
        assert picture.niqe is not None
        assert (picture.niqe.rainy, picture.niqe.output) == pytest.approx((expected, expected))
    assert evaluation.mean_niqe() == pytest.approx(expected)
    assert np.array_equal(read_image(tmp_path / "out/a.png"), photo)
    assert evaluation.natural == natural.describe()


def test_a_photograph_without_niqe_is_not_scored_but_a_pair_is(
    nothing: Derainer, pairs: Path, tmp_path: Path, natural: NaturalModel
) -> None:
    *_, evaluation = evaluate_each(nothing, find_pairs(pairs), Scoring(natural=natural))
    assert isinstance(evaluation, Evaluation)
    assert [picture.niqe for picture in evaluation.pictures] == [None, None]
    assert evaluation.mean_niqe() is None
    with pytest.raises(ValueError, match=r"1\.png: 50x40 pixels; NIQE needs at least 96x96"):
        evaluate(nothing, find_pairs(pairs), natural=natural)
    photographs = find_photographs(pairs / "clean")
    *named, last = evaluate_each(nothing, photographs, Scoring(natural=natural))
    assert [type(one.error) for one in named if isinstance(one, Failure)] == [NiqeError] * 2
    assert isinstance(last, Failure)
    assert "not one of 2" in str(last.error)


def test_the_identity_is_of_the_bytes_and_in_the_evaluation(nothing: Derainer, pairs: Path) -> None:
    first = identity(find_pairs(pairs))
    assert "2 pairs" in first
    evaluation = evaluate(nothing, find_pairs(pairs), ["rgb"])
    assert evaluation.data == first
    assert evaluate(nothing, find_pairs(pairs), ["rgb"], data="as given").data == "as given"
    (pairs / "clean/1.png").write_bytes((pairs / "clean/1.png").read_bytes() + b" ")
    assert identity(find_pairs(pairs)) != first
    photographs = find_photographs(pairs / "clean")
    assert identity(photographs).startswith("photographs without ground truth, 2 pictures, sha256 ")
    (pairs / "clean/1.png").unlink()
    assert identity(photographs).startswith("photographs without ground truth, 2 pictures, sha256 ")
