"""The command line that all scripts share."""

import argparse


def new_parser(documentation: str | None) -> argparse.ArgumentParser:
    """Return a parser that prints a script's docstring as its help, line by line as it stands."""
    return argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
