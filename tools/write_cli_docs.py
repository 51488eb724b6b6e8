"""Writes docs/cli.md: every command with its help, its arguments and its options, from the commands themselves.

python tools/write_cli_docs.py
"""

import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo

sys.path.insert(0, str(Path(__file__).parents[1]))
from imgnn.cli.app import app
from imgnn.cli.parsing import RESULT

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# Every command

What `imgnn COMMAND --help` says. `imgnn --debug COMMAND` shows tracebacks, and what TensorFlow logs; `imgnn --version`
tells the version.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(text for name, command in commands(app) for text in section(name, command))])


def commands(group: typer.Typer, before: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every command with its name as it is typed, those of groups ("evaluate classify") after the others."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield before + (command.name or command.callback.__name__), command.callback
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, f"{before}{inner.name} ")


def section(name: str, command: Callable[..., Any]) -> Iterator[str]:
    """One command; the commands of a group share a page."""
    group = name.partition(" ")[0]
    text, _, example = inspect.cleandoc(command.__doc__ or "").partition("\b\n")
    kinds = get_type_hints(command)
    infos = {
        name: kind.__metadata__[0]
        for name, kind in get_type_hints(command, include_extras=True).items()
        if hasattr(kind, "__metadata__")
    }
    yield f"## imgnn {name}\n\n{text.strip()}\n"
    yield f"```\n{inspect.cleandoc(example.partition(chr(10))[2])}\n```\n"
    yield f"More: [{group}.md]({group}.md)\n"
    panels: dict[str, list[str]] = {}
    for parameter in inspect.signature(command).parameters.values():
        if info := infos.get(parameter.name):
            panels.setdefault(info.rich_help_panel or "", []).append(row(parameter, kinds[parameter.name], info))
    # As in --help: arguments, what is made, the rest.
    for panel, rows in sorted(panels.items(), key=lambda each: each[0] not in ("", RESULT)):
        yield f"| {panel or 'Arguments'} | | default |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def row(parameter: inspect.Parameter, kind: Any, info: Any) -> str:
    """One argument or option: how it is typed, what it does, what it is when nothing is said."""
    told, _, default = (info.help or "").partition(" \\[default: ")
    default = default.removesuffix("]")
    own = parameter.default
    if not default and info.show_default and isinstance(own, int | float | str) and not isinstance(own, bool):
        default = f"{own:g}" if isinstance(own, float) else str(own)
    if isinstance(info, ArgumentInfo):
        name = f"`{info.metavar or parameter.name.upper()}`"
    else:
        # In `Annotated` the first name comes where the default would be.
        names = [each for each in (info.default, *(info.param_decls or ())) if isinstance(each, str)]
        name = ", ".join(f"`{each}`" for each in names or [f"--{parameter.name.replace('_', '-')}"])
        word = (info.metavar or choices(kind)).replace("|", "\\|")
        name += f" `{word}`" if word else ""
    return f"| {name} | {told} | {default} |"


def choices(kind: Any) -> str:
    """`lbfgs|adam`; nothing for a flag."""
    return "|".join(word for each in (kind, *get_args(kind)) if get_origin(each) is Literal for word in get_args(each))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
