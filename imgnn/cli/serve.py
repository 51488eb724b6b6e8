"""`imgnn serve`."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from imgnn.cli import console
from imgnn.errors import InputError
from imgnn.options import ServeOptions

MODELS, SERVER = "What it shows", "The server"


def serve(
    models: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="RUN",
            help="A run of imgnn train boke, or of imgnn train caption; one of each may be given. "
            "\\[default: the one of captions in the package]",
            rich_help_panel=MODELS,
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where pictures of the studio and ratings are kept. \\[default: the platform's folder for data]",
            rich_help_panel=MODELS,
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen on; 0.0.0.0: on all, with a token.",
            rich_help_panel=SERVER,
        ),
    ] = ServeOptions.host,
    port: Annotated[
        int, typer.Option(metavar="N", help="The port; 0: any that is free.", min=0, max=65535, rich_help_panel=SERVER)
    ] = ServeOptions.port,
    requests_per_minute: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Requests a minute that one client may send of those that cost something; 0: any.",
            min=0,
            rich_help_panel=SERVER,
        ),
    ] = ServeOptions.requests_per_minute,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.", rich_help_panel=SERVER)
    ] = False,
) -> None:
    """A web page: look at what a model learned, try your own photos, paint and dream.

    Only this machine can reach it; with another --host whoever has the token that is printed. Ctrl-C ends it.
    It takes what pip install 'imgnn\\[web]' brings.

    \b
    Example:
      imgnn serve
      imgnn serve --model boke_run --model captions_run --open
      imgnn serve -m boke_run --host 0.0.0.0
    """
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"the page needs {error.name}, which is not installed", hint="pip install 'imgnn[web]'"
        ) from None
    from imgnn.web.server import serve_page

    def ready(address: str) -> None:
        console.out.print(address, markup=False, highlight=False, soft_wrap=True)
        console.note("Ctrl-C ends it.")
        if open_page:
            webbrowser.open(address)

    serve_page(ServeOptions(tuple(models or ()), folder, host, port, requests_per_minute), ready)
