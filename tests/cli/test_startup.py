"""What commands load before they do anything, and how the process ends."""

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from derain.cli.startup import lasting

HEAVY = {"PIL", "cv2", "numpy", "onnxruntime", "pydantic", "rich", "safetensors", "torch"}
LISTING = """
import sys
from derain.cli import main
try:
    main(sys.argv[1:])
finally:
    print("", *sys.modules, file=sys.stderr)
"""


def python(
    code: str, *arguments: str | Path, stdout: int = subprocess.PIPE
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    # Results wait in a buffer, as they do for users, unless the environment forbids it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, env=environment
    )


def loaded_by(*arguments: str) -> tuple[set[str], set[str]]:
    """Return the top packages and the verbs of derain that a command loads."""
    result = python(LISTING, *arguments)
    assert result.returncode in (0, 1, 2), result.stderr
    modules = result.stderr.splitlines()[-1].split()
    verbs = {name.rpartition(".")[2] for name in modules if name.startswith("derain.cli.")}
    return {name.partition(".")[0] for name in modules}, verbs


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["weights", "--help"],
        ["evaluate", "--help"],
        ["photo.jpg", "--nonsense"],
        ["photo.jpg", "--format", "gif"],
        ["weights", "list"],
    ],
)
def test_commands_that_do_not_work_on_pictures_load_nothing_heavy(arguments: list[str]) -> None:
    packages, _ = loaded_by(*arguments)
    assert "derain" in packages
    assert not HEAVY & packages


@pytest.mark.parametrize(
    "arguments",
    [
        ["none.jpg"],
        ["none/*.jpg"],
        ["README.md", "-m", "nothing"],
        ["README.md", "--tile", "3"],
        ["README.md", "--device", "tpu"],
        ["README.md", "--dtype", "half"],
        ["README.md", "-o", "clean.heic"],
        ["README.md", "--format", "png", "-o", "a.jpg"],
        ["README.md", "--max-pixels", "many"],
        ["/"],
        ["evaluate", "nothing", "docs"],
        ["evaluate", "petrichor", "docs", "--tile", "3"],
        ["evaluate", "petrichor", "docs", "--json", "a.csv"],
        ["bench", "nothing"],
    ],
)
def test_what_is_wrong_is_said_before_a_model_or_its_engine_is_loaded(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    packages, _ = loaded_by(*arguments)
    assert not {"torch", "onnxruntime", "rich"} & packages


@pytest.mark.parametrize("arguments", [["evaluat", "x"], ["help"], ["-q", "trian"]])
def test_a_mistyped_verb_is_answered_by_itself(arguments: list[str]) -> None:
    packages, _ = loaded_by(*arguments)
    assert not HEAVY & packages


def test_no_command_loads_what_draws_bars_where_none_are_seen() -> None:
    packages, _ = loaded_by("weights", "show", "petrichor")
    assert not {"rich", "pydantic"} & packages


def test_only_the_verb_that_is_called_is_loaded() -> None:
    _, verbs = loaded_by("weights", "--help")
    assert "weights" in verbs
    assert not {"run", "train", "evaluate", "synth", "data", "export", "bench"} & verbs


@pytest.fixture
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("unfrozen")
def test_what_is_imported_is_not_searched_for_garbage() -> None:
    before = gc.get_freeze_count()
    with lasting():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > before


END = """
import atexit, sys, threading, time
from derain.cli.startup import QuickEnd

class Freed:
    def __del__(self):
        print("freed")

kept = Freed()
end = QuickEnd()
atexit.register(print, "at the end")

def work():
    time.sleep(0.2)
    print("worked")

threading.Thread(target=work).start()
sys.stdout.write("a result\\n")
"""


def test_the_end_is_quick_after_threads_and_functions_for_it() -> None:
    quick = python(f"{END}\nend.exit(3)")
    assert (quick.returncode, quick.stderr) == (3, "")
    assert quick.stdout == "a result\nworked\nat the end\n"
    # Without it Python frees what is left, one by one.
    usual = python(f"{END}\nsys.exit(3)")
    assert usual.returncode == 3
    assert usual.stdout == "a result\nworked\nat the end\nfreed\n"


@pytest.mark.usefixtures("unfrozen")
def test_garbage_is_collected_again_after_a_failed_import() -> None:
    with pytest.raises(ImportError), lasting():
        raise ImportError
    assert gc.isenabled()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_a_result_that_cannot_be_written_is_no_success() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code = "from derain.cli.startup import QuickEnd; end = QuickEnd(); print(1); end.exit(0)"
        result = python(code, stdout=full)
    finally:
        os.close(full)
    assert result.returncode == 120
    assert "No space left on device" in result.stderr
