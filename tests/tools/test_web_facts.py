"""What the page in the browser knows of the library is what the library says today."""

import base64
import json

import numpy as np

from tools import web_facts


def test_the_page_knows_the_models() -> None:
    committed = json.loads(web_facts.FACTS.read_text(encoding="utf-8"))
    found = web_facts.page_facts()
    for one, other in zip(committed["models"], found["models"], strict=True):
        # Kernels may round differently from machine to machine.
        before, after = (
            np.frombuffer(base64.b64decode(model.pop("probe")), np.uint8).astype(int)
            for model in (one, other)
        )
        assert np.abs(before - after).max() <= 1
    assert committed == found, "run: python -m tools.web_facts"


def test_the_page_is_tested_with_todays_windows() -> None:
    committed = json.loads(web_facts.WINDOWS.read_text(encoding="utf-8"))
    assert committed == web_facts.windows(), "run: python -m tools.web_facts"
