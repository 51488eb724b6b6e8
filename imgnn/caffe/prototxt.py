"""The text form: a prototxt, read tolerantly.

The grammar is protobuf's text format: `k: v`, `k { }`, `k: { }`, `< >` for braces, lists `[a, b]`, comments, adjacent
strings, escapes, numbers in hexadecimal and octal, `;` and `,` between fields. Fields that Caffe does not know (every
fork has some) are kept by name and line and otherwise passed over, whatever they hold. A scalar given twice counts
the last time, as in the binary form.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/
"""

import re
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from imgnn.caffe.message import Message
from imgnn.caffe.schema import ENUMS, SCHEMA, Field
from imgnn.caffe.sniff import sniff
from imgnn.errors import InputError, missing

MAX_BYTES = 64 << 20  # the largest published prototxts have some hundred kilobytes
MAX_FIELDS = 200_000
MAX_DEPTH = 100  # as protobuf

# Possessive (`*+`): a string without its end, or a number that is none, is found out in one pass.
_TOKEN = re.compile(
    r"""
      (?P<string>"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+" | '[^'\\\n]*+(?:\\.[^'\\\n]*+)*+')
    | (?P<number>[-+]?\s*+(?:0[xX][0-9a-fA-F]++ | (?:\d++\.?+\d*+ | \.\d++)(?:[eE][-+]?\d++)?+[fF]?+) (?![\w.]))
    | (?P<word>[-+]?\s*+[A-Za-z_][\w.]*+)
    | (?P<extension>\[\s*+[A-Za-z_][\w./-]*+\s*+\](?=\s*+[:{<]))
    | (?P<sign>[{}<>\[\]:;,])
    """,
    re.VERBOSE | re.DOTALL,
)
_SPACE = re.compile(r"(?:\s++|\#[^\n]*+)*+")
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_CLOSING = {"{": "}", "<": ">", "[": "]"}
_TRUTH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}


def read_prototxt(path: Path) -> Message:
    """Read a prototxt file as a NetParameter.

    Raises:
        InputError: missing, empty, not text, not a prototxt; the line is named.
    """
    try:
        if not path.exists():
            raise missing(path)
        if not path.is_file():
            raise InputError(f"expected a prototxt; this is not a file: {path}")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise InputError(f"expected a prototxt of at most {MAX_BYTES:,} bytes, found {size:,}: {path}")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if not data:
        raise InputError(f"expected a prototxt, found an empty file: {path}")
    if other := sniff(data[:1024], "text"):
        raise InputError(f"expected a prototxt, found {other.name}: {path}", hint=other.advice)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        # Comments in GBK or Latin-1 are common; the bytes of a name stay what they are.
        text = data.decode("utf-8-sig", "surrogateescape")
    return parse_prototxt(text, str(path))


def parse_prototxt(text: str, where: str = "<text>") -> Message:
    """Read the text of a prototxt as a NetParameter.

    Args:
        where: the file's name, for errors.

    Returns:
        The message; each message in it knows its line and the fields that the schema does not know.

    Raises:
        InputError: not a prototxt; the line is named.
    """
    return _Parser(text, where).net()


class _Token(NamedTuple):
    kind: str  # string, number, word, extension, sign; "end" behind the last
    text: str
    at: int


class _Parser:
    """A parser with one token in hand; recursive only as deep as the schema is nested."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.fields_left = MAX_FIELDS
        self.counted = (0, 1)  # a place in the text and its line
        self.token = self.read(0)

    def net(self) -> Message:
        net = Message("NetParameter", line=1)
        self.fields(net, "")
        if not any(net.has(name) for name in ("layer", "layers", "input")):
            solver = next((each for each in net.unknown if each.name in ("net", "train_net", "base_lr")), None)
            found = f"found a solver (line {solver.line})" if solver else "found no layer in it"
            hint = "Give the prototxt that the solver names as its net." if solver else None
            raise InputError(f"expected the prototxt of a network, {found}: {self.where}", hint=hint)
        return net

    # Tokens.

    def read(self, at: int) -> _Token:
        space = _SPACE.match(self.text, at)
        at = space.end() if space else at
        if at == len(self.text):
            return _Token("end", "", at)
        match = _TOKEN.match(self.text, at)
        if match is None:
            if self.text[at] in "\"'":
                self.fail("expected the end of the string on its line, found none", at)
            self.fail(f"expected a field of a prototxt, found {self.shown(at)}", at)
        return _Token(str(match.lastgroup), match.group(), at)

    def take(self) -> _Token:
        taken = self.token
        self.token = self.read(taken.at + len(taken.text))
        return taken

    def took(self, *signs: str) -> str | None:
        """Take one of these signs if it comes next."""
        return self.take().text if self.token.kind == "sign" and self.token.text in signs else None

    def line(self, at: int) -> int:
        """The line of a place; places are mostly asked in order, so it counts on from the last."""
        last, line = self.counted
        line = line + self.text.count("\n", last, at) if at >= last else 1 + self.text.count("\n", 0, at)
        self.counted = (at, line)
        return line

    def shown(self, at: int) -> str:
        return repr(self.text[at : at + 20].split("\n")[0]) if at < len(self.text) else "the end of the file"

    def fail(self, what: str, at: int) -> NoReturn:
        raise InputError(f"{what}: {self.where}, line {self.line(at)}")

    # Fields.

    def fields(self, message: Message, opening: str) -> None:
        """Read fields into the message up to the brace that closes `opening`, or to the end of the text."""
        closing = _CLOSING.get(opening, "")
        while not (closing and self.took(closing)):
            if self.token.kind == "end":
                if closing:
                    self.fail(f"expected {closing!r} to close the {message.kind} of line {message.line}, found the "
                              "end of the file", self.token.at)  # fmt: skip
                return
            self.spend(1)
            name = self.take()
            if name.kind not in ("word", "extension") or name.text[0] in "+-":
                self.fail(f"expected the name of a field, found {self.shown(name.at)}", name.at)
            name = name._replace(text="".join(name.text.split()))  # [ x.y ]
            field = SCHEMA[message.kind].get(name.text)
            if field is None:
                message.note_unknown(name.text, self.line(name.at))
                self.skip(name)
            elif field.is_message:
                self.messages(message, field)
            else:
                self.scalars(message, field)
            while self.took(";", ","):
                pass

    def messages(self, message: Message, field: Field) -> None:
        self.took(":")
        many = bool(field.repeated and self.took("["))
        while not (many and self.took("]")):
            at = self.token.at
            opening = self.took("{", "<")
            if opening is None:
                self.fail(f"expected {{ after {field.name}, found {self.shown(at)}", at)
            known = None if field.repeated else message.get(field.name)
            value = Message(field.kind, line=self.line(at)) if known is None else known
            self.fields(value, opening)
            if field.repeated:
                message.add(field.name, value)
            else:
                message.set(field.name, value)
            if not many:
                return
            self.spend(1)
            self.took(",")

    def scalars(self, message: Message, field: Field) -> None:
        if not self.took(":"):
            self.fail(f"expected ':' after {field.name}, found {self.shown(self.token.at)}", self.token.at)
        repeated = field.repeated or field.kind in ("floats", "doubles")
        if repeated and self.took("["):
            while not self.took("]"):
                self.spend(1)
                message.add(field.name, self.scalar(field))
                self.took(",")
        elif repeated:
            message.add(field.name, self.scalar(field))
        else:
            message.set(field.name, self.scalar(field))

    def scalar(self, field: Field) -> Any:
        token = self.take()
        value = self.value(field, token)
        if value is None:
            wanted = {"int": "a whole number", "uint": "a whole number from 0", "bool": "true or false"}
            wanted |= {"string": "a string", "bytes": "a string"}
            kind = wanted.get(field.kind, "a name" if field.kind in ENUMS else "a number")
            self.fail(f"expected {kind} for {field.name}, found {self.shown(token.at)}", token.at)
        return value

    def value(self, field: Field, token: _Token) -> Any:
        """The value of a token for this field; None if it is none."""
        text = "".join(token.text.split()) if token.kind in ("number", "word") else token.text
        if token.kind == "string":
            data = self.string(token)
            if field.kind == "bytes":
                return data
            # V1's types in quotes are an error in Caffe, but what they mean is clear.
            is_text = field.kind == "string" or field.kind in ENUMS
            return data.decode("utf-8", "backslashreplace") if is_text else None
        if field.kind == "string":
            return text if token.kind == "word" else None
        if field.kind == "bool":
            return _TRUTH.get(text.lower())
        if field.kind in ENUMS:
            number = _whole(text)
            # Forks add values (engine: MKLDNN); whoever needs the value says whether it will do.
            return text if token.kind == "word" else None if number is None else ENUMS[field.kind].get(number, text)
        if field.kind in ("int", "uint"):
            number = _whole(text)
            low, high = (0, 1 << 64) if field.kind == "uint" else (-(1 << 63), 1 << 63)
            return number if number is not None and low <= number < high else None
        return _real(text) if token.kind in ("number", "word") else None

    def string(self, token: _Token) -> bytes:
        """The bytes of a string and of those that follow it: adjacent ones are one."""
        parts = [_unescape(token.text[1:-1])]
        while self.token.kind == "string":
            parts.append(_unescape(self.take().text[1:-1]))
        return b"".join(parts)

    def skip(self, name: _Token) -> None:
        """Pass over the value of an unknown field, however deep it is."""
        has_colon = self.took(":")
        token = self.take()
        if not (token.text in _CLOSING if token.kind == "sign" else has_colon and token.kind != "end"):
            self.fail(f"expected a value for {name.text}, found {self.shown(token.at)}", token.at)
        open_signs: list[_Token] = []
        while True:
            if token.kind == "sign" and token.text in _CLOSING:
                open_signs.append(token)
                if len(open_signs) > MAX_DEPTH:
                    self.fail(f"expected at most {MAX_DEPTH} braces in one another, found more", token.at)
            elif token.kind == "sign" and token.text in _CLOSING.values():
                if _CLOSING[open_signs.pop().text] != token.text:
                    self.fail(f"expected braces in pairs, found {token.text!r}", token.at)
            elif token.kind == "end":
                opened = open_signs[-1]
                wanted, line = _CLOSING[opened.text], self.line(opened.at)
                self.fail(f"expected {wanted!r} to close line {line}, found the end of the file", token.at)
            if not open_signs:
                break
            token = self.take()
        while self.token.kind == "string" and token.kind == "string":
            self.take()

    def spend(self, fields: int) -> None:
        self.fields_left -= fields
        if self.fields_left < 0:
            self.fail(f"expected a network of at most {MAX_FIELDS:,} fields, found more", self.token.at)


def _whole(text: str) -> int | None:
    try:
        digits = text.lstrip("+-")
        is_octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
        return int(text, 8 if is_octal else 0) if len(text) <= 40 else None
    except ValueError:
        return None


def _real(text: str) -> float | None:
    if (number := _whole(text)) is not None:
        return float(number)
    lowered = text.lower()
    try:
        return float(lowered if lowered.lstrip("+-") in ("inf", "infinity", "nan") else lowered.removesuffix("f"))
    except ValueError:
        return None


def _unescape(text: str) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        octal, hexadecimal, short, long, other = match.groups()
        if octal:
            return bytes([int(octal, 8) & 255])
        if hexadecimal:
            return bytes([int(hexadecimal, 16)])
        if short or long:
            code = int(short or long, 16)
            return chr(code).encode("utf-8", "replace") if code < 0x110000 else b"?"
        return _PLAIN_ESCAPES.get(other, other)

    return _ESCAPE.sub(plain, text.encode("utf-8", "surrogateescape"))
