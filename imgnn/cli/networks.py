"""`imgnn networks`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.columns import Columns
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from imgnn.cli import console
from imgnn.cli.early import known_network
from imgnn.cli.parsing import NETWORK, UNSAID, Json, option, parse_size, refuse_without

if TYPE_CHECKING:
    from imgnn.jobs.networks import Listed
    from imgnn.networks.applications import Application
    from imgnn.networks.network import Network
    from imgnn.networks.table import LayerTable


def networks(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="One of them, keras:NAME, a run of imgnn finetune, or a .keras or .caffemodel file.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        Any,
        option(
            NETWORK,
            "Pixels of the pictures that are looked at. \\[default: the network's own]",
            parser=parse_size,
            metavar="SIDE|HxW",
            **UNSAID,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the networks, or every layer of one.

    \b
    Example:
      imgnn networks
      imgnn networks vgg19 --size 300x400
    """
    if name is None:
        if size is not None:
            refuse_without("--size", "NAME, as in: imgnn networks vgg19 --size 300x400")
        from imgnn.jobs.networks import list_applications, list_networks

        listed, of_keras = list(list_networks()), list(list_applications())
        if json:
            console.print_json([listed_json(each) for each in listed] + [keras_json(*each) for each in of_keras])
        else:
            show_list(listed)
            show_applications(of_keras)
        return

    known_network(name)

    from imgnn.jobs.networks import describe_network, origin  # Keras wakes here, not at --help

    network, table = describe_network(name, size, console.reporter())
    if json:
        console.print_json({**layers_json(network, table), "origin": origin(name, network)})
    else:
        show_layers(network, table, origin(name, network))


def show_list(listed: "Sequence[Listed]") -> None:
    """A row for each network of the registry."""
    from imgnn.networks import weights

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("Network", style="bold")
    table.add_column("Input", justify="right")
    table.add_column("Parameters", justify="right")
    for heading in ("Top-1 %", "Top-5 %"):
        table.add_column(heading, justify="right")
    table.add_column("Weights")
    for each in listed:
        spec = each.spec
        states = {
            "in the package": Text("in the package", style="green"),
            "here": Text("here", style="green"),
            "none needed": Text("none needed", style="green"),
            "by hand": Text("by hand"),
            "download": Text(f"{weights.readable_size(spec.weights.size)} to get" if spec.weights else ""),
        }
        size = "x".join(map(str, spec.preprocessing.size))
        accuracies = (accuracy(spec.accuracy, top) for top in (1, 5))
        table.add_row(spec.name, size, count(spec.parameters), *accuracies, states[each.state])
    console.print_table(table)
    console.out.print(
        ' Accuracy as published (ILSVRC-2012, centre crop; VGG: dense, several scales);\n 80.3+ is "80.3 % or more"',
        style="dim",
        highlight=False,
    )
    console.out.print(Text(f" Kept in {weights.home() / 'networks'}"), soft_wrap=True)
    if any(each.state == "by hand" for each in listed):
        console.out.print(
            " by hand: their authors' page links to the file; then imgnn convert FILE", highlight=False, soft_wrap=True
        )


def show_applications(of_keras: "Sequence[tuple[Application, bool]]") -> None:
    """The names of keras.applications, as many to a line as there is room for; those that are here are marked."""
    console.out.print()
    console.out.print(" Of keras.applications, as keras:NAME (* on this machine):", highlight=False)
    names = [Text(f"{each.name}*", style="green") if is_here else Text(each.name) for each, is_here in of_keras]
    console.out.print(Padding(Columns(names, padding=(0, 1)), (0, 0, 0, 1)))


def accuracy(published: str, top: int) -> str:
    """The number out of `top-5 80.3 % or more`: `80.3+`."""
    found = re.search(rf"top-{top} ([\d.]+) %( or more)?", published)
    return found[1] + ("+" if found[2] else "") if found else "-"


def listed_json(each: "Listed") -> dict[str, Any]:
    """One network; docs/networks.md describes the fields."""
    spec = each.spec
    return {
        "name": spec.name,
        "title": spec.title,
        "aliases": list(spec.aliases),
        "size": list(spec.preprocessing.size),
        "parameters": spec.parameters,
        "classes": spec.classes,
        "accuracy": spec.accuracy or None,
        "paper": spec.paper,
        "licence": spec.weights.licence if spec.weights else None,
        "url": spec.weights.url or None if spec.weights else None,
        "page": spec.weights.page or None if spec.weights else None,
        "bytes": spec.weights.size if spec.weights else 0,
        "state": each.state,
        "path": str(each.path) if each.state == "here" else None,
        "note": spec.note or None,
    }


def keras_json(application: "Application", is_here: bool) -> dict[str, Any]:
    """One network of keras.applications, with the same fields as far as they are known."""
    return {
        "name": f"keras:{application.name}",
        "title": f"{application.function} of keras.applications",
        "aliases": [],
        "size": list(application.preprocessing.size),
        "parameters": None,
        "classes": 1000,
        "accuracy": None,
        "paper": application.paper,
        "licence": None,
        "url": None,
        "page": None,
        "bytes": None,
        "state": "here" if is_here else "download",
        "path": str(application.weights_path()) if is_here else None,
        "note": None,
    }


def show_layers(network: "Network", layers: "LayerTable", origin: Mapping[str, str]) -> None:
    """Where it comes from, then a row for each layer, in 80 columns."""
    height, width = layers.size
    title = str(network.source.get("title") or network.name)
    console.out.print(Text.assemble((title, "bold"), f" on a picture of {height} x {width}"), soft_wrap=True)
    for key, text in origin.items():
        console.out.print(Text.assemble((f"{key}: ", "dim"), text), soft_wrap=key in ("weights", "page"))
    console.out.print(Text(prepared(network)), soft_wrap=True)
    console.out.print()
    # No box: the longest names of GoogLeNet leave just enough room beside them.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold underline")
    table.add_column("Layer")
    table.add_column("Type", overflow="fold")
    table.add_column("Output", justify="right")
    table.add_column("Window")
    for heading in ("Sees", "Params", "MACs"):
        table.add_column(heading, justify="right")
    for row in layers:
        table.add_row(
            console.Name(row.name, style="bold" if row.roles else ""),
            row.type,
            "x".join(map(str, row.shape)),
            window(row.kernel, row.stride, row.pad),
            sides(row.receptive_field),
            count(row.parameters),
            count(row.macs),
        )
    console.print_table(table)
    console.out.print(
        f" {len(layers)} layers, {layers.parameters:,} parameters, {count(layers.macs)} MACs",
        highlight=False,
        soft_wrap=True,
    )
    console.out.print(" Window: kernel /stride +pad. Sees: pixels of the picture behind one value.", style="dim")
    shown = {network.layers.get(row.name, row.name) for row in layers}
    for role, names in asdict(network.roles).items():
        if names := [name for name in names if keras_layer(network, name) in shown]:
            console.out.print(Text.assemble(f" {role}: ", (", ".join(names), "bold")))
    for note in layers.notes:
        console.out.print(Text(note, style="yellow"))


def keras_layer(network: "Network", name: str) -> str:
    """The Keras layer behind a Caffe layer or blob."""
    return network.layers.get(name) or network.blobs.get(name, (name, 0))[0]


def prepared(network: "Network") -> str:
    """How a picture becomes the input: `BGR minus 104, 117, 123; the centre square, scaled to 227 x 227`."""
    how = network.preprocessing
    if how is None:
        return "Nothing is known of how a picture becomes its input."
    mean, scale = (", ".join(f"{number:.6g}" for number in numbers) for numbers in (how.mean, how.scale))
    text = how.channel_order + (f" minus {mean}" if any(how.mean) else "")
    text += f", times {scale}" if set(how.scale) != {1.0} else ""
    size = f"{how.size[0]} x {how.size[1]}"
    if how.crop == "square":
        return f"{text}; the centre square, scaled to {size}"
    return f"{text}; squeezed to {how.resize} x {how.resize}, of which the centre {size}"


def window(kernel: tuple[int, int] | None, stride: tuple[int, int] | None, pad: tuple[int, int] | None) -> str:
    """`7x7/2+3`; a stride of 1 and a pad of 0 are left out."""
    if kernel is None:
        return ""
    text = "x".join(map(str, kernel))
    if stride and stride != (1, 1):
        text += f"/{sides(stride)}"
    return text + (f"+{sides(pad)}" if pad and pad != (0, 0) else "")


def sides(pair: tuple[int, int] | None) -> str:
    """`3` for a square, `3x5` else."""
    if pair is None:
        return ""
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def count(number: float) -> str:
    """`143.7M`, `19.6G`, `832`: three or four digits are enough to compare."""
    for unit, worth in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= worth:
            return f"{number / worth:.1f}{unit}"
    return str(int(number)) if number else "-"


def layers_json(network: "Network", layers: "LayerTable") -> dict[str, Any]:
    """The table; docs/networks.md describes the fields."""
    return {
        "name": network.name,
        "title": network.source.get("title"),
        "size": list(layers.size),
        "parameters": layers.parameters,
        "macs": layers.macs,
        "layers": [asdict(row) for row in layers],
        "notes": list(layers.notes),
    }
