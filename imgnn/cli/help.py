"""How `--help` looks: the same in every command, and with every Typer that imgnn works with."""

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup

from imgnn.cli.parsing import RESULT

HELP = "Help"  # the panel of --help


class Command(TyperCommand):
    """A command whose help begins with what it makes, and ends with `--help`."""

    def get_params(self, ctx: Any) -> list[Any]:
        params = without_types(super().get_params(ctx))
        params[-1].rich_help_panel = HELP
        return sorted(params, key=lambda each: not isinstance(each, TyperArgument) and each.rich_help_panel != RESULT)


class Commands(TyperGroup):
    """A group of commands."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types(super().get_params(ctx))


def without_types(params: list[Any]) -> list[Any]:
    """Parameters of which no Python type is shown: Typer writes `<bool>` beside a flag, `<path>` beside IMAGE."""
    for each in params:
        if isinstance(each, TyperArgument):
            vars(each)["display_type_rich"] = lambda ctx: None  # since 0.26; before, nothing was shown
        elif each.is_flag and each.metavar is None:
            each.metavar = ""
    return params
