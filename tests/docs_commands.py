"""The command lines of README.md and docs/*.md, found and read.

Commands stand in blocks of `sh`. The lines of a block are run as they are written, in the folder that `imgnn demo`
makes, from the top of the page to its end. Those below a comment that has a line of its own are not, to the end of the
block: the comment says what they take that is not there, with one of REASONS. What installs imgnn is not run either.

Blocks of Python are run, too, but those that begin with such a comment.

All of them, and whatever else begins with `imgnn` on a page, are read by the command line's own parser: options that
there are, values that they take.
"""

import functools
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import typer

from imgnn.cli.app import app
from imgnn.errors import MissingError, UnknownNameError

ROOT = Path(__file__).parents[1]
# tools/write_cli_docs.py makes cli.md of what --help says.
GENERATED = ROOT / "docs" / "cli.md"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
REASONS = ("download", "own", "from the web", "another program", "server runs", "machines", "minutes", "hours", "GPU")
USAGE_ERROR = typer.BadParameter.__base__
MISSING = "Missing"  # how the parser's message about an argument that is not there begins


@dataclass(frozen=True)
class Line:
    """A line of a page.

    Attributes:
        number: where it is on the page, from 1 on.
        text: without a comment at its end.
        lacks: what it takes that is not there; empty if it can be run.
        mention: it is in the text, where arguments may be left out and are names such as IMAGE.
        language: of its block.
    """

    number: int
    text: str
    lacks: str = ""
    mention: bool = False
    language: str = ""


def blocks(page):
    """The fenced blocks of a page: language, number of the first line, lines."""
    language = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            if language is None:
                language, first, inside = line[3:].strip(), number + 1, []
            else:
                yield language, first, inside
                language = None
        elif language is not None:
            inside.append(line)
    assert language is None, f"{page.name}: a block has no end"


def commands(page):
    """The lines of the blocks of `sh`."""
    for language, first, inside in blocks(page):
        if language != "sh":
            continue
        lacks = ""
        for number, line in enumerate(inside, first):
            if line.startswith("#"):
                lacks = line.lstrip("# ")
            elif line.strip():
                text = re.sub(r"\s+# .*", "", line)
                yield Line(number, text, lacks or ("download" if "pip install" in text else ""), language=language)


def programs(page):
    """The blocks of Python that are run: not those that begin with a comment about what they take."""
    for language, _, inside in blocks(page):
        if language == "python" and not inside[0].startswith("#"):
            yield "\n".join(inside)


def mentions(page):
    """What begins with `imgnn` in the text, and in blocks that show what a command printed."""
    text = page.read_text(encoding="utf-8")
    for language, first, inside in blocks(page):
        for number, line in enumerate(inside, first):
            if language != "sh" and (found := re.match(r"(?:Try:)?\s*(imgnn [^,]*)", line)):
                yield Line(number, found[1], mention=page != GENERATED)  # those of --help are whole
    # A block gives way to as many empty lines, so that the numbers stay.
    text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)
    for found in re.finditer(r"(?<!`)`(imgnn [^`]*)`", text):
        yield Line(text.count("\n", 0, found.start()) + 1, found[1].replace("\n", " "), mention=True)


def words_of(line):
    """The words of each program that a line of the shell runs."""
    reader = shlex.shlex(line, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    found, redirected = [[]], False
    for word in reader:
        if redirected:
            redirected = False
        elif set(word) <= set("<>"):
            redirected = True
        elif set(word) <= set("|&;()"):
            found.append([])
        else:
            found[-1].append(word)
    return [words for words in found if words]


def mistakes(line):
    """What the command line says of the words of a `Line`; that a file is not there is none."""
    text = line.text
    if line.mention:
        # `imgnn networks [NAME]`, `imgnn fetch LIST...`, `imgnn train caption|boke DATA`
        text = re.sub(r"[\[\]]|\.\.\.", "", text)
        text = re.sub(r"(\w+)\|\w+", r"\1", text)
    for words in words_of(text):
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            del words[0]
        if words[:1] == ["imgnn"]:
            yield from misread(imgnn(), words[1:], line.mention)


@functools.cache
def imgnn():
    """The whole command."""
    return typer.main.get_command(app)


def misread(command, words, mention, before="imgnn"):
    """The same, of a command and the words behind its name."""
    # `imgnn --debug COMMAND`
    while hasattr(command, "commands") and words[:1] == ["--debug"]:
        words = words[1:]
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        if words[0] in command.commands:
            yield from misread(command.commands[words[0]], words[1:], mention, f"{before} {words[0]}")
        elif not (mention and words[0].isupper()):  # `imgnn COMMAND --help`
            yield f"{before} has no command {words[0]!r}"
        return
    context = command.context_class(command, info_name=before)
    with context.scope():
        try:
            given, rest, _ = command.make_parser(context).parse_args(args=list(words))
        except USAGE_ERROR as error:
            # In the text an option may be named without its value.
            if not (mention and "requires an argument" in error.format_message()):
                yield error.format_message()
            return
        if hasattr(command, "commands"):
            return  # `imgnn --install-completion` would do so
        for parameter in command.get_params(context):
            if not parameter.is_eager:  # --help would answer at once
                try:
                    _, rest = parameter.handle_parse_result(context, given, rest)
                except USAGE_ERROR as error:
                    said = error.format_message()
                    if "does not exist" not in said and not (mention and said.startswith(MISSING)):
                        yield said
                except MissingError:
                    pass  # a file that an earlier line makes
                except UnknownNameError as error:
                    if not (mention or re.search(r"_run\b", str(error))):  # one that an earlier line makes
                        yield str(error)
        if rest:
            yield f"{before} takes no further words: {rest}"
