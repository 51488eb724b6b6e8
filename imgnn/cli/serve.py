"""`imgnn serve`."""

import webbrowser
from pathlib import Path
from typing import Annotated

from imgnn.cli import console
from imgnn.cli.parsing import UNSAID, option
from imgnn.errors import InputError
from imgnn.options import ServeOptions

MODELS, SERVER = "What it shows", "The server"


def serve(
    models: Annotated[
        list[Path] | None,
        option(
            MODELS,
            "A run of imgnn train boke, or of imgnn train caption; one of each may be given. "
            "\\[default: the one of captions in the package]",
            "--model",
            "-m",
            metavar="RUN",
            **UNSAID,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        option(
            MODELS,
            "Where pictures of the studio and ratings are kept. \\[default: the platform's folder for data]",
            metavar="FOLDER",
            **UNSAID,
        ),
    ] = None,
    host: Annotated[
        str, option(SERVER, "The address to listen on; 0.0.0.0: on all, with a token.", metavar="ADDRESS")
    ] = ServeOptions.host,
    port: Annotated[
        int, option(SERVER, "The port; 0: any that is free.", metavar="N", min=0, max=65535)
    ] = ServeOptions.port,
    requests_per_minute: Annotated[
        int,
        option(
            SERVER,
            "Requests a minute that one client may send of those that cost something; 0: any.",
            metavar="N",
            min=0,
        ),
    ] = ServeOptions.requests_per_minute,
    open_page: Annotated[bool, option(SERVER, "Open the page in the browser.", "--open")] = False,
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
