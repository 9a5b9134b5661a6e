"""Every command of the pages is run with small files, or is parsed and marked as an example.

Files and folders that a command names are made for it: pictures of 48x40 pixels, folders of two
pairs. What stands beside derain in a line (pip, curl, FFmpeg) is not run. A block is an example if
the line above it is a comment such as ``<!-- example: it needs a GPU -->``, or if `EXAMPLES` says
so.
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from commands import status_of
from documents import ROOT, Block, blocks, commands, name_of, pages
from numpy.typing import NDArray
from PIL import Image

from derain import cli
from derain.cli.words import GROUP_DEFAULTS
from derain.extras import is_installed
from derain.images import write_image

PROGRAMS = (
    *("pip", "pytest", "mkdocs", "curl", "docker", "ffmpeg", "git", "cd", "cat", "man"),
    *("python", "python3", "torchrun", "openssl", "npm", "."),
)
"""What may stand in a block of shell code beside derain."""

ELSEWHERE = {
    "docs/guides/ffmpeg.md": "tests/clips/test_ffmpeg_guide.py runs it",
    "docs/guides/networks.md": "tests/networks/test_network.py runs it",
}

EXAMPLES = {
    r"derain INPUT|\bDIR/": "it is a pattern, not a command",
    r"derain (train|bench|serve)\b": "it takes minutes, or runs until it is stopped",
    r"--niqe|natural\.json": "it needs hundreds of clean pictures",
    r"--against|data check": "the files of the test are no data set",
    r"\.pth|\.index|runs/": "it needs a checkpoint that is not here",
    r"streaks/": "it needs streak textures",
    r"/shared/|\$|://": "it needs other machines",
    r"--as-clip|frames/%|frames\b.*-o|clip\.mp4|\.gif": "tests/clips and tests/cli try clips",
    r"\|": "tests/cli/test_cli_pipes.py tries pipes",
    r"--temporal|--raw": "tests/cli/test_cli_clips.py tries frames",
    r"--int8": "tests/engines/test_quantize.py tries it",
    r"remaen|nledn": "these networks take long",
    r"export|\.onnx|\.xml": "tests/engines/test_export.py tries it",
    r"-m crdnet --density|--report": "tests/cli tries it",
    r"--install-completion|--show-completion": "it asks for the shell that it was started from",
}
"""Commands that are only parsed, though they stand in a block that is run; and why."""

FENCE = re.DOTALL | re.MULTILINE

SHELL = blocks("sh", "console", "bash", "shell")
PYTHON = [block for block in blocks("python") if block.page not in ELSEWHERE]


def calls(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each call of derain in a line of shell code."""
    line = re.sub(r"\b\w+=\$\([^)]*\)", "", line)
    for part in re.split(r"\|\|?|&&|;", line):
        words = shlex.split(re.sub(r"\d?>+\s*\S+", "", part))
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if words[:1] == ["derain"]:
            yield words[1:]
        elif "-m" in words and "derain" in words:
            yield words[words.index("derain") + 1 :]


def programs(line: str) -> set[str]:
    """Return the programs that a line calls."""
    line = re.sub(r"\b\w+=\$\([^)]*\)", "", line)
    parts = [part.split() for part in re.split(r"\|\|?|&&|;", line)]
    names = [[word for word in part if not re.match(r"[A-Z_]+=", word)][:1] for part in parts]
    return {word for part in names for word in part}


def parse(arguments: list[str]) -> None:
    """Parse a call with the parser of the command line.

    Raises:
        Exception: If there is no such verb or option, or an argument is missing.
    """
    given = [word for word in arguments if word not in cli.LOUDNESS]
    if not given or given[0] in cli.OPTIONS:
        return
    if given[0] not in cli.VERBS:
        given = ["run", *given]
    top: Any = typer.main.get_command(cli.make_app(given[:1]))
    command, rest = top.commands[given[0]], given[1:]
    if given[0] in GROUP_DEFAULTS:
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context(given[0], list(rest))


def unknown_words(text: str) -> list[str]:
    """Return the verb or the options in a mention of a command that derain does not have.

    A mention, such as ``derain run -m FILE``, need not be complete.
    """
    words = text.replace("`", "").split()[1:]
    given = [word for word in words if word not in cli.LOUDNESS]
    if not given or given[0] in cli.OPTIONS:
        return []
    verb = given[0] if given[0] in cli.VERBS else "run"
    top: Any = typer.main.get_command(cli.make_app([verb]))
    found = top.commands[verb]
    if verb in GROUP_DEFAULTS:
        inner = given[1] if len(given) > 1 else GROUP_DEFAULTS[verb]
        if inner not in found.commands:
            return [inner]
        found = found.commands[inner]
    options = {"--help", "-h", *(name for param in found.params for name in param.opts)}
    return [
        word
        for word in given
        if re.match(r"-[a-z-]", word) and re.split("[=,]", word)[0] not in options
    ]


def reason_not_to_run(block: Block, line: str) -> str:
    """Return why a line is an example; empty if it is to be run."""
    if block.example or block.page in ELSEWHERE:
        return block.mark or ELSEWHERE[block.page]
    return next((why for what, why in EXAMPLES.items() if re.search(what, line)), "")


def make_files(text: str, place: Path, photo: NDArray[np.uint8]) -> None:
    """Make the pictures and folders that a text names, if they are not there."""
    small = np.ascontiguousarray(photo[:40, :48])
    for name in re.findall(r"(?<![\w./-])[\w./-]+\.(?:jpg|png|tif|webp)(?![\w.])", text):
        if name.startswith("examples/"):
            (place / "examples").mkdir(exist_ok=True)
            (place / name).write_bytes((ROOT / name).read_bytes())
        elif not re.search(rf"-o {re.escape(name)}|> ?{re.escape(name)}", text):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            write_image(place / name, small if "part" not in name else small[:, :, 0])
    for name in re.findall(r"\w+\.gif", text):
        frames = [Image.fromarray(small // (k + 1)) for k in range(3)]
        frames[0].save(place / name, save_all=True, append_images=frames[1:], duration=40)
    for name in re.findall(r"(?<!-o )(?<!--save )(?<![\w./-])([\w-]+/)(?=[\s\"*]|$)", text):
        make_folder(place / name, small, in_pairs=name[:1].isupper() or name == "pairs/")


def make_folder(folder: Path, small: NDArray[np.uint8], *, in_pairs: bool) -> None:
    """Make a folder of two pictures, or of two pairs."""
    parts = (("rainy", 9), ("clean", 0)) if in_pairs else ((".", 0),)
    for part, change in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
        for number in (1, 2):
            pixels = np.clip(small[:, ::number].astype(int) + change, 0, 255).astype(np.uint8)
            write_image(folder / part / f"{number}.jpg", np.ascontiguousarray(pixels))


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_commands_of_a_block_are_parsed(block: Block) -> None:
    for line in commands(block.text):
        assert programs(line) - {"derain", "..."} <= set(PROGRAMS), line
        for arguments in calls(line):
            if "INPUT..." not in arguments:
                parse(arguments)


RUN = [
    pytest.param(block, line, id=f"{block}:{line}")
    for block in SHELL
    for line in commands(block.text)
    if any(calls(line)) and not reason_not_to_run(block, line)
]


@pytest.mark.parametrize(("block", "line"), RUN)
def test_a_command_works(
    block: Block,
    line: str,
    tmp_path: Path,
    photo: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make_files(line, tmp_path, photo)
    for arguments in calls(line):
        status = status_of(*arguments)
        said = capsys.readouterr().err
        if "derain[torch]" in said and not is_installed("torch"):
            pytest.skip("needs PyTorch")
        assert status == 0, said


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_commands_that_a_page_mentions_have_these_verbs_and_options(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    mentions = re.findall(
        r"`(derain(?: [^`\n]+)?)`", re.sub(r"^```.*?^```$", "", text, flags=FENCE)
    )
    assert {mention: unknown_words(mention) for mention in mentions if unknown_words(mention)} == {}


def test_many_commands_are_run() -> None:
    assert len(RUN) > 12
    text = " ".join(str(param.id) for param in RUN)
    assert "README.md#" in text
    assert "docs/quickstart.md#" in text


def test_what_is_wrong_is_found() -> None:
    for line in ("derain photo.jpg --nothing", "derain weights nothing", "derain export"):
        with pytest.raises(Exception, match=r"nothing|Missing"):
            parse(next(calls(line)))
    assert unknown_words("derain weights nothing") == ["nothing"]
    assert unknown_words("derain a.jpg --tile 3 --nothing=3 -q") == ["--nothing=3"]
    assert programs("FOO=1 rm -r x && derain y") == {"rm", "derain"}
    assert list(calls("cat a | derain - > b && torchrun -m derain train x")) == [
        ["-"],
        ["train", "x"],
    ]


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_code_works(
    block: Block, tmp_path: Path, photo: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    code = compile(block.text, str(block), "exec")
    if block.example:
        return
    if re.search(r"^import torch|from torch|nledn|dpenet", block.text, re.MULTILINE):
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    make_files(block.text, tmp_path, photo)
    # A page may take the frames of a video for granted.
    exec(code, {"__name__": "page", "frames": [photo[:24, :32]] * 3})


def test_extras_that_pip_is_to_install_exist() -> None:
    text = "".join(block.text for block in SHELL)
    named = {
        extra
        for extras in re.findall(r"pip install .*?\[([\w,]+)\]", text)
        for extra in extras.split(",")
    }
    table = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]\n")[2]
    assert named <= set(re.findall(r"^(\w+) = \[", table.partition("\n[")[0], re.MULTILINE))
    assert {"serve", "video"} <= named
