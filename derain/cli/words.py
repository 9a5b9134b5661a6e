"""Words that a user may have meant for others: verbs that are mistyped, and options of other tools.

Whatever is no verb is a picture, so that a mistyped verb would derain what follows it.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

from derain.errors import closest

VERBS = ("run", "train", "evaluate", "synth", "data", "weights", "export", "bench", "serve")

GROUP_DEFAULTS = {"data": "check", "weights": "show"}
"""Verbs that have verbs of their own, and the one that a file or folder behind it may stand for."""

_ALSO_CALLED = {
    "help": "--help",
    "version": "--version",
    "check": "data check",
    "list": "weights list",
    "models": "weights list",
    "show": "weights show",
    "import": "weights import",
    "cite": "weights cite",
    "citation": "weights cite",
    "bibtex": "weights cite",
    "dataset": "data",
    "datasets": "data",
    "model": "weights",
    "eval": "evaluate",
    "evaluation": "evaluate",
    "test": "evaluate",
    "score": "evaluate",
    "metrics": "evaluate",
    "benchmark": "bench",
    "speed": "bench",
    "server": "serve",
    "web": "serve",
    "api": "serve",
    "infer": "run",
    "inference": "run",
    "predict": "run",
    "process": "run",
    "derain": "run",
    "training": "train",
    "finetune": "train",
    "fit": "train",
    "synthesise": "synth",
    "synthesize": "synth",
    "synthesis": "synth",
    "generate": "synth",
    "convert": "export",
}
"""What other tools call verbs and options."""

_PICTURES = "pictures are named without an option: derain FILE"
_RESULTS = "-o names the file or folder of the results"
_WEIGHTS = "-m takes a name from derain weights list, or a file"
_HINTS = {
    **dict.fromkeys(
        ("-i", "--in", "--input", "--inputs", "--image", "--img", "--source", "--src", "--dir"),
        _PICTURES,
    ),
    **dict.fromkeys(
        ("--out", "--outdir", "--out-dir", "--output-dir", "--dest", "--dst", "--save", "--result"),
        _RESULTS,
    ),
    **dict.fromkeys(("-w", "--weights", "--checkpoint", "--ckpt", "--pretrained"), _WEIGHTS),
    **dict.fromkeys(("--gpu", "--cuda", "--gpus"), "--device cuda chooses the graphics card"),
    "--cpu": "--device cpu chooses the processor",
    **dict.fromkeys(("--fp16", "--half"), "--dtype float16 computes in half precision"),
    "--bf16": "--dtype bfloat16 computes in bfloat16",
    **dict.fromkeys(("-r", "-R", "--recursive"), "folders are always searched recursively"),
    **dict.fromkeys(("-f", "-y", "--overwrite", "--yes"), "--force overwrites existing files"),
    **dict.fromkeys(("--fast", "--best", "--hq"), "--quality takes fast, balanced or best"),
    "--suffix": "results end in _derained; -o names them otherwise",
    **dict.fromkeys(
        ("--batch", "--batch-size"),
        "the number of tiles at a time follows from the memory; --tile N needs less",
    ),
    "--tile-size": "--tile sets the side of a tile in pixels",
    **dict.fromkeys(
        ("--pix-fmt", "-pix-fmt"), "--pixel-format names the format of frames without headers"
    ),
    **dict.fromkeys(
        ("--fps", "--framerate", "--frame-rate"),
        "--rate sets the frames a second for --raw and --as-clip",
    ),
    "--size": "--raw WxH is the size of frames without headers; --tile sets the side of a tile",
    **dict.fromkeys(
        ("--video", "--clip", "--gif"), "clips are named without an option: derain clip.mp4"
    ),
    **dict.fromkeys(
        ("--frames", "--sequence", "--image-sequence"),
        "--as-clip treats the pictures of a folder as frames of a clip",
    ),
}
"""What derain run does instead of an option that other tools have."""
_EVERYWHERE = {
    "-V": "derain --version prints the version",
    "--debug": "DERAIN_TRACEBACK=1 in the environment shows where an error comes from",
    "--silent": "-q prints errors only",
    "--threads": "OMP_NUM_THREADS in the environment sets their number",
    "--workers": "OMP_NUM_THREADS in the environment sets the number of threads",
    "-j": "OMP_NUM_THREADS in the environment sets the number of threads",
}
"""Likewise of all verbs."""


def hint_for(option: str, verb: str) -> str:
    """Return what to do instead of an option that a verb does not have; empty if nobody knows.

    Args:
        option: With its dashes; underscores are as good as dashes.
        verb: Name of the verb.
    """
    name = option.replace("_", "-")
    return (_HINTS.get(name, "") if verb == "run" else "") or _EVERYWHERE.get(name, "")


def meant_by(words: Sequence[str]) -> str | None:
    """Return the verb or option that a first word stands for which is none; None for a picture.

    Args:
        words: The first word that is no option, and those behind it.

    >>> meant_by(["evaluat", "petrichor", "Rain100L"]), meant_by(["help", "evaluate"])
    ('evaluate', 'evaluate --help')
    >>> meant_by(["photo"]), meant_by(["data.jpg"])
    (None, None)
    """
    word = words[0].lower() if words else ""
    if not re.fullmatch(r"[a-z][a-z_-]*", word) or os.path.lexists(words[0]):
        return None
    if word == "help" and len(words) > 1 and words[1] in VERBS:
        return f"{words[1]} --help"
    return _ALSO_CALLED.get(word) or closest(word, VERBS)


def words_among(arguments: Sequence[str], command: Any) -> list[str]:
    """Return what remains of arguments without a command's options before the first word.

    Args:
        arguments: Those of the command.
        command: A command as typer makes it.
    """
    takes_value = {
        name
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.is_flag
        for name in parameter.opts
    }
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == "--":
            break
        if option in takes_value and rest:
            rest.pop(0)
    return rest
