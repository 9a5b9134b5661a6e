"""The command line: its verbs and flags, exit statuses, and every verb from end to end."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main
from drawn_rain import rain_on
from numpy.typing import NDArray
from PIL import Image

from derain import cli
from derain.cli.run import run
from derain.images import read_image, write_image
from derain.restore import load
from derain.weights import CATALOGUE, QUALITIES, Card, Quality, find_card

FLAGS = {
    "run": (
        "--as-clip --cluster --codec --colours --compare --crf --density --device --dtype --end"
        " --engine --force --format --mask --max-pixels --model --output --overlap --part"
        " --pixel-format --preset --preview --quality --rate --raw --resume --retries --start"
        " --strength --temporal --tile -m -o INPUTS"
    ),
    "train": (
        "--allow-leak --branch --clean --data --device --dtype --layout --licence --minutes"
        " --output --rainy --resume --set --val -o RECIPE"
    ),
    "data check": "--against --clean --force --json --layout --rainy FOLDER",
    "evaluate": (
        "--clean --csv --device --dtype --engine --force --json --layout --niqe --overlap"
        " --per-picture --protocol --rainy --report --save --save-niqe --tile INPUTS"
    ),
    "export": "--force --int8 --output --to -o MODEL",
    "synth": "--force --output --parts --preset --seed --textures -o CLEAN",
    "bench": "--device --dtype --engine --force --json --pictures --rounds --size --tile MODELS",
    "serve": (
        "--device --engine --host --max-bytes --max-pixels --model --name --port --queue --timeout"
        " --workers -m"
    ),
    "weights list": "",
    "weights show": "MODEL",
    "weights cite": "MODELS",
    "weights import": "--bgr --force --output -o CHECKPOINT",
}
"""Adding a verb or a flag is a decision: it is made here too."""
OF_EVERY_VERB = "--quiet --verbose -q -v"


def derain(
    *arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None
) -> "subprocess.CompletedProcess[bytes]":
    """Run the command in this process: its start would take most of the time of a test."""
    streams = [io.TextIOWrapper(io.BytesIO(data), write_through=True) for data in (stdin, b"", b"")]
    before, terminated = Path.cwd(), signal.getsignal(signal.SIGTERM)
    with pytest.MonkeyPatch.context() as patch:
        for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
            patch.setattr(sys, name, stream)
        patch.chdir(cwd or before)
        try:
            cli.main([str(argument) for argument in arguments])
            code: Any = 0
        except SystemExit as error:
            code = error.code or 0
        finally:
            signal.signal(signal.SIGTERM, terminated)
    written = [stream.buffer.getvalue() for stream in streams[1:]]
    return subprocess.CompletedProcess(list(arguments), code, *written)


@pytest.fixture
def picture(tmp_path: Path, photo: NDArray[np.uint8]) -> Path:
    write_image(tmp_path / "photo.png", photo[:40, :50])
    return tmp_path / "photo.png"


def make_pair(folder: Path, name: str, clean: NDArray[np.generic]) -> None:
    """Write a pair under drawn rain."""
    clean = clean.astype(np.uint8)
    for part, pixels in (("rainy", rain_on(clean, 0)), ("clean", clean)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        write_image(folder / part / name, pixels)


def test_verbs_and_flags_are_frozen() -> None:
    found: dict[str, str] = {}

    def walk(command: Any, path: str) -> None:
        if isinstance(getattr(command, "commands", None), dict):
            for name, child in command.commands.items():
                walk(child, f"{path} {name}".strip())
            return
        names = [
            name
            for parameter in command.params
            for name in (
                parameter.opts if parameter.opts[0][0] == "-" else [parameter.name.upper()]
            )
        ]
        found[path] = " ".join(sorted(name for name in names if name not in ("--help", "-h")))

    walk(typer.main.get_command(cli.make_app()), "")
    assert found == {
        verb: " ".join(sorted(f"{flags} {OF_EVERY_VERB}".split())) for verb, flags in FLAGS.items()
    }
    assert set(cli.VERBS) == {verb.split()[0] for verb in FLAGS}


def test_python_m_derain_is_the_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "derain", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.startswith("derain ")


def test_the_shell_completes_verbs_and_flags() -> None:
    def complete(words: str) -> list[str]:
        environment = os.environ | {
            "_DERAIN_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        command = [sys.executable, "-c", "from derain.cli import main; main()"]
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        return found.stdout.split()

    assert complete("derain ev") == ["evaluate"]
    assert "--preset" in complete("derain synth --pr")


def test_the_script_of_a_shell_is_printed() -> None:
    """As docs/guides/shell.md has it, for those who manage these files on their own."""
    code = "from derain.cli import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"_DERAIN_COMPLETE": "source_zsh"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.strip().startswith("#compdef derain")


def test_a_traceback_is_shown_where_the_environment_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    command = [sys.executable, "-m", "derain", "a.png", "none.png"]
    for value, shown in (("1", True), ("0", False)):
        result = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"DERAIN_TRACEBACK": value},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 1
        assert ("Traceback" in result.stderr and "in read" in result.stderr) == shown
        assert "error: a.png: an empty file; expected a picture" in result.stderr


def test_run_is_the_default_verb_and_paths_go_to_stdout(picture: Path) -> None:
    result = derain(picture)
    assert result.returncode == 0
    assert result.stdout.decode().split() == [str(picture.with_name("photo_derained.png"))]
    clean = read_image(picture.with_name("photo_derained.png"))
    assert clean.shape == (40, 50, 3)
    # Where the number format may be told first.
    told = derain("run", picture).stderr.decode().splitlines()
    assert any(line.startswith(f"skipped {picture}") for line in told)


def test_stdin_to_stdout(picture: Path) -> None:
    result = derain("-", stdin=picture.read_bytes())
    assert result.returncode == 0
    with Image.open(io.BytesIO(result.stdout)) as image:
        assert (image.format, image.size) == ("PNG", (50, 40))


def test_one_bad_file_is_named_and_the_others_done(picture: Path) -> None:
    (picture.parent / "bad.jpg").write_bytes(b"once upon a time")
    result = derain(picture.parent, "-o", picture.parent / "out")
    assert result.returncode == 1
    errors = [line for line in result.stderr.decode().splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert "bad.jpg: not a picture that can be read; expected JPEG" in errors[0]
    assert "1 done, 0 skipped because they already exist, 1 failed" in result.stderr.decode()
    assert (picture.parent / "out/photo.png").exists()


ERRORS = [
    (["none.jpg"], 1, "error: none.jpg: no such file or folder"),
    (
        ["photo.png", "-m", "nothing"],
        2,
        "error: nothing: no such weights; expected one of petrichor",
    ),
    (
        ["photo.png", "-m", "nledn-rain100h"],
        1,
        (
            "error: nledn-rain100h: these weights were retired and are no longer in the"
            " package; use nledn instead"
        ),
    ),
    (
        ["photo.png", "--quality", "good"],
        2,
        "error: --quality good: expected one of fast, balanced, best",
    ),
    (
        ["photo.png", "--quality", "fast", "-m", "petrichor"],
        2,
        (
            "error: --quality fast: chooses the model, but petrichor was named too; leave one"
            " of them out"
        ),
    ),
    (["photo.png", "--device", "tpu"], 2, "error: --device tpu: not available"),
    (
        ["photo.png", "--device", "coreml", "--engine", "onnx"],
        2,
        "error: --device coreml: not available in this ONNX Runtime; expected auto or one of: cpu",
    ),
    (["photo.png", "--format", "gif"], 2, "gif: expected one of jpg"),
    (["photo.png", "--tile", "3"], 2, "error: --tile 3: expected at least 32"),
    (["photo.png", "--nonsense"], 2, "error: no such option: --nonsense"),
    (["run"], 2, "error: missing argument 'PICTURE...'; see derain run --help"),
    (["evaluate", "nledn"], 2, "error: no folder of pairs among nledn"),
    (
        ["evaluate", "nledn", "Rain"],
        2,
        "error: no folder of pairs among nledn, Rain; there is no Rain",
    ),
    (["evaluate", "nledn", "Rain/"], 1, "error: Rain/: no such folder; expected one of pairs"),
    (
        ["evaluate", "nledn", ".", "--protocol", "psnr"],
        2,
        "error: --protocol psnr: expected one of y-matlab",
    ),
    (
        ["evaluate", "nledn", "."],
        1,
        "photographs without ground truth are scored with --niqe CLEAN",
    ),
    (
        ["evaluate", "nledn", ".", "--niqe", "none"],
        1,
        "error: none: no such folder of clean pictures",
    ),
    (
        ["evaluate", "nledn", ".", "--niqe", "photo.png"],
        1,
        "error: photo.png: not JSON; expected a NIQE model",
    ),
    (
        ["evaluate", "nledn", ".", "--niqe", "."],
        1,
        "error: photo.png: clean picture 1: 50x40 pixels; NIQE needs at least 96x96",
    ),
    (
        ["evaluate", "nledn", ".", "--save-niqe", "m.json"],
        2,
        "no model to write without --niqe CLEAN",
    ),
    (
        ["evaluate", "nledn", ".", "--niqe", ".", "--save-niqe", "-"],
        2,
        "only tables go to standard output; expected a file",
    ),
    (
        ["evaluate", "nledn", ".", "--layout", "heap"],
        2,
        "error: --layout heap: expected one of folders, flat",
    ),
    (
        ["data", "check", ".", "--layout", "flat"],
        1,
        "error: .: found no rainy and clean pictures in the layout flat",
    ),
    (["data", "check", "nowhere"], 1, "error: nowhere: no such folder"),
    (
        ["data", "check", ".", "--json", "photo.png"],
        1,
        "error: photo.png already exists; --force overwrites it",
    ),
    (
        ["photo.png", "--engine", "tensorrt"],
        2,
        "error: --engine tensorrt: expected auto or one of torch, onnx, openvino",
    ),
    (
        ["bench", "petrichor-live", "--size", "64"],
        2,
        "error: --size 64: expected WIDTHxHEIGHT in pixels",
    ),
    (
        ["bench", "nothing"],
        2,
        "error: nothing: no such weights",
    ),
    (["weights", "show", "nothing"], 2, "error: nothing: no such weights"),
    (["bench", "nope/"], 1, "error: nope/: no such file or folder; expected one of petrichor"),
    (["data", "check", "nope.csv"], 1, "error: nope.csv: no such list; expected one of pairs"),
    (
        ["run", "photo.png", "empty", "--cluster", "auto"],
        2,
        "error: --cluster auto: 2 inputs with it; expected one folder, or one address such as"
        " s3://bucket/rainy",
    ),
    (
        ["run", "-", "--cluster", "auto"],
        2,
        "error: --cluster auto: standard input with it; expected one folder, or one address such"
        " as s3://bucket/rainy",
    ),
    (
        ["run", "empty", "--cluster", ""],
        2,
        "error: --cluster : expected auto, HOST:PORT or ray://HOST:PORT",
    ),
    (
        ["run", "empty", "--cluster", "auto", "--compare"],
        2,
        "error: --compare: is not done with --cluster; leave one of them out",
    ),
    (
        ["run", "empty", "--cluster", "auto", "--codec", "av1"],
        2,
        "error: --codec: is not done with --cluster; leave one of them out",
    ),
    (
        ["run", "empty", "--cluster", "auto", "--retries", "99"],
        2,
        "error: --retries 99: expected 0 to 20",
    ),
    (
        ["run", "s3://bucket/in", "--cluster", "auto"],
        2,
        "error: s3://bucket/in: no results can lie beside it; say where with -o",
    ),
    (
        ["run", "photo.png", "--retries", "3"],
        2,
        "error: --retries: applies to --cluster, which is not given",
    ),
]
ERRORS_WITH_TORCH = [
    (["synth", "nope", "-o", "x"], 1, "error: nope: no such file or folder; expected clean"),
    (["photo.png", "--device", "mps"], 2, "error: --device mps: not available here"),
    (["train", "unet", "--data", "."], 2, "error: no recipe 'unet'; expected one of nledn, "),
    (
        ["train", "nledn-rain", "--data", "."],
        2,
        "error: no recipe 'nledn-rain'; did you mean nledn-rain100l?",
    ),
    (
        ["train", "nledn", "--data", "."],
        1,
        "no pictures to validate on; name a folder with --val",
    ),
    (
        ["train", "nledn", "--data", ".", "--set", "lr"],
        2,
        "error: --set lr: expected KEY=VALUE",
    ),
    (
        ["train", "nledn", "--data", ".", "--set", "lr=abc"],
        2,
        "error: --set lr=abc: expected a value like 0.001",
    ),
    (
        ["train", "nledn", "--data", ".", "--set", "batch=0"],
        2,
        "error: --set batch=0: expected a whole number of at least 1",
    ),
    (
        ["train", "nledn", "--data", "..", "--val", ".", "--layout", "heap"],
        2,
        "error: --layout heap: expected one of folders, flat",
    ),
    (
        ["synth", "photo.png", "-o", "x", "--preset", "snow"],
        2,
        "error: --preset snow: expected one of rain100l",
    ),
    (
        ["synth", "photo.png", "-o", "x", "--textures", "."],
        2,
        (
            "error: --textures: rain100l has no layers of textures; expected one of"
            " rain100l-textures"
        ),
    ),
    (
        ["synth", "photo.png", "-o", "x", "--preset", "downpour", "--textures", "none"],
        1,
        "error: none: no such folder; expected one of streak textures",
    ),
    (
        ["synth", "photo.png", "-o", "x", "--preset", "downpour", "--textures", "empty"],
        1,
        "error: empty: no pictures in it; expected grey streak textures",
    ),
    (
        ["export", "petrichor-live", "--to", "tflite"],
        2,
        "error: --to tflite: expected one of onnx, openvino",
    ),
    (
        ["export", "petrichor-live", "-o", "w.xml"],
        2,
        "error: -o w.xml: expected a name ending in .onnx",
    ),
    (
        ["export", "petrichor-live", "--int8", "empty"],
        1,
        "error: empty: no pictures here; expected some in ",
    ),
    (
        ["export", "petrichor-live", "--int8", "none"],
        1,
        "error: No such file or directory: none",
    ),
    (["weights", "import", "photo.png"], 1, "expected a PyTorch checkpoint"),
]
"""Of verbs and engines that need PyTorch; without it they say that (test_without_torch.py)."""


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [*ERRORS, *(pytest.param(*row, marks=pytest.mark.torch) for row in ERRORS_WITH_TORCH)],
)
def test_errors_are_one_line_with_the_right_status(
    arguments: list[str], status: int, message: str, picture: Path
) -> None:
    (picture.parent / "empty").mkdir()
    result = derain(*arguments, cwd=picture.parent)
    lines = result.stderr.decode().splitlines()
    assert result.returncode == status
    assert message in " ".join(lines)
    assert len([line for line in lines if line.startswith("error: ")]) <= 1
    # Neither a traceback nor the usage, which typer prints above its errors.
    assert not [line for line in lines if line.startswith(("Traceback", "Usage"))]


def test_a_killed_run_leaves_whole_files_and_goes_on(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    for k in range(30):
        write_image(tmp_path / f"in/{k}.png", photo[:64, :64])
    command = [
        sys.executable,
        "-c",
        "from derain.cli import main; main()",
        "run",
        str(tmp_path / "in"),
        "-o",
        str(tmp_path / "out"),
        "--engine",
        "onnx",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("out/*.png"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.wait()
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert 2 <= len(made) < 30
    for name in made:
        assert read_image(tmp_path / "out" / name).shape == (64, 64, 3)
    result = derain(tmp_path / "in", "-o", tmp_path / "out", "--engine", "onnx")
    assert result.returncode == 0
    assert f"{30 - len(made)} done, {len(made)} skipped" in result.stderr.decode()
    assert {name: (tmp_path / "out" / name).read_bytes() for name in made} == made


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="mounts a small file system, which takes root",
)
def test_a_full_disk_harms_nothing(picture: Path, tmp_path: Path) -> None:
    write_image(picture, np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8))
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("cannot mount here")
    try:
        result = derain(picture, "-o", small / "a.png")
        assert result.returncode == 1
        assert "No space left on device" in result.stderr.decode().splitlines()[-1]
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "arguments",
    [
        ["--version"],
        ["--help"],
        ["weights", "--help"],
        ["export", "--help"],
        ["weights", "list"],
        ["weights", "show", "petrichor"],
        ["weights", "cite"],
        pytest.param(["weights", "import", "w.pth"], marks=pytest.mark.torch),
    ],
)
def test_what_cannot_be_printed_is_one_line(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if "import" in arguments:
        import torch

        from derain.networks import PetrichorLive

        torch.save({"net": PetrichorLive().state_dict()}, "w.pth")

    def ignore(*_: object) -> None:
        pass

    monkeypatch.setattr(signal, "signal", ignore)
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
    assert ended.value.code == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == [
        "error: No space left on device: standard output"
    ]


@pytest.mark.skipif(os.name == "nt", reason="its pipes end otherwise")
@pytest.mark.parametrize(
    "arguments", ["--help", "--version", "weights show crdnet", "weights cite"]
)
def test_a_reader_who_has_seen_enough_hears_nothing(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ignore(*_: object) -> None:
        pass

    monkeypatch.setattr(signal, "signal", ignore)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as nobody_reads:
        monkeypatch.setattr(sys, "stdout", nobody_reads)
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments.split())
    assert (ended.value.code, capsys.readouterr().err) == (1, "")


@pytest.mark.torch
def test_synth_evaluate_train_and_run_what_was_trained(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for name, part in (("train", photo[:48, :48]), ("val", photo[70:118, 90:138])):
        (tmp_path / "clean" / name).mkdir(parents=True)
        write_image(tmp_path / "clean" / name / "1.png", part)
    result = derain(
        "synth",
        tmp_path / "clean/val",
        "-o",
        tmp_path / "pairs",
        "--preset",
        "rain100h",
        "--seed",
        "7",
    )
    assert result.stdout.decode().split() == [str(tmp_path / "pairs/rainy/1.png")]
    first = (tmp_path / "pairs/rainy/1.png").read_bytes()
    derain(
        "synth",
        tmp_path / "clean/val",
        "-o",
        tmp_path / "again",
        "--preset",
        "rain100h",
        "--seed",
        "7",
    )
    assert (tmp_path / "again/rainy/1.png").read_bytes() == first
    settings = ["steps=2", "batch=1", "crop=16", "validate_every=2", "validation_crop=32"]
    trained = derain(
        "train",
        "nledn",
        "--data",
        tmp_path / "clean",
        "-o",
        tmp_path / "run",
        *[a for s in settings for a in ("--set", s)],
    )
    assert trained.returncode == 0, trained.stderr.decode()
    best = trained.stdout.decode().strip()
    report = tmp_path / "scores.json"
    scored = derain(
        "evaluate",
        best,
        "nledn",
        tmp_path / "pairs",
        "--json",
        report,
        "--save",
        tmp_path / "out",
        "--protocol",
        "rgb",
    )
    assert scored.returncode == 0, scored.stderr.decode()
    assert (
        scored.stdout.decode()
        .splitlines()[0]
        .startswith("| model | dataset | pictures | rgb | parameters | multiply-adds |")
    )
    assert len(json.loads(report.read_text())) == 2
    assert (tmp_path / "out/nledn/pairs/1.png").exists()
    assert derain(tmp_path / "pairs/rainy/1.png", "-m", best).returncode == 0


@pytest.mark.torch
def test_train_a_trunk_branch_it_and_run_what_came_out(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for name, part in (("train", photo[:48, :48]), ("val", photo[70:118, 90:138])):
        (tmp_path / "clean" / name).mkdir(parents=True)
        write_image(tmp_path / "clean" / name / "1.png", part)
    settings = [
        "steps=20",
        "batch=1",
        "crop=16",
        "validate_every=10",
        "validation_crop=32",
        "schedule=trunk",
    ]
    train = ["train", "petrichor-live", "--data", tmp_path / "clean"]
    trunk = derain(*train, "-o", tmp_path / "trunk", *[a for s in settings for a in ("--set", s)])
    assert trunk.returncode == 0, trunk.stderr.decode()
    assert "warning: mixed: rain is drawn without streak textures" in trunk.stderr.decode()
    command = [*train, "--branch", "trunk", "--set", "min_lr=1e-5"]
    branch = derain(*command, cwd=tmp_path)
    assert branch.returncode == 0, branch.stderr.decode()
    assert "; 2 steps on " in branch.stderr.decode()
    best = branch.stdout.decode().strip()
    assert best == "runs/petrichor-live-branch/best.safetensors"
    again = derain(*command, "--resume", cwd=tmp_path)
    assert again.returncode == 0, again.stderr.decode()
    changed = derain(*train, "--branch", "trunk", "--resume", "--set", "lr=1e-3", cwd=tmp_path)
    assert changed.returncode == 1
    assert "was begun with lr=0.0015; give the same" in changed.stderr.decode()
    write_image(tmp_path / "rainy.png", photo[:40, :50])
    assert derain("run", "rainy.png", "-m", best, "-o", "out.png", cwd=tmp_path).returncode == 0
    assert read_image(tmp_path / "out.png").shape == (40, 50, 3)
    for arguments, message in (
        (
            ["petrichor", "--branch", "trunk"],
            "--branch trunk: is a trunk of petrichor-live; expected one of petrichor",
        ),
        (
            ["petrichor-live", "--branch", Path("runs/petrichor-live-branch")],
            "schedule=branch; expected schedule=trunk",
        ),
        (
            ["petrichor-live", "--branch", "nowhere"],
            "nowhere: no such checkpoint; expected one that derain train wrote",
        ),
    ):
        refused = derain(
            "train",
            *arguments,
            "--data",
            tmp_path / "clean",
            "-o",
            tmp_path / "other",
            cwd=tmp_path,
        )
        assert refused.returncode in (1, 2)
        assert message in " ".join(refused.stderr.decode().split())
        assert "Traceback" not in refused.stderr.decode()


def test_data_check_says_what_is_wrong(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    write_image(tmp_path / "clean.png", photo)
    write_image(tmp_path / "mirrored.jpg", np.ascontiguousarray(photo[:, ::-1]))
    for name, source in (("val", "clean.png"), ("train", "mirrored.jpg")):
        make_pair(tmp_path / name, f"{Path(source).stem}.png", read_image(tmp_path / source))
    good = derain("data", "check", tmp_path / "val", "--json", tmp_path / "report.json")
    assert good.returncode == 0, good.stderr.decode()
    assert good.stdout.decode().startswith("val: no dataset known here, 1 pair, data ")
    assert json.loads((tmp_path / "report.json").read_text())["sound"] is True
    bad = derain("data", "check", tmp_path / "val", "--against", tmp_path / "train", "--json", "-")
    assert bad.returncode == 1
    (leak,) = json.loads(bad.stdout)["problems"]
    assert leak["kind"] == "leak"
    assert leak["files"] == [
        str(tmp_path / "val/clean/clean.png"),
        str(tmp_path / "train/clean/mirrored.png"),
    ]
    text = derain(
        "data", "check", tmp_path / "val", "--against", tmp_path / "train"
    ).stdout.decode()
    assert "UNSOUND: leak (1)" in text
    assert text.splitlines()[-1] == "not sound to train on"


@pytest.mark.torch
def test_train_refuses_a_leak_unless_told(photo: NDArray[np.uint8], tmp_path: Path) -> None:
    for name, part in (("train", photo), ("val", photo[10:-5, 8:-20])):
        (tmp_path / name).mkdir()
        write_image(tmp_path / name / f"{name}.png", part)
    settings = ["steps=2", "batch=1", "crop=16", "validate_every=2", "validation_crop=32"]
    command = [
        "train",
        "nledn",
        "--data",
        tmp_path,
        "-o",
        tmp_path / "run",
        *[a for s in settings for a in ("--set", s)],
    ]
    refused = derain(*command)
    assert refused.returncode == 1
    (line,) = [line for line in refused.stderr.decode().splitlines() if line.startswith("error")]
    assert "1 validation picture is among the training pictures" in line
    assert "val.png" in line
    assert "--allow-leak" in line
    assert not (tmp_path / "run").exists()
    allowed = derain(*command, "--allow-leak")
    assert allowed.returncode == 0, allowed.stderr.decode()
    assert "warning: 1 validation picture is among the training pictures" in allowed.stderr.decode()
    resumed = derain(*command, "--resume")
    assert resumed.returncode == 1
    assert "--allow-leak" in resumed.stderr.decode()


def test_evaluate_takes_lists_and_pictures_side_by_side(
    photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    make_pair(tmp_path / "pairs", "1.png", photo[:40, :40])
    (tmp_path / "pairs/list.txt").write_text("rainy/1.png\tclean/1.png\n")
    both = [read_image(tmp_path / "pairs" / half / "1.png") for half in ("clean", "rainy")]
    (tmp_path / "double").mkdir()
    write_image(tmp_path / "double/1.png", np.concatenate(both, axis=1))
    scores = [
        json.loads(
            derain(
                "evaluate", "petrichor-live", *arguments, "--json", "-", "--protocol", "rgb"
            ).stdout
        )[0]["mean"]
        for arguments in (
            [tmp_path / "pairs"],
            [tmp_path / "pairs/list.txt"],
            [tmp_path / "double", "--layout", "rainy-right"],
        )
    ]
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.torch
def test_validation_pictures_are_not_trained_on(picture: Path) -> None:
    (picture.parent / "val").mkdir()
    write_image(picture.parent / "val/1.png", np.zeros((32, 32, 3), np.uint8))
    result = derain("train", "nledn", "--data", picture.parent)
    assert result.returncode == 2
    assert "lies inside the training pictures" in result.stderr.decode()


@pytest.mark.torch
def test_weights_import_show_and_use(reference_data: Path, picture: Path, tmp_path: Path) -> None:
    checkpoint = reference_data / "published-weights/nledn/net_Rain100L.pth"
    result = derain("weights", "import", checkpoint, "-o", tmp_path / "w.safetensors")
    assert result.stdout.decode().strip() == str(tmp_path / "w.safetensors")
    assert (
        "published by the authors"
        in derain("weights", "show", tmp_path / "w.safetensors").stdout.decode()
    )
    derain(picture, "-m", tmp_path / "w.safetensors", "-o", tmp_path / "a.png")
    derain(picture, "-m", checkpoint, "-o", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.torch
def test_several_models_and_datasets_in_one_table_of_every_kind(
    golden: Path, photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    (tmp_path / "clean").mkdir()
    write_image(tmp_path / "clean/1.png", photo[:40, :40])
    for name in ("Rain100L", "other"):
        derain("synth", tmp_path / "clean", "-o", tmp_path / name)
    inputs = [
        "nledn",
        golden / "remaen/ReMAEN.index",
        golden / "crdnet",
        tmp_path / "Rain100L",
        tmp_path / "other",
    ]
    result = derain(
        "evaluate", *inputs, "--csv", "-", "--json", tmp_path / "s.json", "--protocol", "rgb"
    )
    assert result.returncode == 0, result.stderr.decode()
    rows = list(csv.DictReader(io.StringIO(result.stdout.decode())))
    models = ["nledn", "ReMAEN.index", "crdnet"]
    assert [(row["model"], row["dataset"]) for row in rows] == [
        (m, d) for m in models for d in ("Rain100L", "other")
    ]
    assert [row["paper_psnr"] for row in rows] == ["36.57", "", "37.80", "", "", ""]
    assert len(json.loads((tmp_path / "s.json").read_text())) == 6
    wrong = derain("evaluate", *inputs, "--csv", "-", "--json", "-")
    assert wrong.returncode == 2
    again = derain("evaluate", *inputs, "--json", tmp_path / "s.json")
    assert "s.json already exists; --force overwrites it" in again.stderr.decode()


def test_photographs_are_scored_by_niqe(
    crops: list[NDArray[np.uint8]], photo: NDArray[np.uint8], tmp_path: Path
) -> None:
    for folder in ("clean", "street photos"):
        (tmp_path / folder).mkdir()
    for k, crop in enumerate(crops):
        write_image(tmp_path / f"clean/{k}.png", crop)
    write_image(tmp_path / "street photos/a.png", np.concatenate([photo, photo])[:192, :96])
    (tmp_path / "street photos/b.jpg").write_bytes(b"once upon a time")
    command = ["evaluate", "petrichor-live", tmp_path / "street photos"]
    result = derain(
        *command,
        "--niqe",
        tmp_path / "clean",
        "--save-niqe",
        tmp_path / "m.json",
        "--csv",
        tmp_path / "s.csv",
    )
    assert result.returncode == 1
    errors = [line for line in result.stderr.decode().splitlines() if line.startswith("error")]
    assert len(errors) == 1
    assert "b.jpg: not a picture that can be read" in errors[0]
    assert "1 of 2 could not be scored" in result.stderr.decode()
    lines = result.stdout.decode().splitlines()
    assert lines[0].startswith("| model | dataset | pictures | niqe | parameters |")
    assert lines[3].startswith("| petrichor-live | street photos | 1 of 2 | ")
    assert load("petrichor-live", device="cpu").describe() in lines[5]
    assert lines[6].startswith(
        "street photos: photographs without ground truth, 2 pictures, sha256 "
    )
    assert lines[7].startswith("NIQE, lower is better: fitted on 48 clean pictures, ")
    (tmp_path / "street photos/b.jpg").unlink()
    again = derain(*command, "--niqe", tmp_path / "m.json", "--csv", "-")
    assert again.returncode == 0, again.stderr.decode()
    (row,), (first,) = (
        csv.DictReader(io.StringIO(text))
        for text in (again.stdout.decode(), (tmp_path / "s.csv").read_text())
    )
    assert float(row["niqe"]) == float(first["niqe"]) > 0
    assert row["niqe_model"] == first["niqe_model"]
    there = derain(*command, "--niqe", tmp_path / "clean", "--save-niqe", tmp_path / "m.json")
    assert "m.json already exists; --force overwrites it" in there.stderr.decode()


def test_one_bad_pair_is_named_and_the_others_scored(pairs: Path, tmp_path: Path) -> None:
    bad = shutil.copytree(pairs, tmp_path / "bad")
    (pairs / "rainy/1.png").write_bytes((pairs / "rainy/1.png").read_bytes()[:900])
    for path in (bad / "clean").iterdir():
        path.write_bytes(b"")
    result = derain(
        "evaluate", "petrichor-live", bad, pairs, "--protocol", "rgb", "--json", tmp_path / "s.json"
    )
    assert result.returncode == 1
    errors = [line for line in result.stderr.decode().splitlines() if line.startswith("error")]
    assert len(errors) == 4
    assert "bad/clean/1.png: an empty file" in errors[0]
    assert "bad: not one of 2 pictures could be scored" in errors[2]
    assert "set/rainy/1.png: a damaged or truncated PNG picture" in errors[3]
    assert result.stdout.decode().splitlines()[3].startswith("| petrichor-live | set | 1 of 2 | ")
    (scores,) = json.loads((tmp_path / "s.json").read_text())
    assert (scores["dataset"], scores["unscored"]) == ("set", ["1"])


@pytest.mark.torch
def test_density_is_told_for_each_picture(picture: Path, tmp_path: Path) -> None:
    result = derain("--density", "-m", "crdnet", picture, "-o", tmp_path / "a.png")
    assert result.returncode == 0, result.stderr.decode()
    target, word = result.stdout.decode().strip().split("\t")
    assert target == str(tmp_path / "a.png")
    assert word in ("none", "light", "medium", "heavy")
    assert f"{picture}: rain density {word} (light " in result.stderr.decode()
    plain = derain("-m", "crdnet", picture, "-o", tmp_path / "b.png")
    assert plain.stdout.decode().strip() == str(tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    wrong = derain("--density", picture, "-o", tmp_path / "c.png")
    assert wrong.returncode == 2
    assert (
        "--density: petrichor cannot measure rain density; expected CRDNet's weights with a"
        in wrong.stderr.decode()
    )
    assert not (tmp_path / "c.png").exists()


@pytest.mark.torch
@pytest.mark.parametrize(
    ("name", "network"),
    [("remaen/ReMAEN.index", "remaen"), ("remaen/ReMAEN", "remaen"), ("crdnet", "crdnet")],
)
def test_weights_import_what_is_more_than_a_file(
    name: str, network: str, golden: Path, picture: Path, tmp_path: Path
) -> None:
    result = derain("weights", "import", golden / name, cwd=tmp_path)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.decode().strip() == f"{Path(name).stem}.safetensors"
    assert f"the authors' {network}" in result.stderr.decode()
    derain(picture, "-m", tmp_path / f"{Path(name).stem}.safetensors", "-o", tmp_path / "a.png")
    derain(picture, "-m", golden / name, "-o", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.torch
@pytest.mark.parametrize(("to", "files"), [("onnx", ["w.onnx"]), ("openvino", ["w.bin", "w.xml"])])
def test_exported_files_are_used_as_weights_are(
    to: str, files: list[str], picture: Path, pairs: Path, tmp_path: Path
) -> None:
    pytest.importorskip(to)
    path = tmp_path / "exported" / files[-1]
    path.parent.mkdir()
    result = derain("export", "petrichor-live", "--to", to, "-o", path)
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.decode() == f"{path}\n"
    assert (
        "from PyTorch in the mean; sizes are free, sides multiples of 8" in result.stderr.decode()
    )
    assert sorted(found.name for found in path.parent.iterdir()) == files
    assert derain(picture, "-m", path, "-o", tmp_path / "a.png").returncode == 0
    usual = load("petrichor-live", device="cpu")(read_image(picture))
    assert np.abs(read_image(tmp_path / "a.png").astype(int) - usual).max() <= 1
    if to == "onnx":
        scored = derain(
            "evaluate", path, "petrichor-live", pairs, "--csv", "-", "--protocol", "rgb"
        )
        assert scored.returncode == 0, scored.stderr.decode()
        rows = csv.DictReader(io.StringIO(scored.stdout.decode()))
        assert [row["parameters"] for row in rows] == ["253356", "253356"]


@pytest.mark.torch
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_export_twice_says_that_it_is_done(to: str, tmp_path: Path) -> None:
    pytest.importorskip(to)
    first, second = (derain("export", "petrichor-live", "--to", to, cwd=tmp_path) for _ in "ab")
    assert (first.returncode, second.returncode) == (0, 0), second.stderr.decode()
    assert second.stdout == first.stdout
    (file,) = first.stdout.decode().splitlines()
    said = second.stderr.decode()
    assert f"{file}: already exported from these weights; --force exports them again" in said
    other = derain("export", "petrichor", "--to", to, "-o", file, cwd=tmp_path)
    assert other.returncode == 1
    expected = f"error: {file} already exists and holds something else; --force overwrites it"
    assert expected in other.stderr.decode()


@pytest.mark.torch
def test_import_twice_says_that_it_is_done(tmp_path: Path) -> None:
    import torch

    from derain.networks import PetrichorLive

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        torch.save({"net": PetrichorLive().state_dict()}, tmp_path / name / "w.pth")
    first, second = (derain("weights", "import", "a/w.pth", cwd=tmp_path) for _ in "ab")
    assert (first.returncode, second.returncode) == (0, 0), second.stderr.decode()
    assert second.stdout == first.stdout == b"w.safetensors\n"
    assert "w.safetensors: already imported, the same weights; --force" in second.stderr.decode()
    other = derain("weights", "import", "b/w.pth", cwd=tmp_path)
    assert other.returncode == 1
    assert (
        "error: w.safetensors already exists and holds something else; --force overwrites it"
        in other.stderr.decode()
    )
    assert derain("weights", "import", "b/w.pth", "--force", cwd=tmp_path).returncode == 0


@pytest.mark.torch
def test_import_does_not_overwrite_what_is_imported(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from derain.networks import PetrichorLive

    save_file(PetrichorLive().state_dict(), tmp_path / "w.safetensors")
    before = (tmp_path / "w.safetensors").read_bytes()
    itself = derain("weights", "import", "w.safetensors", "--force", cwd=tmp_path)
    assert itself.returncode == 2
    assert "w.safetensors: is what would be imported; name another file" in itself.stderr.decode()
    assert (tmp_path / "w.safetensors").read_bytes() == before
    absent = derain("weights", "import", "absent.safetensors", cwd=tmp_path)
    assert (absent.returncode, absent.stdout) == (1, b"")
    assert absent.stderr == b"error: absent.safetensors: no such weights file\n"


@pytest.mark.torch
def test_import_does_not_take_a_card_away(tmp_path: Path) -> None:
    shutil.copy(CATALOGUE["petrichor-live"].path, tmp_path / "w.safetensors")
    result = derain("weights", "import", "w.safetensors", "-o", "a.safetensors", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, b"")
    expected = "w.safetensors: already a weights file of derain's, with a card; use it as it is"
    assert result.stderr.decode() == f"error: {expected}\n"
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.torch
@pytest.mark.parametrize("verb", [("weights", "import"), ("export",)])
@pytest.mark.parametrize("name", ["w.onnx", "w.xml"])
def test_an_exported_file_is_not_taken_for_weights(
    verb: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    if name == "w.onnx":
        shutil.copy(CATALOGUE["petrichor-live"].graph_path, tmp_path / name)
    else:
        (tmp_path / name).write_text('<?xml version="1.0"?><net name="w" version="11"></net>')
    suffix = ".onnx" if verb == ("export",) else ".safetensors"
    result = derain(*verb, name, "-o", f"a{suffix}", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (1, b"")
    said = f"{name}: expected weights, found an exported file; name the weights that it was"
    assert result.stderr.decode() == f"error: {said} exported from\n"


@pytest.mark.torch
@pytest.mark.parametrize("verb", [("weights", "import"), ("export",)])
def test_a_place_that_cannot_be_is_known_before_the_work(
    verb: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "w.pth").write_bytes(b"")
    (tmp_path / "file").write_bytes(b"")
    source, suffix = ("w.pth", ".safetensors") if verb[0] == "weights" else ("petrichor", ".onnx")
    result = derain(*verb, source, "-o", f"file/w{suffix}", cwd=tmp_path)
    assert result.returncode == 1
    assert "file" in result.stderr.decode()
    assert "damaged" not in result.stderr.decode()
    assert len(result.stderr.decode().splitlines()) == 1


@pytest.mark.torch
@pytest.mark.parametrize("there", ["petrichor-live.xml", "petrichor-live.bin"])
def test_export_overwrites_nothing_unasked(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_bytes(b"once upon a time")
    result = derain("export", "petrichor-live", "--to", "openvino", cwd=tmp_path)
    assert result.returncode == 1
    assert f"error: {there} already exists; --force overwrites it" in result.stderr.decode()
    assert (tmp_path / there).read_bytes() == b"once upon a time"


def test_weights_list_marks_the_one_that_run_takes() -> None:
    marked = [
        line
        for line in derain("weights", "list").stdout.decode().splitlines()
        if line.endswith("(default)")
    ]
    assert [line.split()[0] for line in marked] == [load(device="cpu").name]
    assert f"Default: {load(device='cpu').name}." in " ".join(
        derain("run", "--help").stdout.decode().split()
    )


@pytest.mark.parametrize("columns", [60, 300])
def test_weights_list_is_a_table(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    result = derain("weights", "list")
    lines, said = (text.decode().splitlines() for text in (result.stdout, result.stderr))
    assert said[0].split()[:6] == ["weights", "million", "MB", "s/MP", "light", "heavy"]
    rows = [line for line in lines if not line.startswith(" ")]
    assert [line.split()[0] for line in rows] == list(CATALOGUE)
    assert len(rows) == (len(lines) if columns == 300 else len(lines) / 2)
    # Figures stand below their headings.
    end = said[0].index("MB") + 2
    assert all(line[end - 3 : end].strip().replace(".", "").isdecimal() for line in rows)
    assert all(len(line) <= columns for line in lines)
    assert said[-1].startswith("Measured: ")


@pytest.mark.parametrize(
    ("quality", "model"), [("fast", "petrichor-live"), ("balanced", "petrichor")]
)
def test_a_quality_chooses_the_model(
    quality: str, model: str, picture: Path, tmp_path: Path
) -> None:
    result = derain(picture, "--quality", quality, "-o", tmp_path / "a.png")
    assert result.returncode == 0, result.stderr.decode()
    assert result.stdout.decode() == f"{tmp_path / 'a.png'}\n"
    assert f"quality {quality}: {model}" in result.stderr.decode().splitlines()
    named = derain(picture, "-m", model, "-o", tmp_path / "b.png")
    assert not any(line.startswith("quality") for line in named.stderr.decode().splitlines())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_quality_may_average_over_flips(
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(QUALITIES, "best", Quality("petrichor-live", flips=4))
    run(
        [str(picture)],
        quality="best",
        output=str(tmp_path / "a.png"),
        device="cpu",
        dtype="float32",
    )
    assert "quality best: petrichor-live, mean of 4 flips" in capsys.readouterr().err.splitlines()
    expected = load("petrichor-live", device="cpu", dtype="float32", flips=4)(read_image(picture))
    assert np.array_equal(read_image(tmp_path / "a.png"), expected)


def test_help_names_every_quality() -> None:
    text = " ".join(derain("run", "--help").stdout.decode().split())
    *others, last = QUALITIES
    assert f"{', '.join(others)} or {last}, instead of -m." in text


def test_weights_cite_prints_the_papers_once_and_derain() -> None:
    text = derain("weights", "cite", "dpenet", "petrichor", "petrichor-deep").stdout.decode()
    assert re.findall(r"^@\w+\{(\w+),$", text, re.M) == ["gao2024heavy", "derain"]
    alone = derain("weights", "cite").stdout.decode()
    assert re.findall(r"^@\w+\{(\w+),$", alone, re.M) == ["derain"]
    failed = derain("weights", "cite", "nothing")
    assert failed.returncode == 2
    assert failed.stdout == b""
    assert failed.stderr.startswith(b"error: nothing: no such weights")


@pytest.mark.torch
def test_a_card_commands_no_terminal(tmp_path: Path) -> None:
    from derain.networks import PetrichorLive
    from derain.weights import store

    card = replace(find_card("petrichor-live"), note="\x1b]0;title\x07\x1b[2J a\nb")
    store.save(PetrichorLive(), card, tmp_path / "w.safetensors")
    shown = derain("weights", "show", tmp_path / "w.safetensors").stdout.decode()
    assert "note             \\x1b]0;title\\x07\\x1b[2J a\\nb\n" in shown
    assert "\x1b" not in shown


@pytest.mark.torch
@pytest.mark.parametrize("name", ["../evil", "", "..", "\x1b[2J", "a\0b"])
def test_a_card_chooses_no_place_for_what_is_exported(name: str, tmp_path: Path) -> None:
    from derain.networks import PetrichorLive
    from derain.weights import store

    card = replace(find_card("petrichor-live"), name=name)
    store.save(PetrichorLive(), card, tmp_path / "in/w.safetensors")
    (tmp_path / "in/here").mkdir()
    exported = derain("export", "../w.safetensors", cwd=tmp_path / "in/here")
    assert exported.returncode == 0, exported.stderr.decode()
    assert exported.stdout == b"w.onnx\n"
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["w.onnx", "w.safetensors"]


@pytest.mark.torch
def test_a_card_commands_no_terminal_when_its_weights_are_used(
    picture: Path, tmp_path: Path
) -> None:
    from derain.networks import PetrichorLive
    from derain.weights import store

    card = replace(find_card("petrichor-live"), name="\x1b[2J")
    store.save(PetrichorLive(), card, tmp_path / "w.safetensors")
    said = derain(picture, "-v", "-m", tmp_path / "w.safetensors").stderr.decode()
    assert "\\x1b[2J: " in said
    assert "\x1b" not in said


def test_weights_show_a_card() -> None:
    text = derain("weights", "show", "nledn").stdout.decode()
    assert "licence          Apache-2.0" in text
    assert "Rain100L-dev10 y-matlab" in text
    shown = re.findall(r"^(\w+)  ", text, re.M)
    assert shown[:2] == ["name", "network"]
    assert shown.index("failures") < shown.index("scores") < shown.index("recipe")
    card = find_card("nledn")
    assert set(shown) == {field.name for field in fields(Card) if getattr(card, field.name)}
