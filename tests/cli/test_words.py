"""Verbs that are mistyped or come too late, and options that other tools have."""

from pathlib import Path

import pytest

from derain import cli
from derain.cli.words import VERBS, hint_for, meant_by


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return the exit status of a command, and what it wrote to both streams."""
    with pytest.raises(SystemExit) as raised:
        cli.main(arguments)
    assert isinstance(raised.value.code, int)
    written = capsys.readouterr()
    return raised.value.code, written.out, written.err


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("evaluat", "evaluate"),
        ("evalute", "evaluate"),
        ("evalaute", "evaluate"),
        ("evaluates", "evaluate"),
        ("Evaluate", "evaluate"),
        ("eval", "evaluate"),
        ("trian", "train"),
        ("tarin", "train"),
        ("TRAIN", "train"),
        ("weight", "weights"),
        ("wieghts", "weights"),
        ("exprot", "export"),
        ("benchmark", "bench"),
        ("bnech", "bench"),
        ("snyth", "synth"),
        ("dat", "data"),
        ("runn", "run"),
        ("help", "--help"),
        ("version", "--version"),
        ("list", "weights list"),
        ("check", "data check"),
        ("infer", "run"),
    ],
)
def test_a_close_match_of_a_verb_stops(
    word: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("Rain100L").mkdir()
    status, out, err = call(capsys, word, "petrichor", "Rain100L")
    assert (status, out) == (2, "")
    assert err == f"error: {word}: no such verb, and no such file; did you mean 'derain {verb}'?\n"
    assert [path.name for path in Path.cwd().iterdir()] == ["Rain100L"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--force", "evalute", "petrichor", "x"],
        ["-o", "out", "evaluate", "petrichor", "x"],
        ["--output", "evaluate", "--tile", "0", "evaluat"],
        ["-v", "evalute"],
        ["--", "evaluat", "x"],
    ],
)
def test_a_verb_behind_options_stops(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = call(capsys, *arguments)
    assert (status, "did you mean 'derain evaluate'?" in err) == (2, True)


@pytest.mark.parametrize("word", ["evaluat", "help", "trian", "list"])
def test_a_word_that_is_there_is_a_picture(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(word).mkdir()
    status, _, err = call(capsys, word)
    assert (status, err) == (1, f"error: {word}: no pictures in this folder\n")
    Path(word).rmdir()
    Path(word).symlink_to("nowhere")
    assert call(capsys, word)[0] == 1


@pytest.mark.parametrize("word", ["evaluat", "help", "evaluate"])
def test_after_run_nobody_asks(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = call(capsys, "run", word)
    assert (status, err) == (1, f"error: {word}: no such file or folder\n")


@pytest.mark.parametrize(
    "word",
    ["photo", "holiday", "evaluate.jpg", "data/x", "./trian", "*.jpg", "img001", "-", "дождь"],
)
def test_other_words_are_pictures(word: str) -> None:
    assert meant_by([word]) is None


def test_no_verb_stands_for_another() -> None:
    assert [meant_by([verb]) for verb in VERBS] == list(VERBS)
    assert meant_by(["help", "train"]) == "train --help"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data", "chekc", "x"], "error: no such command 'chekc'. Did you mean 'check'?"),
        (["weights", "lst"], "error: no such command 'lst'. Did you mean 'list'?"),
        (["data", "there"], "Did you mean 'derain data check there'?"),
        (["weights", "there"], "Did you mean 'derain weights show there'?"),
        (["weights", "petrichor"], "Did you mean 'derain weights show petrichor'?"),
        (["a.jpg", "-i", "b.jpg"], "error: no such option: -i; pictures are named"),
        (["-i", "b.jpg"], "error: no such option: -i; pictures are named"),
        (["a.jpg", "--input_dir", "x"], "error: no such option: --input_dir"),
        (["a.jpg", "--output_dir", "x"], "-o names the file or folder of the results"),
        (["a.jpg", "--gpu"], "--device cuda chooses the graphics card"),
        (["a.jpg", "-V"], "derain --version prints the version"),
        (["train", "petrichor", "--debug"], "DERAIN_TRACEBACK=1"),
        (["a.jpg", "--modle", "b"], "error: no such option: --modle"),
        (["a.jpg", "--format", "jgp"], "jgp: expected one of jpg"),
        (["a.jpg", "--format", "jgp"], "did you mean jpg?"),
        (["a.jpg", "-m", "best"], "best: no such weights, but there is a quality of this name"),
        (["a.jpg", "-m", "best"], "stands for petrichor-deep; ask for it by --quality"),
        (["a.jpg", "--quality", "petrichor"], "a model is named in place of a quality"),
        (["a.jpg", "--quality", "blanced"], "did you mean balanced?"),
        (["a.jpg", "-m", "petrichr-live"], "did you mean petrichor-live?"),
        (["a.jpg", "--dtype", "fp16"], "did you mean float16?"),
        (["a.jpg", "--dtype", "flaot32"], "did you mean float32?"),
        (["a.jpg", "--engine", "onx"], "did you mean onnx?"),
        (["a.jpg", "--device", "gpu"], "did you mean cuda?"),
        (["a.jpg", "--device", "cdua:1"], "did you mean cuda?"),
        (["a.jpg", "--tile", "31"], "--tile 31: expected at least 32 pixels"),
        (["a.jpg", "--tile", "-1"], "--tile -1: expected at least 32 pixels"),
        (["a.jpg", "--tile", "64", "--overlap", "17"], "--overlap 17: expected 0 to a quarter"),
        (["a.jpg", "--max-pixels", "many"], "--max-pixels many: expected a number of pixels"),
        (["a.jpg", "--tile", "big"], "error: --tile big: expected a whole number"),
        (["a.jpg", "--strength", "high"], "error: --strength high: expected a number"),
        (["bench", "--rounds", "0"], "error: --rounds 0: expected a whole number of at least 1"),
        (["a.jpg", "--tile"], "error: option '--tile' requires an argument; see derain run --help"),
        (["data", "check"], "error: expected a folder, a list of pairs, or --rainy DIR and"),
        (["a.jpg", "--max-pixels", "0"], "--max-pixels 0: expected a number of pixels"),
        (["a.jpg", "--strength", "2"], "--strength 2.0: expected 0 to 1.5"),
        (["evaluate", "petrichor", "there", "--layout", "folder"], "did you mean folders?"),
        (["evaluate", "petrichr", "there"], "did you mean petrichor?"),
        (["evaluate", "petrichor", "there", "--protocol", "y-matlb"], "did you mean y-matlab?"),
        (["evaluate", "petrichor", "there", "--dtype", "f16"], "did you mean float16?"),
        (["bench", "petrichor", "--dtype", "f16"], "did you mean float16?"),
        (["bench", "petrichr"], "did you mean petrichor?"),
    ],
)
def test_what_is_mistyped_says_what_may_be_meant(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **_settings: object) -> None:
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("derain.restore.open_model", fail)
    monkeypatch.setattr("derain.bench.timing.subprocess.run", fail)
    Path("there").mkdir()
    Path("a.jpg").write_bytes(b"")
    status, out, err = call(capsys, *arguments)
    assert out == ""
    assert status in (1, 2)
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", [("bench",), ("weights", "show"), ("weights", "cite")])
def test_verbs_without_qualities_name_the_weights(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = call(capsys, *verb, "fast")
    assert (status, out) == (2, "")
    expected = "fast: no such weights, but there is a quality of this name, which stands for"
    assert err == f"error: {expected} petrichor-live\n"


def test_options_are_answered_where_they_would_be_used() -> None:
    assert hint_for("--output_dir", "run") == hint_for("--output-dir", "run") != ""
    assert hint_for("--output-dir", "train") == ""
    assert hint_for("--force", "run") == ""
