"""The `imgnn` command: every subcommand in its group, and the one place where errors are shown."""

import errno
import os
import re
from typing import Annotated, Any

import typer

from imgnn import __version__, start
from imgnn.cli import (
    boke,
    caption,
    classify,
    console,
    convert,
    demo,
    dream,
    evaluate,
    fetch,
    finetune,
    label,
    mean,
    networks,
    serve,
    style,
    train,
)
from imgnn.cli.help import Command, Commands
from imgnn.errors import ImgnnError, InputError, InterruptedRun


class Group(Commands):
    """Shows an `ImgnnError` as one line, its hint as another, and exits with its code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # One thinks of --debug after a failure, and writes it at the end of the line.
        own = args[: args.index("--")] if "--" in args else args
        if "--debug" in own:
            args = ["--debug", *(word for word in own if word != "--debug"), *args[len(own) :]]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = in_our_words(error.message)
            raise
        except (Exception, KeyboardInterrupt) as error:
            told = as_ours(error)
            if told is None or console.debugging():
                raise
            console.show_error(told)
            raise typer.Exit(told.exit_code) from None


# What newer Typers say of a value (it is pydantic's), and what imgnn says.
WORDS = (
    ("Value error, ", ""),
    (r"Input should be a valid integer.*", "a whole number is expected"),
    (r"Input should be a valid number.*", "a number is expected"),
    (r"Input should be greater than or equal to (\S+)", r"\1 or more is expected"),
    (r"Input should be less than or equal to (\S+)", r"\1 or less is expected"),
)


def in_our_words(message: str) -> str:
    """What is wrong with a value, as imgnn says it."""
    for theirs, ours in WORDS:
        message = re.sub(theirs, ours, message)
    return message


def as_ours(error: BaseException) -> ImgnnError | None:
    """The error as one of ours, if the user can act on it; else None, and it keeps its traceback.

    What the system refuses (a folder that may not be read, a full disk, memory) is the user's to mend, wherever it is
    met, and so is a backend of Keras that is not installed.
    """
    if isinstance(error, ImgnnError):
        return error
    if isinstance(error, KeyboardInterrupt):  # of a command that had nothing to save yet, or was not let save it
        return InterruptedRun("stopped before it was done")
    from imgnn import backend  # not for --help to wait for

    if backend.is_out_of_memory(error):
        return InputError("the memory does not suffice", hint="a smaller --batch or --size, or a smaller network")
    if isinstance(error, OSError) and error.errno not in (None, errno.EPIPE):
        return InputError((f"{error.filename}: " if error.filename else "") + os.strerror(error.errno))
    absent = isinstance(error, ImportError) and error.name in ("tensorflow", "jax", "torch")
    if absent or str(error).startswith("Unable to import backend"):
        hint = "KERAS_BACKEND, or ~/.keras/keras.json, chooses tensorflow, jax or torch; install it, or choose another"
        return InputError(f"Keras cannot start: {error}", hint=hint)
    return None


app = typer.Typer(
    name="imgnn",
    cls=Group,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.command(rich_help_panel="Pictures")(style.style)
app.command(rich_help_panel="Pictures")(dream.dream)
app.command(rich_help_panel="Pictures")(caption.caption)
app.command(rich_help_panel="Pictures")(boke.boke)
app.command(rich_help_panel="Pictures")(serve.serve)
app.command(rich_help_panel="Pictures")(demo.demo)
app.command(rich_help_panel="Networks")(classify.classify)
app.add_typer(evaluate.app, name="evaluate", cls=Commands, rich_help_panel="Networks")
app.command(rich_help_panel="Networks")(finetune.finetune)
app.add_typer(train.app, name="train", cls=Commands, rich_help_panel="Networks")
app.command(rich_help_panel="Networks")(networks.networks)
app.command(rich_help_panel="Networks")(convert.convert)
app.command(rich_help_panel="Data")(fetch.fetch)
app.command(rich_help_panel="Data")(label.label)
app.command(rich_help_panel="Data")(mean.mean)
for command in (*app.registered_commands, *evaluate.app.registered_commands, *train.app.registered_commands):
    command.cls = Command


def show_version(wanted: bool) -> None:
    if wanted:
        console.out.print(f"imgnn {__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=show_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks, and what TensorFlow logs.", envvar="IMGNN_DEBUG")
    ] = False,
) -> None:
    """The classic image networks and their recipes, in Keras 3.

    Results go to stdout, progress and messages to stderr.

    \b
    Example:
      imgnn style photo.jpg painting.jpg -o out.png
    """
    if debug:
        os.environ["IMGNN_DEBUG"] = "1"
    start.lean(beside=console.waiting_for_keras)


def main() -> None:
    app()
