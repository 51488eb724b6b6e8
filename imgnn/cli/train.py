"""`imgnn train`: a group, with a command for each kind of sentences that are learnt."""

import typer

from imgnn.cli import train_boke, train_caption

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.command()(train_caption.caption)
app.command()(train_boke.boke)


@app.callback()
def train() -> None:
    """Teach a decoder to write sentences for pictures.

    \b
    Example:
      imgnn train caption captions.jsonl --learning-rate 0.004 -o captions_run
      imgnn train boke boke.jsonl -o boke_run
    """
