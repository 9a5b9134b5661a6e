"""Commands that take text as it is, and numbers without pydantic.

typer checks arguments with pydantic, also those that are text or were not given. Loading pydantic
takes longer than all else that the command line does, and its messages do not say what was found.
"""

from typing import Any

from typer.core import TyperCommand, TyperGroup

from derain.errors import UsageError

_KINDS = {int: "a whole number", float: "a number"}


class PlainCommand(TyperCommand):
    """A verb; arguments that are text, or were not given, need no check by typer."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments from those of the process."""
        _skip_checks(self.get_params(ctx))
        return super().parse_args(ctx, args)


class PlainGroup(TyperGroup):
    """A verb that has verbs of its own, otherwise a `PlainCommand`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the arguments up to the name of the verb."""
        _skip_checks(self.get_params(ctx))
        return super().parse_args(ctx, args)


def _skip_checks(parameters: list[Any]) -> None:
    for parameter in parameters:
        # Older versions of typer check without pydantic.
        if hasattr(parameter, "type_descriptor"):
            parameter.process_value = _Check(parameter)


class _Check:
    """A parameter's method ``process_value`` for one call of the command."""

    def __init__(self, parameter: Any) -> None:
        self._parameter = parameter
        self._of_class = type(parameter).process_value

    def __call__(self, ctx: Any, value: Any) -> Any:
        """Return the value that the verb gets."""
        parameter = self._parameter
        if isinstance(value, str) and parameter.type_descriptor.annotation in _KINDS:
            value = self._number(value)
        if not self._is_plain(value):
            return self._of_class(parameter, ctx, value)
        if isinstance(value, tuple):
            value = list(value)  # pyright: ignore[reportUnknownArgumentType]
        if parameter.callback is None:
            return value
        return parameter.callback(ctx, parameter, value)

    def _number(self, text: str) -> float:
        described = self._parameter.type_descriptor
        wanted, least = described.annotation, described.parameter_info.min
        try:
            number = wanted(text)
            fits = least is None or number >= least
        except ValueError:
            number, fits = 0, False
        if not fits:
            floor = "" if least is None else f" of at least {least}"
            problem = f"expected {_KINDS[wanted]}{floor}"
            raise UsageError(problem, option=self._parameter.name, value=text)
        return number

    def _is_plain(self, value: Any) -> bool:
        parameter = self._parameter
        wanted = parameter.type_descriptor.annotation
        several = parameter.nargs != 1 or getattr(parameter, "multiple", False)
        if value is None:
            return not (parameter.required or several)
        if several:
            texts = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
            return wanted == list[str] and texts and bool(value)
        # Numbers come as text from the command line: one that is none yet is a default.
        return wanted in (str, bool, int, float) and type(value) is wanted
