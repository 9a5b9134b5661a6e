"""What is wrong with a dataset: each fault made, and found."""

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from drawn_rain import rain_on
from numpy.typing import NDArray
from PIL import Image

from derain.data import TwoFolders, find_pairs
from derain.data.audit.benchmarks import Benchmark
from derain.data.audit.check import Report, check
from derain.data.audit.known import Known
from derain.data.copies import Album, fingerprint
from derain.data.copies.greys import GreyStore
from derain.errors import UsageError
from derain.images import read_image, write_image

Bytes = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scenes() -> list[Bytes]:
    """Four photographs that share nothing."""
    names = ("astronaut", "coffee", "chelsea", "rocket")
    return [np.ascontiguousarray(getattr(skimage.data, name)()[40:240, 60:300]) for name in names]


@pytest.fixture(scope="module")
def rainy_scenes(scenes: list[Bytes]) -> list[Bytes]:
    """The same photographs under light and heavy rain."""
    return [rain_on(scene, k, heavy=bool(k % 2)) for k, scene in enumerate(scenes)]


@pytest.fixture
def pairs(scenes: list[Bytes], rainy_scenes: list[Bytes], tmp_path: Path) -> Path:
    """Four good pairs."""
    for k, (rainy, clean) in enumerate(zip(rainy_scenes, scenes, strict=True)):
        put(tmp_path / f"set/rainy/{k}.png", rainy)
        put(tmp_path / f"set/clean/{k}.png", clean)
    return tmp_path / "set"


def put(path: Path, pixels: NDArray[np.generic]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.ascontiguousarray(pixels).astype(np.uint8))


def kinds(report: Report) -> list[str]:
    return [problem.kind for problem in report.problems]


def jpeg(pixels: Bytes, quality: int) -> Bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.array(image)


def resize(pixels: Bytes, factor: float) -> Bytes:
    size = round(pixels.shape[1] * factor), round(pixels.shape[0] * factor)
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def test_good_pairs_have_no_fault(pairs: Path) -> None:
    report = check(pairs)
    assert report.sound
    assert report.problems == ()
    assert report.sizes == (("240x200", 4),)
    assert report.describe().splitlines()[-1] == "sound to train on"


def test_litter_is_no_part_of_a_dataset(pairs: Path, scenes: list[Bytes]) -> None:
    for place in (pairs, pairs / "clean"):
        before = check(place)
        for name in (
            "Thumbs.db",
            ".DS_Store",
            "desktop.ini",
            "@eaDir/0.png/SYNOPHOTO_THUMB_M.png",
            "__MACOSX/clean/._0.png",
            ".thumbnails/0.png",
            "._list.txt",
        ):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(b"litter")
        for folder in (place, *(child for child in place.iterdir() if child.name[0] not in "_@.")):
            if folder.is_dir():
                (folder / "._0.png").write_bytes(b"resource fork")
        put(place / "$RECYCLE.BIN/9.png", scenes[0])
        after = check(place)
        assert (after.sound, after.problems) == (True, ())
        assert (after.digest, after.pictures) == (before.digest, 4)


def test_two_folders_anywhere(pairs: Path, tmp_path: Path) -> None:
    whole = check(pairs)
    wet = (pairs / "rainy").rename(tmp_path / "somewhere-wet")
    dry = (pairs / "clean").rename(pairs / "dry")
    report = check(TwoFolders(wet, dry))
    assert report.sound
    assert report.layout == "somewhere-wet/ and dry/ as named, one to one"
    assert (report.digest, report.psnr) == (whole.digest, whole.psnr)
    assert json.loads(report.to_json())["folder"] == str(tmp_path)
    assert "exchanged" in kinds(check(TwoFolders(dry, wet)))
    (wet / "2.png").unlink()
    (dry / "3.png").rename(dry / "4.png")
    (dry / "notes.pdf").write_text("no picture")
    report = check(TwoFolders(wet, dry))
    assert sorted(kinds(report)) == ["ignored", "spare", "spare", "unpaired"]
    with pytest.raises(UsageError, match="is the rainy folder too"):
        check(TwoFolders(dry, dry))
    # One may lie inside the other.
    inner = wet.rename(dry / "wet")
    assert check(TwoFolders(inner, dry)).pictures == 2


def test_folders_beside_both_halves_are_named(pairs: Path, scenes: list[Bytes]) -> None:
    put(pairs / "heavier/1.png", scenes[0])
    report = check(pairs)
    assert report.sound
    (left_out,) = report.problems
    assert left_out.kind == "ignored"
    assert "heavier: left out, 1 picture; the pairs are those of rainy/ and clean/" in (
        left_out.message
    )


def test_pairs_in_an_unknown_layout_are_not_sound(pairs: Path) -> None:
    (pairs / "rainy").rename(pairs / "Q")
    (pairs / "clean").rename(pairs / "R")
    report = check(pairs)
    # The rainy pictures count as near-duplicates of the clean ones, too.
    assert set(kinds(report)) == {"unknown layout", "duplicate"}
    lines = report.describe().splitlines()
    assert lines[0].startswith("set: 8 clean pictures, no pairs, data ")
    assert lines[-1] == "not sound to train on"
    assert f"--rainy {pairs / 'Q'} --clean {pairs / 'R'}" in report.describe()
    assert json.loads(report.to_json())["problems"][0]["files"] == [
        str(pairs / "Q"),
        str(pairs / "R"),
    ]
    assert check(TwoFolders(pairs / "Q", pairs / "R")).sound


def test_a_shifted_twin(pairs: Path, scenes: list[Bytes]) -> None:
    put(pairs / "clean/1.png", np.roll(scenes[1], (3, -2), axis=(0, 1)))
    report = check(pairs)
    assert not report.sound
    assert kinds(report) == ["misaligned"]
    assert (
        "1.png: the rainy picture is shifted by -3 pixels down and 2 right"
        in report.problems[0].message
    )


def test_twins_that_are_none(pairs: Path, scenes: list[Bytes]) -> None:
    put(pairs / "clean/1.png", scenes[2][::-1])
    report = check(pairs)
    assert "not twins" in kinds(report)
    assert not report.sound


def test_sizes_that_differ(pairs: Path, scenes: list[Bytes]) -> None:
    put(pairs / "clean/1.png", scenes[1][:-1])
    report = check(pairs)
    assert "sizes differ" in kinds(report)
    assert "1.png are 240x200 and 240x199: expected the same size" in report.describe()


@pytest.mark.parametrize("half", ["rainy", "clean"])
@pytest.mark.parametrize("cut", [0, 200, "text"])
def test_files_that_cannot_be_read(half: str, cut: int | str, pairs: Path) -> None:
    path = pairs / half / "1.png"
    path.write_bytes(b"once upon a time" if isinstance(cut, str) else path.read_bytes()[:cut])
    report = check(pairs)
    assert kinds(report) == ["unreadable"]
    assert report.problems[0].paths == (path,)
    assert not report.sound
    alone = check(pairs / half, layout="photographs")
    assert kinds(alone) == ["unreadable"]
    assert not alone.sound


def test_missing_twins_are_all_named(pairs: Path) -> None:
    (pairs / "clean/1.png").unlink()
    (pairs / "clean/2.png").unlink()
    report = check(pairs)
    assert kinds(report) == ["unpaired", "unpaired"]
    assert [problem.paths for problem in report.problems] == [
        (pairs / f"rainy/{k}.png",) for k in (1, 2)
    ]
    (pairs / "rainy/1.png").unlink()
    (pairs / "rainy/2.png").unlink()
    (pairs / "rainy/3.png").unlink()
    spare = check(pairs)
    assert kinds(spare) == ["spare"]
    assert spare.sound


def test_nothing_left(pairs: Path) -> None:
    shutil.rmtree(pairs / "clean")
    put(pairs / "clean/other.png", np.zeros((20, 20, 3)))
    report = check(pairs)
    assert kinds(report) == ["unpaired"] * 4 + ["no pictures"]
    assert report.identity is not None
    assert report.identity.pairs == 0


def test_odd_files_are_named_and_harm_nothing(pairs: Path) -> None:
    (pairs / "readme.md").write_text("hello")
    (pairs / "rainy/loop").symlink_to(pairs, target_is_directory=True)
    report = check(pairs)
    assert kinds(report) == ["ignored"]
    assert (
        "loop, readme.md" in report.problems[0].message
        or "readme.md, loop" in report.problems[0].message
    )
    assert report.sound
    (pairs / "rainy/self.png").symlink_to("self.png")
    broken = check(pairs)
    assert "self.png: a link that leads nowhere" in broken.describe()
    assert not broken.sound


def test_names_with_newlines_stay_on_one_line_and_whole_in_json(pairs: Path) -> None:
    (pairs / "rainy/1.png").rename(pairs / "rainy/a\nb \udcff.png")
    report = check(pairs)
    assert "a\\nb \\udcff.png: no clean picture" in report.describe()
    files = [
        problem["files"]
        for problem in json.loads(report.to_json())["problems"]
        if problem["kind"] == "unpaired"
    ]
    assert files == [[str(pairs / "rainy/a\nb \udcff.png")]]


def test_the_report_for_machines(pairs: Path, scenes: list[Bytes]) -> None:
    put(pairs / "clean/1.png", np.roll(scenes[1], 5, axis=0))
    content = json.loads(check(pairs).to_json())
    assert content["sound"] is False
    assert content["pairs"] == content["pictures"] == 4
    assert content["benchmark"] is None
    assert len(content["digest"]) == 12
    assert content["problems"] == [
        {
            "kind": "misaligned",
            "unsound": True,
            "message": content["problems"][0]["message"],
            "files": [str(pairs / "rainy/1.png"), str(pairs / "clean/1.png")],
        }
    ]


def test_no_rain_and_the_same_rain_twice(pairs: Path) -> None:
    shutil.copy(pairs / "clean/1.png", pairs / "rainy/1.png")
    for half in ("rainy", "clean"):
        shutil.copy(pairs / half / "2.png", pairs / half / "7.png")
    report = check(pairs)
    assert sorted(kinds(report)) == ["duplicate", "duplicate", "no rain"]
    assert report.sound


def test_many_rainy_pictures_of_one_clean_one_are_no_duplicates(
    scenes: list[Bytes], tmp_path: Path
) -> None:
    put(tmp_path / "set/ground_truth/1.jpg", scenes[0])
    for k in range(4):
        put(
            tmp_path / f"set/rainy_image/1_{k}.jpg",
            rain_on(scenes[0], k),
        )
    assert check(tmp_path / "set").problems == ()
    (tmp_path / "set/ground_truth/1.jpg").write_bytes(b"")
    assert kinds(check(tmp_path / "set")) == ["unreadable"]  # once, not four times


def exchange(folder: Path) -> None:
    for name, other in (("rainy", "x"), ("clean", "rainy"), ("x", "clean")):
        (folder / name).rename(folder / other)


def test_rainy_and_clean_exchanged(pairs: Path) -> None:
    exchange(pairs)
    report = check(pairs)
    assert kinds(report) == ["exchanged"]
    assert (
        "in 4 of 4 pairs the clean picture is the rainier one, so rainy and clean are exchanged"
        in report.problems[0].message
    )
    assert len(report.problems[0].paths) == 8
    assert not report.sound


def test_one_pair_the_wrong_way_round_does_not_turn_all(pairs: Path) -> None:
    wet, dry = (pairs / half / "1.png" for half in ("rainy", "clean"))
    wet.rename(pairs / "x.png")
    dry.rename(wet)
    (pairs / "x.png").rename(dry)
    assert check(pairs).sound


def test_the_wrong_half_and_the_wrong_column(pairs: Path, tmp_path: Path) -> None:
    for k in range(4):
        both = [read_image(pairs / half / f"{k}.png") for half in ("clean", "rainy")]
        put(tmp_path / f"double/{k}.png", np.concatenate(both, axis=1))
    assert check(tmp_path / "double").sound
    wrong = check(tmp_path / "double", layout="rainy-left")
    assert kinds(wrong) == ["exchanged"]
    assert wrong.problems[0].message.endswith("expected the other --layout")
    (pairs / "rainy").rename(pairs / "a")
    (pairs / "clean").rename(pairs / "b")
    for first, second, found in (("a", "b", []), ("b", "a", ["exchanged"])):
        (pairs / "list.txt").write_text(
            "".join(f"{first}/{k}.png\t{second}/{k}.png\n" for k in range(4))
        )
        assert kinds(check(pairs / "list.txt")) == found


def test_halves_that_are_links_are_read_and_so_are_links_in_them(
    pairs: Path, tmp_path: Path
) -> None:
    for half in ("rainy", "clean"):
        (pairs / half).rename(tmp_path / f"far-{half}")
        (pairs / half).symlink_to(tmp_path / f"far-{half}", target_is_directory=True)
    assert check(pairs).problems == ()
    (tmp_path / "far-clean/gone.png").symlink_to("nowhere.png")
    (tmp_path / "far-clean/notes.md").write_text("hello")
    (pairs / "other").symlink_to(tmp_path / "far-clean", target_is_directory=True)
    report = check(pairs)
    assert sorted(kinds(report)) == ["ignored", "unreadable"]
    (ignored,) = [problem for problem in report.problems if problem.kind == "ignored"]
    assert set(ignored.paths) == {pairs / "other", pairs / "clean/notes.md"}
    assert "clean/gone.png: a link that leads nowhere" in report.describe()


def test_a_list_to_compare_with_that_cannot_be_read_says_why(pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("hello\n")
    with pytest.raises(ValueError, match="the line 'hello' holds no two pictures"):
        check(pairs, tmp_path / "bad.txt")


@pytest.fixture
def holiday(scenes: list[Bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first scene belongs to a test set called Holiday."""
    row = Benchmark(
        "Holiday", "test", 12, ("holiday",), "nobody", known=(Known(fingerprint(scenes[0]), 0.0),)
    )
    monkeypatch.setattr("derain.data.audit.check.BENCHMARKS", (row,))


@pytest.mark.usefixtures("holiday")
@pytest.mark.parametrize("part", ["", "clean"])
def test_a_known_test_picture_is_a_fault_only_where_it_is_trained_on(
    part: str, pairs: Path, tmp_path: Path
) -> None:
    put(tmp_path / "train/1.png", np.random.default_rng(0).integers(0, 256, (90, 90, 3)))
    alone = check(pairs / part)
    assert kinds(alone) == ["known test picture"]
    assert alone.problems[0].message == f"{pairs / 'clean/0.png'}: a test picture of Holiday"
    assert not alone.sound
    assert "UNSOUND: known test picture (1)" in alone.describe()
    validation = check(pairs / part, tmp_path / "train")
    assert kinds(validation) == ["known test picture"]
    assert validation.sound
    assert "note: known test picture (1)" in validation.describe()
    assert json.loads(validation.to_json())["problems"][0]["unsound"] is False


@pytest.mark.parametrize("layout", ["folders", "halves", "clean"])
def test_copies_in_training_data_of_any_layout(
    layout: str, pairs: Path, scenes: list[Bytes], tmp_path: Path
) -> None:
    changed = [
        jpeg(scenes[0], 60),
        scenes[1][:, ::-1],
        scenes[2][20:180, 30:200],
        resize(scenes[3], 0.7),
    ]
    for k, scene in enumerate(changed):
        scene = np.ascontiguousarray(scene)
        wet = rain_on(scene, 90 + k)
        if layout == "folders":
            put(tmp_path / f"train/input/x{k}y.png", wet)
            put(tmp_path / f"train/target/x{k}y.png", scene)
        else:
            put(
                tmp_path / f"train/{k}.png",
                np.concatenate([wet, scene], axis=1) if layout == "halves" else scene,
            )
    report = check(pairs, tmp_path / "train")
    assert kinds(report) == ["leak"] * 4
    assert [problem.paths[0] for problem in report.problems] == [
        pairs / f"clean/{k}.png" for k in range(4)
    ]
    assert not report.sound
    train = check(tmp_path / "train")
    assert train.sound
    assert (train.identity is None) == (layout == "clean")
    assert train.layout.startswith(
        {"folders": "input/ and target/", "halves": "side by side, rainy on the left"}.get(
            layout, ""
        )
    )


def test_a_clean_folder_is_checked_too(pairs: Path, scenes: list[Bytes], tmp_path: Path) -> None:
    put(pairs / "clean/again.jpg", scenes[0][10:190, 10:200])
    report = check(pairs / "clean")
    assert report.identity is None
    assert kinds(report) == ["duplicate"]
    assert report.describe().startswith("clean: 5 clean pictures, no pairs")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no pictures here"):
        check(tmp_path / "empty")


def test_several_datasets_as_training_data_are_all_looked_at(pairs: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(pairs, tmp_path / "many" / name)
    assert "leak" in kinds(check(pairs, tmp_path / "many"))


# Files are read once

COUNT = """
import collections, hashlib, json, pathlib, sys
from derain.images import reading

root, folder, against = sys.argv[1:]
names = {}
for path in pathlib.Path(root).rglob("*.*"):
    names.setdefault(hashlib.sha256(path.read_bytes()).hexdigest(), str(path))
opens, decodes = collections.Counter(), collections.Counter()

def audit(event, arguments):
    if event == "open" and str(arguments[0]).startswith(root):
        opens[str(arguments[0])] += 1

judge = reading.header_of  # of each file before it is decoded

def counted(data):
    decodes[names[hashlib.sha256(data).hexdigest()]] += 1
    return judge(data)

from derain.data.audit.check import check

reading.header_of = counted
sys.addaudithook(audit)
report = check(pathlib.Path(folder), pathlib.Path(against))
kinds = collections.Counter(problem.kind for problem in report.problems)
print(json.dumps([kinds, opens, decodes]))
"""
"""Counts by file; an audit hook cannot be removed, so this runs in a process of its own."""


@pytest.mark.parametrize("layout", ["folders", "many to one", "list", "halves", "clean"])
def test_each_file_is_opened_and_decoded_once(
    layout: str, pairs: Path, scenes: list[Bytes], tmp_path: Path
) -> None:
    """Duplicates and copies too, which are laid over each other, and pairs that are unsound."""
    put(pairs / "clean/8.png", scenes[2][:, ::-1])
    put(pairs / "rainy/8.png", scenes[2][:, ::-1] // 2 + 90)
    put(pairs / "clean/9.png", scenes[0][20:180, 30:200])
    shutil.copy(pairs / "rainy/1.png", pairs / "rainy/9.png")
    put(pairs / "clean/10.png", scenes[3][::-1])
    (pairs / "rainy/10.png").write_bytes(b"no picture")
    folder = pairs / "clean" if layout == "clean" else pairs
    if layout == "many to one":
        for k in range(1, 6):
            put(pairs / f"rainy/1_{k}.png", read_image(pairs / "rainy/1.png") // 2 + 9 * k)
    if layout == "list":  # each picture is the rainy one of a pair and the clean one of another
        lines = [f"clean/{k}.png\tclean/{(k + 1) % 4}.png\n" for k in range(4)]
        (pairs / "list.txt").write_text("".join(lines))
        folder = pairs / "list.txt"
    if layout == "halves":
        folder = tmp_path / "double"
        for k, scene in enumerate([*scenes, scenes[2][::-1]]):
            both = np.concatenate([scene // 2 + 90, scene], axis=1)
            put(folder / f"{k}.png", both[:, 1:] if k == 3 else both)  # 3 has no middle
    for k, scene in enumerate([jpeg(scenes[0], 60), scenes[1][:, ::-1], resize(scenes[3], 0.7)]):
        put(tmp_path / f"train/{k}.jpg", scene)
    put(tmp_path / "train/same.bmp", scenes[3])
    (tmp_path / "train/empty.png").touch()

    command = [sys.executable, "-c", COUNT, str(tmp_path), str(folder), str(tmp_path / "train")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kinds, opens, decodes = json.loads(output)

    assert kinds["leak"] >= 2
    assert kinds.get("duplicate", 0) >= 1 or layout == "list"
    ours = (
        [pairs / f"clean/{k}.png" for k in range(4)]
        if layout == "list"
        else list(folder.rglob("*.png"))
    )
    files = [*ours, *(tmp_path / "train").iterdir()]
    opened = {path: count for path, count in opens.items() if not path.endswith(".txt")}
    assert opened == {str(path): 1 for path in files}
    pictures = [path.read_bytes() for path in files if path.stat().st_size]
    # Files of the same bytes, as two of the rainy ones, have one name in this count.
    assert len(decodes) == len(set(pictures))
    assert sum(decodes.values()) == len(pictures)


def test_files_that_do_not_fit_are_opened_again_with_the_same_result(
    pairs: Path, scenes: list[Bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(pairs / "clean/again.jpg", scenes[0][10:190, 10:200])
    expected = check(pairs / "clean")
    monkeypatch.setattr("derain.data.audit.check.Album", lambda: Album(0, GreyStore(0, 0)))
    again = check(pairs / "clean")
    assert again == expected
    assert kinds(again) == ["duplicate"]


# On real data


@pytest.mark.parametrize(
    "name",
    [
        "Rain100L-dev10",
        "Rain100H-dev10",
        "Rain12",
        "DDN-sample3",
        "SPA-data-sample2",
        "DPENet-sample",
    ],
)
def test_real_sets_are_sound_and_not_if_exchanged(
    name: str, reference_data: Path, tmp_path: Path, album: Album
) -> None:
    folder = reference_data / "pairs" / name
    assert check(folder, album=album).sound
    for k, pair in enumerate(find_pairs(folder).pairs):
        for half, path in (("rainy", pair.clean), ("clean", pair.rainy)):
            (tmp_path / half).mkdir(exist_ok=True)
            (tmp_path / half / f"{k}{path.suffix}").symlink_to(path)
    assert kinds(check(tmp_path, album=album))[0] == "exchanged"


def test_pairs_to_train_on_that_hold_test_pictures(reference_data: Path, album: Album) -> None:
    """Two of the forty that Rain13K trains on are of Rain12."""
    folder = reference_data / "pairs/Rain13K-train-sample40"
    report = check(folder, album=album)
    wrong = [problem for problem in report.problems if problem.unsound]
    assert {problem.message for problem in wrong} == {
        f"{folder}/clean/{k}.jpg: a test picture of Rain12" for k in (4, 32)
    }


def test_duplicated_backgrounds_of_rain100(
    reference_data: Path, tmp_path: Path, album: Album
) -> None:
    """Find one background under two numbers and two kinds of rain, as 3 and 4 of Rain100 are."""
    source = reference_data / "pairs"
    shutil.copytree(source / "Rain100L-dev10", tmp_path / "Rain100L")
    for number, twice in (("2", "7"), ("15", "97")):
        shutil.copy(
            source / f"Rain100L-dev10/clean/{number}.png", tmp_path / f"Rain100L/clean/{twice}.png"
        )
        shutil.copy(
            source / f"Rain100H-dev10/rainy/{number}.png", tmp_path / f"Rain100L/rainy/{twice}.png"
        )
    report = check(tmp_path / "Rain100L", album=album)
    found = {frozenset(path.stem for path in problem.paths) for problem in report.problems}
    assert set(kinds(report)) == {"duplicate"}
    assert found == {frozenset({"2", "7"}), frozenset({"15", "97"})}
    assert report.identity is not None
    assert (report.identity.benchmark, report.identity.pairs) == ("Rain100L", 12)


def test_rain100_and_rain12_are_found_among_bsds_pictures_that_hold_them(
    reference_data: Path, some_clean_pictures: list[Path], tmp_path: Path, album: Album
) -> None:
    changes: list[Callable[[Bytes], Bytes]] = [
        lambda scene: jpeg(scene, 50),
        lambda scene: scene[:, ::-1],
        lambda scene: scene[30:-40, 50:-60],
        lambda scene: resize(scene, 0.6),
        lambda scene: jpeg(resize(scene[::-1, 20:], 1.3), 75),
    ]
    train = tmp_path / "train"
    train.mkdir()
    for path in some_clean_pictures:
        (train / path.name).symlink_to(path)
    for name in ("Rain100L-dev10", "Rain12"):
        for k, pair in enumerate(find_pairs(reference_data / "pairs" / name).pairs):
            scene = read_image(pair.clean)
            assert scene.dtype == np.uint8
            put(
                train / f"bsds-{name[:6]}{pair.name}.jpg",
                changes[k % len(changes)](scene.astype(np.uint8)),
            )
    for name, prefix in (
        ("Rain100L-dev10", "bsds-Rain10"),
        ("Rain100H-dev10", "bsds-Rain10"),
        ("Rain12", "bsds-Rain12"),
    ):
        report = check(reference_data / "pairs" / name, train, album=album)
        pairs = find_pairs(reference_data / "pairs" / name).pairs
        leaks = {
            problem.paths[0]: problem.paths[1].stem
            for problem in report.problems
            if problem.kind == "leak"
        }
        assert leaks == {pair.clean: f"{prefix}{pair.name}" for pair in pairs}
        assert not report.sound


def test_no_false_alarm_among_clean_pictures_and_pairs(
    reference_data: Path, some_clean_pictures: list[Path], tmp_path: Path, album: Album
) -> None:
    """Check clean training pictures, and all pictures of pairs and validation against them."""
    train, others = tmp_path / "train", tmp_path / "others"
    train.mkdir()
    others.mkdir()
    for path in some_clean_pictures:
        (train / path.name).symlink_to(path)
    assert check(train, album=album).problems == ()
    for name in (
        "Rain100H-dev10",
        "Rain12",
        "Rain13K-train-sample40",
        "DDN-sample3",
        "SPA-data-sample2",
    ):
        for pair in find_pairs(reference_data / "pairs" / name).pairs:
            (others / f"{name}-{pair.clean.name}").symlink_to(pair.clean)
    for path in (reference_data / "clean/val").iterdir():
        (others / path.name).symlink_to(path)
    report = check(others, train, album=album)
    assert report.sound
    known = {
        problem.paths[0].name.split("-")[0]
        for problem in report.problems
        if problem.kind == "known test picture"
    }
    assert known == {
        "Rain100H",
        "Rain12",
        "Rain13K",
        "SPA",
    }  # two of Rain13K's training pictures are Rain12's


def test_a_picture_that_takes_a_package_ends_no_check(
    pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (pairs / "rainy/9.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert kinds(check(pairs)) == ["ignored"]
    (pairs / "clean/1.png").write_bytes((pairs / "rainy/9.heic").read_bytes())
    (problem,) = (each for each in check(pairs).problems if each.kind == "unreadable")
    assert "clean/1.png: a HEIC picture needs pillow-heif" in problem.message
