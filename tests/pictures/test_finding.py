"""What names stand for: literal names, patterns, litter, results, other files, roots."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest

from derain import pictures
from derain.errors import UsageError
from derain.images import write_image
from derain.pictures import finding
from derain.pictures.finding import describe_others, find_sources, result_folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def make(*names: str) -> None:
    """Make pictures, and other files as they are called."""
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in (".png", ".jpg", ".bmp") and not path.name.startswith("._"):
            write_image(path, np.full((3, 4, 3), 100, np.uint8))
        else:
            path.write_bytes(b"\0\5\x16\7 no picture")


def found(*inputs: str, output: str | None = None) -> list[str]:
    return [str(path) for path in find_sources(inputs, output).pictures]


def results(*inputs: str, output: str | None = None) -> list[str]:
    return [str(path) for path in find_sources(inputs, output).results]


def refusals(*inputs: str, output: str | None = None) -> dict[str, str]:
    return {str(path): str(error) for path, error in find_sources(inputs, output).refused}


# Patterns


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("Trip [2024]/*.jpg", ["Trip [2024]/a.jpg"]),
        ("Trip [[]2024]/*.jpg", ["Trip [2024]/a.jpg"]),
        ("*/Trip [2024]/*.jpg", ["deep/Trip [2024]/c.jpg"]),
        ("IMG [1]*.jpg", ["IMG [1] copy.jpg"]),
        ("b[12].jpg", ["b1.jpg", "b2.jpg"]),
        ("what?/*.jpg", ["what?/d.jpg"]),
        ("star*/d*.jpg", ["star*/d.jpg"]),
        ("**/a.jpg", ["Trip [2024]/a.jpg"]),
        ("Trip [2024]", ["Trip [2024]/a.jpg"]),
        ("b?.jpg", ["b1.jpg", "b2.jpg", "b10.jpg"][:2]),
        ("b*.jpg", ["b1.jpg", "b2.jpg", "b10.jpg"]),
    ],
)
def test_literal_names_are_tried_before_patterns(pattern: str, expected: list[str]) -> None:
    make(
        "Trip [2024]/a.jpg",
        "Trip 2/b.jpg",
        "deep/Trip [2024]/c.jpg",
        "IMG [1] copy.jpg",
        "IMG 1 copy.jpg",
        "b1.jpg",
        "b2.jpg",
        "b10.jpg",
        "what?/d.jpg",
        "whats/d.jpg",
        "star*/d.jpg",
        "starry/d.jpg",
    )
    assert found(pattern) == expected


def test_absolute_patterns_have_literal_heads_too(here: Path) -> None:
    make("[x]/a.jpg", "x/b.jpg")
    assert found(f"{here}/[x]/*.jpg") == [f"{here}/[x]/a.jpg"]


@pytest.mark.usefixtures("here")
def test_folders_that_fit_are_searched_as_a_shell_would_have_it() -> None:
    make("2024-05/a.jpg", "2024-06/deep/b.jpg", "2023/c.jpg")
    assert found("2024-*") == ["2024-05/a.jpg", "2024-06/deep/b.jpg"]
    assert found("20*/") == ["2023/c.jpg", "2024-05/a.jpg", "2024-06/deep/b.jpg"]
    targets = [str(job.target) for job in pictures.plan(["2023*"]).jobs]
    assert targets == [os.path.abspath("2023_derained/c.jpg")]  # noqa: PTH100


@pytest.mark.usefixtures("here")
def test_a_pattern_that_no_picture_fits_says_what_fits_it() -> None:
    make("a.cr2", "b.CR2")
    message = "no picture fits this pattern; 2 other files ignored: 2 .cr2"
    assert refusals("*.[cC][rR]2") == {"*.[cC][rR]2": message}
    assert refusals("*.jpg") == {"*.jpg": "no file fits this pattern"}


# Litter


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "litter",
    [
        "._a.jpg",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "@eaDir/a.jpg",
        "deep/@eaDir/a.jpg",
        "__MACOSX/._a.jpg",
        "$RECYCLE.BIN/a.jpg",
        ".localized",
    ],
)
def test_what_systems_keep_there_is_left_out_whoever_hands_it_over(litter: str) -> None:
    make("a.jpg", litter)
    everything = [str(path) for path in Path.cwd().iterdir() if path.name != "deep"]
    for inputs in (["."], everything, ["*"], ["**/*"], [litter, "a.jpg"], ["a.jpg", litter]):
        sources = find_sources(inputs, "out")
        assert {path.name for path in sources.pictures} == {"a.jpg"}
        assert {path.parent.name for path in sources.pictures} <= {"", "here"}
        assert not sources.refused
        assert not sources.others


@pytest.mark.usefixtures("here")
def test_litter_that_is_all_that_was_named_is_answered_in_a_line() -> None:
    make("Thumbs.db", "._a.jpg", ".DS_Store", "@eaDir/a.jpg")
    for name in ("Thumbs.db", "._a.jpg", ".DS_Store"):
        assert "a system file without a picture" in refusals(name)[name]
    assert found("@eaDir/a.jpg") == ["@eaDir/a.jpg"]
    assert found("@eaDir") == ["@eaDir/a.jpg"]


@pytest.mark.usefixtures("here")
def test_hidden_pictures_that_are_named_are_pictures() -> None:
    make(".hidden.jpg", "a.jpg", ".folder/b.jpg")
    assert found(".hidden.jpg", "a.jpg", ".folder") == [".hidden.jpg", "a.jpg", ".folder/b.jpg"]
    assert found(".") == ["a.jpg"]
    Path("deep").mkdir()
    os.chdir("deep")
    assert found("..") == ["../a.jpg"]


# Results


RESULTS = ("a_derained.jpg", "a_derained.png", "a_derained_compare.jpg", "b_derained.bmp")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "inputs",
    [
        ["."],
        ["*"],
        ["*.*"],
        ["a.jpg", "b.bmp", *RESULTS],
        [*RESULTS, "b.bmp", "a.jpg"],
        ["*.jpg", "*.png", "*.bmp"],
        ["**/*"],
    ],
)
def test_results_are_no_inputs_in_any_order(inputs: list[str]) -> None:
    make("a.jpg", "b.bmp", *RESULTS)
    sources = find_sources(inputs, "out")
    assert {path.name for path in sources.pictures} == {"a.jpg", "b.bmp"}
    assert {path.name for path in sources.results} == set(RESULTS)
    assert len(sources.results) == len(RESULTS)
    assert not sources.refused


@pytest.mark.usefixtures("here")
def test_folders_of_results_are_no_inputs() -> None:
    make("in/a.jpg", "in_derained/a.jpg", "in/deep_derained/b.bmp")
    assert found("in", "in_derained") == ["in/a.jpg"]
    assert results("in", "in_derained") == ["in/deep_derained/b.bmp", "in_derained"]
    for inputs in (["."], ["*"], ["*/*.jpg"], ["**/*.*"]):
        assert found(*inputs) == ["in/a.jpg"]
    assert found("in_derained") == ["in_derained/a.jpg"]  # named alone
    assert found("in_derained/*.jpg") == ["in_derained/a.jpg"]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("output", ["out", "./out/", "deep/out"])
def test_an_output_folder_inside_the_input_is_no_input(output: str) -> None:
    make("a.jpg", f"{output}/a.jpg", f"{output}/deep/b.bmp")
    assert found(".", output=output) == ["a.jpg"]
    assert len(results(".", output=output)) == 2


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "inputs", [["*"], ["a.jpg", "out"], ["out", "a.jpg"], ["out/a.jpg", "a.jpg"], ["**/*.jpg"]]
)
def test_an_output_folder_that_is_named_with_others_is_no_input(inputs: list[str]) -> None:
    make("a.jpg", "out/a.jpg")
    for output in ("out", "./out/", str(Path("out").absolute())):
        assert found(*inputs, output=output) == ["a.jpg"]
        assert len(results(*inputs, output=output)) == 1
    assert found("out", output="out") == ["out/a.jpg"]  # to be replaced
    assert found("a.jpg", output=".") == ["a.jpg"]
    assert found("out/a.jpg", "a.jpg", output="deep") == ["out/a.jpg", "a.jpg"]


@pytest.mark.usefixtures("here")
def test_a_result_that_is_named_alone_is_derained_again() -> None:
    make("a_derained.jpg", "b_derained.jpg")
    (job,) = pictures.plan(["a_derained.jpg"]).jobs
    assert (job.alone, str(job.target)) == (True, "a_derained_derained.jpg")
    plan = pictures.plan(["a_derained.jpg", "b_derained.jpg"])
    assert plan.jobs == plan.refused == ()
    assert [str(path) for path in plan.results] == ["a_derained.jpg", "b_derained.jpg"]


# Other files


@pytest.mark.usefixtures("here")
def test_other_files_in_folders_and_patterns_are_counted() -> None:
    make("a.jpg", "b.heics", "c.CR2", "deep/d.cr2", "e.cr2", "f.mp4", "noending", ".hidden.txt")
    expected = {".cr2": 3, ".heics": 1, ".mp4": 1, "": 1}
    assert find_sources(["."], None).others == expected
    del expected[""]
    expected[".cr2"] = 2
    assert find_sources(["*.*"], None).others == expected
    assert refusals("f.mp4") == {}  # named itself: it is read, and what is wrong with it said
    assert refusals("deep") == {"deep": "no pictures in this folder; 1 other file ignored: 1 .cr2"}


def test_other_files_are_told_in_one_line() -> None:
    assert describe_others(Counter({".a": 2})) == "2 other files ignored: 2 .a"
    many = Counter({f".{letter}": 1 for letter in "abcdefgh"})
    assert describe_others(many) == (
        "8 other files ignored: 1 .a, 1 .b, 1 .c, 1 .d, 1 .e, 1 .f, 2 of other kinds"
    )


# Roots


@pytest.mark.parametrize(
    "root",
    [
        PurePosixPath("/"),
        PurePosixPath("//"),
        PureWindowsPath("C:\\"),
        PureWindowsPath("C:/"),
        PureWindowsPath("\\\\server\\share"),
        PureWindowsPath("//server/share/"),
        PureWindowsPath("\\\\?\\C:\\"),
    ],
)
def test_nothing_lies_beside_a_root(root: PurePosixPath | PureWindowsPath) -> None:
    assert result_folder(root) is None


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (PurePosixPath("/photos"), PurePosixPath("/photos_derained")),
        (PureWindowsPath("C:\\photos"), PureWindowsPath("C:\\photos_derained")),
        (PureWindowsPath("//server/share/in"), PureWindowsPath("//server/share/in_derained")),
        (PurePosixPath("/mnt/v1.5"), PurePosixPath("/mnt/v1.5_derained")),
    ],
)
def test_results_of_a_folder_lie_beside_it(
    folder: PurePosixPath | PureWindowsPath, expected: PurePosixPath | PureWindowsPath
) -> None:
    assert result_folder(folder) == expected


@pytest.mark.parametrize("root", ["/", "//", "/.", "/..", "/tmp/.."])
def test_a_root_is_refused_before_it_is_searched(
    root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("searched")

    monkeypatch.setattr(finding, "search", fail)
    with pytest.raises(UsageError, match="no results can lie beside it; say where with output"):
        pictures.plan([root])
    monkeypatch.chdir("/")
    with pytest.raises(UsageError, match=r"^\.: no results can lie beside it"):
        pictures.plan(["."])


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that refuses files")
def test_a_folder_beside_which_nothing_can_be_written_is_not_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "search", None)
    ((path, error),) = pictures.plan(["/proc/self"]).refused
    assert str(path) == "/proc/self"
    assert isinstance(error, OSError)


# Mistyped names


@pytest.mark.usefixtures("here")
def test_names_of_nothing_say_what_may_be_meant() -> None:
    make("photo.jpg", "deep/holiday.png")
    assert refusals("phto.jpg") == {"phto.jpg": "no such file or folder; did you mean photo.jpg?"}
    assert refusals("deep/holyday.png")["deep/holyday.png"].endswith("mean deep/holiday.png?")
    assert refusals("quite-another.jpg") == {"quite-another.jpg": "no such file or folder"}
    assert "download it" in refusals("https://example.org/a.jpg")["https:/example.org/a.jpg"]


@pytest.mark.usefixtures("here")
def test_patterns_pass_over_pipes(mkfifo: Callable[[str], None]) -> None:
    make("photo.jpg")
    mkfifo("pipe.jpg")
    assert found("*.jpg") == ["photo.jpg"]
    assert "no file fits this pattern" in refusals("pi*.jpg")["pi*.jpg"]


@pytest.mark.usefixtures("here")
def test_pipes_and_devices_are_not_called_missing(mkfifo: Callable[[str], None]) -> None:
    make("photo.jpg")
    mkfifo("phot.jpg")
    assert "a pipe or a device; expected a file" in refusals("phot.jpg")["phot.jpg"]
    assert "- for standard input" in refusals(os.devnull)[os.devnull]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("last", "hinted"), [("out.jpg", True), ("out/", True), ("out", False)])
def test_a_name_that_looks_like_an_output_hints_at_it(last: str, hinted: bool) -> None:
    make("photo.jpg")
    (message,) = refusals("photo.jpg", last).values()
    assert message.startswith("no such file or folder")
    assert message.endswith("a name for results comes after output") == hinted
    assert found("photo.jpg", last) == ["photo.jpg"]
