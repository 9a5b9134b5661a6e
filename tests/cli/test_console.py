"""Lines for the user."""

import sys

import pytest

from derain.cli.console import say


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("50% of [red]all[/red] files :tada:", "50% of [red]all[/red] files :tada:"),
        ("x" * 300, "x" * 300),
        ("over\r\bprinted\a", "overprinted"),
        ("bytes \udcff in a name", "bytes \ufffd in a name"),
        ("half of a pair: \ud83d", "half of a pair: \\ud83d"),
    ],
)
def test_a_line_is_written_as_it_is(
    text: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say(text)
    assert capsys.readouterr().err == f"{line}\n"


def test_without_stderr_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    say("lost")
    assert capsys.readouterr().out == ""
