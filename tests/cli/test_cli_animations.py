"""What derain run says of animated pictures and of folders of frames, and what it refuses."""

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import load_nothing
from commands import status_of as derain
from PIL import Image

from derain.cli.clips import parted
from derain.clips.names import is_animated
from derain.extras import is_installed
from derain.images import read, read_image, write_image
from derain.images.animations import open_animation


@pytest.fixture(autouse=True)
def loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """A working directory with animations; the names of models that are loaded."""
    monkeypatch.chdir(tmp_path)
    animate(Path("anim.gif"))
    animate(Path("anim.webp"), lossless=True)
    for k in range(6):
        write_image(Path("frames") / f"f{k}.png", picture(k)) if k else Path("frames").mkdir()
    write_image(Path("frames") / "f0.png", picture(0))
    names: list[str | None] = []
    load_nothing(monkeypatch, lambda name, _: names.append(name))
    return names


def picture(k: int) -> Any:
    dice = np.random.default_rng(k)
    return dice.integers(90, 99, (16, 20, 3), np.uint8)


def animate(path: Path, count: int = 6, **options: Any) -> None:
    images = [Image.fromarray(picture(k)) for k in range(count)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=50, loop=0, **options)


def test_an_animation_becomes_an_animation(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert derain("anim.gif", "--temporal", "5") == 0
    out, err = capsys.readouterr()
    assert out == "anim_derained.gif\n"
    assert loads == ["petrichor-live"]
    assert "anim.gif: 6 frames, " in err
    assert "still pixels vary by" in err
    found = open_animation("anim_derained.gif")
    assert [frame.seconds for frame in found.frames()] == [Fraction(1, 20)] * 6
    assert found.facts.plays == 0
    assert derain("anim.gif") == 0
    assert loads == ["petrichor-live"]
    assert "already exists; --force overwrites it" in capsys.readouterr().err


def test_folders_are_derained_with_the_animations_in_them(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("all/inner").mkdir(parents=True)
    write_image("all/photo.png", picture(0))
    animate(Path("all/inner/a.gif"))
    animate(Path("all/b.webp"), lossless=True)
    assert derain("all", "-o", "dry") == 0
    out = capsys.readouterr().out.splitlines()
    assert sorted(out) == ["dry/b.webp", "dry/inner/a.gif", "dry/photo.png"]
    assert loads == [None, "petrichor-live"]
    assert open_animation("dry/inner/a.gif").count == open_animation("dry/b.webp").count == 6
    assert derain("all", "-o", "dry") == 0
    assert derain("dry", "-o", "again") == 0
    assert not Path("again").exists()
    assert "2 results of derain ignored: dry/b.webp, dry/inner/a.gif" in capsys.readouterr().err


def test_what_is_said_of_pictures_alone_fails_animations_in_folders(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("all").mkdir()
    write_image("all/photo.png", picture(0))
    animate(Path("all/a.gif"))
    assert derain("all", "--compare") == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == [str(Path("all_derained/photo.png").absolute())]
    assert "error: all/a.gif: an animation; --compare applies to pictures only" in err


def test_a_gif_of_one_frame_gets_the_model_of_pictures(loads: list[str | None]) -> None:
    Image.fromarray(picture(0)).save("one.gif")
    assert derain("one.gif", "anim.gif") == 0
    assert loads == [None, "petrichor-live"]
    assert open_animation("one_derained.gif").count == 1


def test_neighbours_work_without_a_model(loads: list[str | None]) -> None:
    assert derain("anim.webp", "-m", "none", "-o", "dry.png") == 0
    assert loads == []
    assert open_animation("dry.png").count == 6


def test_results_among_inputs_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("anim.gif") == 0
    assert derain("anim.gif", "anim_derained.gif", "--force") == 0
    assert "1 result of derain ignored: anim_derained.gif" in capsys.readouterr().err
    assert derain("anim_derained.gif") == 0
    assert "was derained again" in capsys.readouterr().err


def test_clips_that_are_skipped_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("anim.gif", "anim.webp")
    assert derain(*names, "-o", "dry") == 0
    capsys.readouterr()
    assert derain(*names, "-o", "dry") == 0
    assert capsys.readouterr().err == "2 clips skipped because they already exist\n"
    assert derain(*names, "-o", "dry", "-v") == 0
    assert "skipped anim.gif: dry/anim.gif already exists" in capsys.readouterr().err
    assert derain(names[0], "-o", "dry") == 0
    assert capsys.readouterr().err.startswith("skipped anim.gif: ")


def test_animations_in_a_folder_are_counted_with_its_pictures(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mixed").mkdir()
    for name in ("anim.gif", "frames/f0.png", "frames/f1.png"):
        shutil.copy(name, "mixed")
    assert derain("mixed", "-o", "dry") == 0
    said = capsys.readouterr().err
    assert "[2/2] " in said
    assert said.splitlines()[-1] == "3 done, 0 skipped because they already exist, 0 failed"
    assert derain("mixed", "-o", "dry") == 0
    said = capsys.readouterr().err
    assert said == "0 done, 3 skipped because they already exist, 0 failed\n"


def test_a_folder_is_a_clip_if_asked_for(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert derain("frames", "--as-clip", "--temporal", "5", "-o", "dry") == 0
    out, err = capsys.readouterr()
    assert out == "dry\n"
    assert loads == ["petrichor-live"]
    assert "frames: 6 frames done, 0 skipped because they already exist, 0 failed" in err
    assert sorted(path.name for path in Path("dry").iterdir()) == [f"f{k}.png" for k in range(6)]
    # Not one by one: neighbours have helped.
    assert not np.array_equal(read_image("dry/f2.png"), read_image("frames/f2.png"))
    Path("frames/f3.png").write_bytes(b"no picture")
    assert derain("frames", "--as-clip", "-o", "other") == 1
    assert "error: frames/f3.png: " in capsys.readouterr().err


def test_frames_become_one_file_and_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("frames", "--as-clip", "-o", "dry.gif", "--rate", "12.5") == 0
    assert [frame.seconds for frame in open_animation("dry.gif").frames()] == [Fraction(2, 25)] * 6
    assert derain("anim.gif", "-o", "out/%02d.jpg") == 0
    assert capsys.readouterr().out.splitlines() == ["dry.gif", "out/%02d.jpg"]
    assert sorted(path.name for path in Path("out").iterdir()) == [
        f"{k:02}.jpg" for k in range(1, 7)
    ]


def test_one_bad_file_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.gif").write_bytes(b"no clip")
    assert derain("bad.gif", "absent.gif", "anim.gif") == 1
    out, err = capsys.readouterr()
    assert out == "anim_derained.gif\n"
    assert "error: bad.gif: not a picture that can be read" in err
    assert "error: absent.gif: no such file or folder" in err
    assert derain("anim.webp", "--max-pixels", "100") == 1
    assert "--max-pixels 320 reads it" in capsys.readouterr().err


def two_of_one_name() -> Any:
    """Make two animations of the same name, and return the first frame of the first's result."""
    for folder, count in (("d1", 2), ("d2", 3)):
        Path(folder).mkdir()
        animate(Path(folder, "x.gif"), count)
    assert derain("d1/x.gif") == 0
    return Path("d1/x_derained.gif").read_bytes()


def refused(target: str, rival: str) -> str:
    return f"would become {target}, which {rival} needs; give them folders of their own"


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_no_animation_takes_the_place_of_another(
    force: tuple[str, ...], loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = two_of_one_name()
    capsys.readouterr()
    assert derain("d1/x.gif", "d2/x.gif", "-o", "out", *force) == 1
    out, err = capsys.readouterr()
    assert out == "out/x.gif\n"
    # It is said before the work.
    assert err.splitlines()[0] == f"error: d2/x.gif: {refused('out/x.gif', 'd1/x.gif')}"
    assert Path("out/x.gif").read_bytes() == wanted
    assert derain("anim.gif", "anim.webp", "--format", "png", *force) == 1
    assert refused("anim_derained.png", "anim.gif") in capsys.readouterr().err
    assert derain("d1/x.gif", "d2/x.gif", *force) == 0


def test_parts_of_animations_do_not_overwrite_each_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wanted = two_of_one_name()
    names = ["d1/x.gif", "d2/x.gif", "anim.gif"]
    statuses = [derain(*names, "-o", "out", "--force", "--part", f"{k}/2") for k in range(2)]
    assert sorted(statuses) == [0, 1]
    out, err = capsys.readouterr()
    assert sorted(out.splitlines()[1:]) == ["out/anim.gif", "out/x.gif"]
    assert err.count(refused("out/x.gif", "d1/x.gif")) == 1
    assert Path("out/x.gif").read_bytes() == wanted


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_no_picture_takes_the_place_of_an_animation(
    force: tuple[str, ...], loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("anim.png", picture(0))
    write_image("other.png", picture(0))
    assert derain("anim.png", "other.png", "anim.gif", "--format", "png", *force) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == ["anim_derained.png", "other_derained.png"]
    lines = err.splitlines()
    assert lines[0] == f"error: anim.png: {refused('anim_derained.png', 'anim.gif')}"
    assert open_animation("anim_derained.png").count == 6
    assert loads == ["petrichor-live", None]


def test_no_animation_takes_the_place_of_a_frame(capsys: pytest.CaptureFixture[str]) -> None:
    animate(Path("f0.gif"))
    arguments = ["frames", "f0.gif", "--as-clip", "--format", "png", "-o", "dry"]
    assert derain(*arguments) == 1
    assert refused("dry/f0.png", "frames") in capsys.readouterr().err
    assert not is_animated("dry/f0.png")
    assert len(list(Path("dry").iterdir())) == 6


@pytest.mark.parametrize("output", ["one.png", "one.jpg", "one.gif", "out/%02d.png"])
def test_an_animation_and_a_picture_do_not_become_one_file(
    output: str, loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("photo.png", picture(0))
    for arguments in (["anim.gif", "photo.png"], ["frames", "anim.gif"]):
        assert derain(*arguments, "-o", output) == 2
        expected = f"error: -o {output}: one file for 2 inputs; expected a folder\n"
        assert capsys.readouterr().err == expected
    assert loads == []
    assert not list(Path().glob("o*"))


def test_what_pictures_are_refused_for_is_said_before_clips_are_derained(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("photo.png", picture(0))
    assert derain("anim.gif", "photo.png", "--mask", "absent.png") != 0
    assert "absent.png" in capsys.readouterr().err
    assert loads == []
    assert not Path("anim_derained.gif").exists()


def test_weights_that_sense_no_density_are_refused_before_clips_are_derained(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    write_image("photo.png", picture(0))
    assert derain("anim.gif", "photo.png", "--density") == 2
    assert "--density: nothing cannot measure rain density" in capsys.readouterr().err
    assert loads == [None]
    assert not Path("anim_derained.gif").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["anim.gif", "-o", "dry.jpg"], "-o dry.jpg: a .jpg holds one picture; expected"),
        (["anim.gif", "-o", "-"], "-o -: expected a file or a folder for clips"),
        (["anim.gif", "anim.webp", "-o", "dry.gif"], "one file for 2 clips; expected a folder"),
        (["anim.gif", "--crf", "20"], "--crf: applies to video files, but no video file is named"),
        (["anim.gif", "--resume"], "--resume: applies to video files"),
        (["anim.gif", "--rate", "5"], "--rate 5: applies to frames from standard input"),
        (["frames", "--as-clip", "--rate", "5"], "--rate: applies to folders of frames"),
        (["anim.gif", "--as-clip"], "--as-clip: applies to folders, but no folder is named"),
        (["anim.gif", "--density"], "--density: applies to pictures"),
        (["anim.gif", "-o", "dry.webp", "--format", "webp"], "--format: applies only if -o"),
        (["anim.gif", "-m", "none", "--temporal", "off"], "nothing to do without a model"),
        (["frames", "--temporal", "5"], "--as-clip treats a folder as a clip"),
        (["frames", "--as-clip", "--preview", "1"], "--preview: applies to clips with times"),
        (["frames", "--as-clip", "--rate", "0", "-o", "a.gif"], "--rate 0: expected frames a"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert derain(*arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert words in lines[0]


def test_formats_are_those_that_move(capsys: pytest.CaptureFixture[str]) -> None:
    assert derain("anim.gif", "--format", "webp") == 0
    assert capsys.readouterr().out == "anim_derained.webp\n"
    assert derain("anim.gif", "--format", "jpg") == 1
    assert capsys.readouterr().err == (
        "error: anim.gif: 6 frames, but a .jpg holds one picture; expected another format: png,"
        " webp or avif\n"
    )


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        (("-o", "dry.jpg"), "dry.jpg"),
        (("--format", "jpg"), "one_derained.jpg"),
        (("--format", "tiff", "-o", "out"), "out/one.tiff"),
    ],
)
def test_a_gif_of_one_frame_becomes_a_picture(
    arguments: tuple[str, ...],
    result: str,
    loads: list[str | None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = Image.fromarray(np.full((16, 20, 3), 96, np.uint8))
    image.save("one.gif", comment=b"a yard")
    assert derain("one.gif", *arguments) == 0
    assert capsys.readouterr().out == f"{result}\n"
    made = read(result)
    assert made.metadata.format == ("TIFF" if "tiff" in result else "JPEG")
    assert made.is_result
    assert np.abs(made.pixels.astype(int) - 96).max() <= 1
    assert made.metadata.comments == (() if "tiff" in result else (b"a yard",))
    assert derain("one.gif", *arguments) == 0
    assert "already exists" in capsys.readouterr().err
    assert loads == [None]
    assert derain("one.gif", *arguments, "--force") == 0


def test_a_still_gif_with_holes_becomes_no_jpeg_before_the_work(
    loads: list[str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    image = Image.new("RGBA", (20, 16), (90, 90, 90, 255))
    image.putpixel((3, 4), (0, 0, 0, 0))
    image.save("one.gif")
    assert derain("one.gif", "-o", "dry.jpg") == 1
    assert "one.gif: has transparency, which JPEG cannot hold" in capsys.readouterr().err
    assert loads == []


def test_gifs_in_folders_become_pictures_if_they_are_still(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("all").mkdir()
    write_image("all/photo.png", picture(0))
    animate(Path("all/moves.gif"))
    Image.fromarray(picture(0)).save("all/still.gif")
    assert derain("all", "--format", "jpg", "-o", "dry") == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == ["dry/photo.jpg", "dry/still.jpg"]
    errors = [line for line in err.splitlines() if line.startswith("error")]
    assert errors == [
        "error: all/moves.gif: 6 frames, but a .jpg holds one picture; expected another format:"
        " png, webp or avif"
    ]


def test_inputs_are_parted_by_what_they_hold() -> None:
    Image.fromarray(picture(0)).save("still.webp")
    named = ["anim.gif", "anim.webp", "still.webp", "frames", "clip.mp4"]
    assert parted(named)[1] == ["still.webp", "frames"]
    assert parted(named, as_clip=True)[1] == ["still.webp"]


def test_no_video_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def require(name: str, _: str) -> None:
        asked.append(name)

    monkeypatch.setattr("derain.extras.require", require)
    assert derain("anim.gif", "-o", "dry.png") == 0
    assert asked == []
    if is_installed("av"):
        assert derain("anim.gif", "-o", "dry.mkv") == 0
        assert asked == ["av"]
