"""derain evaluate and derain data check on bad input.

Nothing is lost, and nothing is written where it should not be.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_rain import rain_on
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from derain import cli, evaluate
from derain.images import read_image, write_image
from derain.restore import Derainer, load

SHELL = [sys.executable, "-c", "from derain.cli import main; main()"]


def derain(*arguments: str | Path) -> Result:
    """Runs in this process, which is quicker."""
    return CliRunner().invoke(cli.make_app(), [str(argument) for argument in arguments])


def errors(result: Result) -> list[str]:
    """Lines on stderr that name errors; a traceback has none."""
    return [line for line in result.stderr.splitlines() if line.startswith("error: ")]


@pytest.fixture
def small(tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one pair in the working directory."""
    monkeypatch.chdir(tmp_path)
    make_pair(tmp_path / "small", photo[:16, :16])
    return tmp_path / "small"


def make_pair(folder: Path, pixels: NDArray[np.uint8], name: str = "1.png") -> None:
    for part, change in (("rainy", 9), ("clean", 0)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        write_image(folder / part / name, pixels // 2 + np.uint8(change))


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work before all is checked is an error."""

    def fail(*_arguments: Any, **_options: Any) -> None:
        raise AssertionError("work before all was checked")

    monkeypatch.setattr(evaluate, "compare", fail)
    monkeypatch.setattr("derain.data.audit.check.check", fail)


def test_two_folders_are_scored_as_they_are_named(small: Path) -> None:
    (small / "rainy").rename(small / "foo")
    (small / "clean").rename(small / "bar")
    result = derain("evaluate", "petrichor-live", "small", "--protocol", "rgb")
    assert result.exit_code == 1
    assert "--rainy small/foo --clean small/bar" in result.stderr
    both = ["--rainy", "small/foo", "--clean", "small/bar"]
    result = derain("evaluate", "petrichor-live", *both, "--protocol", "rgb", "--json", "-")
    assert result.exit_code == 0, result.stderr
    assert "foo/ and bar/ as named" in result.stdout
    wrong = derain("evaluate", "petrichor-live", "--rainy", "small/foo")
    assert wrong.exit_code == 2
    assert errors(wrong) == [
        "error: --rainy small/foo: one half of pairs; expected the folder of the clean half too"
        " (clean)"
    ]


def test_results_that_would_have_one_name_get_their_own(
    small: Path, photo: NDArray[np.uint8]
) -> None:
    for name, level in (("ev/rain 1", 10), ("ev/rain_1", 200)):
        make_pair(small.parent / name, np.full((16, 16, 3), level, np.uint8))
    result = derain(
        "evaluate", "petrichor-live", "ev/rain 1", "ev/rain_1", "--save", "out", "--protocol", "rgb"
    )
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("out/petrichor-live").iterdir()) == [
        "rain_1",
        "rain_1-2",
    ]
    dark, light = (
        read_image(f"out/petrichor-live/{name}/1.png").mean() for name in ("rain_1", "rain_1-2")
    )
    assert dark < light


def test_a_dataset_spelt_in_two_ways_is_taken_once(small: Path) -> None:
    (small.parent / "link").symlink_to(small)
    result = derain(
        "evaluate",
        "petrichor-live",
        "small",
        "small/",
        "./small",
        "link",
        small,
        "--json",
        "-",
        "--protocol",
        "rgb",
    )
    assert [scores["dataset"] for scores in json.loads(result.stdout)] == ["small"]


def test_the_first_models_scores_are_not_lost(
    small: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def load_first(name: str, **options: Any) -> Derainer:
        if name != "petrichor-live":
            raise RuntimeError("out of memory")
        return load(name, **options)

    monkeypatch.setattr("derain.restore.load", load_first)
    result = derain(
        "evaluate", "petrichor-live", "petrichor", "small", "--json", "s.json", "--protocol", "rgb"
    )
    assert result.exit_code == 1
    assert errors(result) == ["error: out of memory; a smaller tile needs less memory"]
    assert "| petrichor-live | small | 1 |" in result.stdout
    assert [scores["model"] for scores in json.loads(Path("s.json").read_text())] == [
        "petrichor-live"
    ]
    request.getfixturevalue("no_work")
    wrong = derain("evaluate", "petrichor-live", "petrichor-live.x", "small")
    assert (wrong.exit_code, len(errors(wrong))) == (1, 1)
    assert errors(wrong)[0].startswith(
        "error: petrichor-live.x: no such weights; expected one of petrichor"
    )


@pytest.mark.usefixtures("no_work", "small")
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--csv", "none/s.csv"], 1, "error: none/s.csv: no folder none; make it first"),
        (["--json", "none/s.json"], 1, "error: none/s.json: no folder none; make it first"),
        (["--json", "small", "--force"], 1, "error: small: a folder; expected a file to write"),
        (
            ["--csv", "/dev/null", "--force"],
            1,
            "error: /dev/null: no plain file; expected a file to write",
        ),
        (["--report", "none/r.html"], 1, "error: none/r.html: no folder none; make it first"),
        (
            ["--report", "small/clean/1.png"],
            1,
            "error: small/clean/1.png already exists; --force overwrites it",
        ),
        (
            ["--niqe", "small/clean", "--save-niqe", "none/m"],
            1,
            "error: none/m: no folder none; make it first",
        ),
        (
            ["--save", "small/clean/1.png", "--force"],
            1,
            "error: small/clean/1.png: a file; expected a folder",
        ),
        (
            ["--save", "small/clean/1.png/out"],
            1,
            "error: small/clean/1.png: a file; expected a folder",
        ),
        (["--csv", "s" * 300], 1, "error: File name too long: sss"),
        (["s" * 300], 1, "error: File name too long: sss"),
        (
            ["--niqe", "small/clean", "--save-niqe", "s", "--json", "./s"],
            2,
            " writes there, too; expected two different files",
        ),
        (["--save", "s", "--json", "s"], 2, " writes there, too; expected two different files"),
        (
            ["--niqe", "small/clean", "--save-niqe", "-"],
            2,
            "only tables go to standard output; expected a file",
        ),
        (["--report", "s", "--csv", "./s"], 2, " writes there, too; expected two different files"),
        (["--report", "-"], 2, "only tables go to standard output; expected a file"),
        (["--save", "-"], 2, "only tables go to standard output; expected a folder"),
    ],
)
def test_places_to_write_are_looked_at_before_the_work(
    arguments: list[str], status: int, message: str
) -> None:
    result = derain("evaluate", "petrichor-live", "small", *arguments)
    assert result.exit_code == status
    assert message in " ".join(result.stderr.split())
    assert len(errors(result)) == 1
    assert result.stdout == ""


@pytest.mark.usefixtures("no_work", "small")
def test_a_report_without_what_it_needs_is_refused_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = derain("evaluate", "petrichor-live", "small", "--report", "r.html")
    assert result.exit_code == 1
    assert errors(result) == ['error: a report needs matplotlib: pip install "derain[report]"']
    assert not Path("r.html").exists()


def test_a_report_is_written_though_a_picture_failed(small: Path, photo: NDArray[np.uint8]) -> None:
    for package in ("matplotlib", "jinja2"):
        pytest.importorskip(package)
    make_pair(small, photo[20:36, :16], "<b>2.png")
    (small / "rainy/3.png").write_bytes(b"no picture")
    write_image(small / "clean/3.png", photo[:16, :16])
    command = [
        "evaluate",
        "petrichor-live",
        "small",
        "--protocol",
        "rgb",
        "--report",
        "r.html",
        "--json",
        "s.json",
    ]
    result = derain(*command)
    assert (result.exit_code, len(errors(result))) == (1, 1)
    assert result.stdout.splitlines()[3].startswith("| petrichor-live | small | 2 of 3 |")
    html = Path("r.html").read_text(encoding="utf-8")
    (scores,) = json.loads(Path("s.json").read_text())
    assert f"{scores['mean']['output'][0]['psnr']:.3f}" in html
    assert html.count('src="data:image/png;base64,') == 2 * 3
    assert "&lt;b&gt;2" in html
    assert "petrichor-live on small: 3" in html
    again = derain(*command[:-2])
    assert errors(again) == ["error: r.html already exists; --force overwrites it"]
    Path("r.html").write_text("old")
    assert derain(*command, "--force").exit_code == 1
    assert Path("r.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.usefixtures("no_work", "small")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "none/s.json"], "error: none/s.json: no folder none; make it first"),
        (["--json", "small", "--force"], "error: small: a folder; expected a file to write"),
        (["--against", "nope"], "error: nope: no such folder; expected the training data"),
    ],
)
def test_data_check_looks_at_places_first(arguments: list[str], message: str) -> None:
    result = derain("data", "check", "small", *arguments)
    assert result.exit_code == 1
    assert len(errors(result)) == 1
    assert errors(result)[0].startswith(message)


@pytest.mark.usefixtures("small")
def test_a_report_that_cannot_be_written_is_printed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("derain.files.write_file", full)
    result = derain("data", "check", "small", "--json", "r.json")
    assert (result.exit_code, errors(result)) == (1, ["error: No space left on device: r.json"])
    assert result.stdout.startswith("small: no dataset known here, 1 pair")
    result = derain(
        "evaluate", "petrichor-live", "small", "--csv", "s.csv", "--json", "-", "--protocol", "rgb"
    )
    assert (result.exit_code, errors(result)) == (1, ["error: No space left on device: s.csv"])
    assert json.loads(result.stdout)[0]["dataset"] == "small"


@pytest.mark.usefixtures("small")
def test_tables_may_lie_among_the_results() -> None:
    result = derain(
        "evaluate",
        "petrichor-live",
        "small",
        "--save",
        "a/out",
        "--csv",
        "a/out/s.csv",
        "--protocol",
        "rgb",
    )
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("a/out").iterdir()) == ["petrichor-live", "s.csv"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "command",
    [
        "data check small --json r.json",
        "evaluate petrichor-live small --engine onnx --json r.json --protocol rgb",
    ],
)
def test_standard_output_that_is_full_or_closed(command: str) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 (a device)
        result = subprocess.run(
            [*SHELL, *command.split()], stdout=full, stderr=subprocess.PIPE, check=False
        )
    lines = [line for line in result.stderr.decode().splitlines() if "done" not in line]
    assert (result.returncode, lines) == (1, ["error: No space left on device: standard output"])
    assert json.loads(Path("r.json").read_text())
    closed = ["sh", "-c", '"$@" >&-', "sh", *SHELL, *command.split(), "--force"]
    result = subprocess.run(closed, stderr=subprocess.PIPE, check=False)
    assert (result.returncode, b"Traceback" in result.stderr) == (0, False), result.stderr.decode()


def test_names_that_are_no_text_or_break_tables(small: Path, photo: NDArray[np.uint8]) -> None:
    odd = os.fsdecode(b"a|b\nc\xff")
    try:
        small.rename(small.with_name(odd))
    except OSError:
        pytest.skip("names must be text here")
    make_pair(small.with_name(odd), photo[:16, :16], f"{odd}.png")
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    command = [
        *SHELL,
        "evaluate",
        "petrichor-live",
        odd,
        "--per-picture",
        "--engine",
        "onnx",
        "--csv",
        "s.csv",
        "--json",
        "s.json",
        "--protocol",
        "rgb",
    ]
    result = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr.decode()
    rows = [line for line in result.stdout.decode().splitlines() if line.startswith("|")]
    assert len(rows) == 6
    assert {row.replace("\\|", "").count("|") for row in rows} == {9}
    assert rows[-1].startswith("| petrichor-live | a\\|b\\nc\\udcff | 2 |")
    assert result.stderr.decode() == "petrichor-live on a|b\\nc\\udcff: done\n"
    with Path("s.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert [row["dataset"] for row in csv.DictReader(file)] == [odd]
    assert [scores["dataset"] for scores in json.loads(Path("s.json").read_text())] == [odd]


@pytest.mark.usefixtures("small")
def test_a_line_can_always_be_said() -> None:
    Path("m.json").write_text(
        '{"format": "derain NIQE model 1", "patch": 96, "sharpness": 0.75, "\\ud800x": 1}'
    )
    result = subprocess.run(
        [*SHELL, "evaluate", "petrichor-live", "small", "--engine", "onnx", "--niqe", "m.json"],
        capture_output=True,
        check=False,
    )
    (line,) = result.stderr.decode().splitlines()
    assert (
        result.returncode,
        line.startswith("error: m.json: a NIQE model with \\ud800x; expected mean"),
    ) == (1, True)


def test_no_picture_of_a_dataset_is_overwritten_by_a_table(small: Path) -> None:
    before = (small / "rainy/1.png").read_bytes()
    result = derain("evaluate", "petrichor-live", "small", "--json", "small/rainy/1.png")
    assert (result.exit_code, errors(result)) == (
        1,
        ["error: small/rainy/1.png already exists; --force overwrites it"],
    )
    assert (small / "rainy/1.png").read_bytes() == before


@pytest.mark.usefixtures("no_work", "small")
@pytest.mark.parametrize(
    ("option", "name", "ending"),
    [
        ("--csv", "s.json", ".csv or .txt"),
        ("--csv", "s.xlsx", ".csv or .txt"),
        ("--json", "s.csv", ".json"),
        ("--json", "s.jpg", ".json"),
        ("--report", "s.pdf", ".html or .htm"),
        ("--report", "s.md", ".html or .htm"),
        ("--save-niqe", "s.npz", ".json"),
    ],
)
def test_a_file_that_is_named_for_something_else_is_refused(
    option: str, name: str, ending: str
) -> None:
    command = ["evaluate", "petrichor-live", "small", "--niqe", "small/clean", option, name]
    result = derain(*command)
    assert (result.exit_code, errors(result)) == (
        2,
        [f"error: {option} {name}: expected a name ending in {ending}"],
    )


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "litter", ["small/Thumbs.db", "small/.DS_Store", "small/@eaDir", "small/rainy/._1.png"]
)
def test_litter_is_neither_model_nor_data(litter: str) -> None:
    if litter.endswith("@eaDir"):
        make_pair(Path(litter), np.zeros((16, 16, 3), np.uint8))
    else:
        Path(litter).write_bytes(b"no picture")
    result = derain(
        "evaluate", "petrichor-live", "small", litter, "--protocol", "rgb", "--json", "-"
    )
    assert result.exit_code == 0, result.stderr
    (scores,) = json.loads(result.stdout)
    assert (scores["dataset"], len(scores["pictures"])) == ("small", 1)


@pytest.fixture
def interrupted(
    small: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> list[int]:
    """Four pairs, of which the third interrupts the work, once; the pictures that were computed."""
    for k in (2, 3, 4):
        make_pair(small, np.ascontiguousarray(photo[k : k + 16, :16]), f"{k}.png")
    computed: list[int] = []

    def compute(self: Derainer, image: Any, *_: Any, **_options: Any) -> Any:
        computed.append(1)
        if len(computed) == 3:
            raise KeyboardInterrupt
        return image

    monkeypatch.setattr(Derainer, "__call__", compute)
    return computed


COMMAND = ("evaluate", "petrichor-live", "small", "--protocol", "rgb", "--json", "s.json")


def test_an_interrupted_evaluation_goes_on_where_results_are_saved(interrupted: list[int]) -> None:
    first = derain(*COMMAND, "--save", "out")
    assert first.exit_code == 130
    assert (
        "interrupted: 2 of 4 done; run the same command again to continue"
        in first.stderr.splitlines()
    )
    assert not Path("s.json").exists()
    second = derain(*COMMAND, "--save", "out")
    assert second.exit_code == 0, second.stderr
    assert "petrichor-live on small: done, 2 of 4 already exist and are kept" in second.stderr
    assert len(interrupted) == 5
    assert len(json.loads(Path("s.json").read_text())[0]["pictures"]) == 4
    next(Path("out").glob("*/small/*.png")).unlink()
    again = derain(*COMMAND, "--save", "out")
    assert again.exit_code == 0, again.stderr
    assert "3 of 4 already exist and are kept" in again.stderr
    Path("elsewhere").mkdir()
    other = derain(*COMMAND, "--save", "elsewhere")
    assert errors(other) == ["error: s.json already exists; --force overwrites it"]
    refused = derain(*COMMAND, "--save", "out", "--tile", "64", "--force", "--json", "t.json")
    assert refused.exit_code == 0  # it was forced
    refused = derain("evaluate", "petrichor-live", "small", "--save", "out", "--tile", "64")
    assert refused.exit_code == 1
    (line,) = errors(refused)
    assert line.startswith("error: out/petrichor-live/small holds results of other settings (")
    assert line.endswith("; --force overwrites it")


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_evaluation_writes_what_it_has_where_nothing_is_saved() -> None:
    result = derain(*COMMAND)
    assert result.exit_code == 130
    assert (
        "interrupted: 2 of 4 done; --save DIR would keep the results" in result.stderr.splitlines()
    )


@pytest.mark.usefixtures("small")
def test_results_beside_rainy_pictures_are_not_scored(photo: NDArray[np.uint8]) -> None:
    for name in ("1_derained.png", "1_derained_compare.png"):
        write_image(Path("small/rainy") / name, photo[:16, :16])
    result = derain("evaluate", "petrichor-live", "small", "--protocol", "rgb", "--json", "-")
    assert result.exit_code == 0, result.stderr
    (scores,) = json.loads(result.stdout)
    assert len(scores["pictures"]) == 1


@pytest.mark.usefixtures("small")
def test_exchanged_pairs_are_scored_with_a_warning(photo: NDArray[np.uint8]) -> None:
    for half, pixels in (("rainy", rain_on(photo, 1, heavy=False)), ("clean", photo)):
        write_image(Path("small") / half / "1.png", pixels[:80, :80])
    for one, other in (("rainy", "clean"), ("clean", "rainy")):
        places = ["--rainy", f"small/{one}", "--clean", f"small/{other}"]
        result = derain("evaluate", "petrichor-live", *places, "--protocol", "rgb")
        assert result.exit_code == 0, result.stderr
        assert ("warning: " in result.stderr) == (one == "clean")
    assert "the clean picture is the rainier one" in result.stderr
