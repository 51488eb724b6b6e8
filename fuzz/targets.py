"""The readers, each with what it promises, its seeds, and words that random bytes would be long in finding.

Nothing of what is fuzzed is imported here: it is instrumented as it is imported, by the first input.
"""

import atexit
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from imgnn.errors import ConversionError, InputError, WeightsError

ROOT = Path(__file__).parents[1]
MAX_PIXELS = 1_000_000  # of a picture here, so that many are read in an hour
PARTS = b"\0\0"  # between the files of an input that is several


@dataclass(frozen=True)
class Target:
    """A reader to feed.

    Attributes:
        read: takes the bytes.
        raises: the errors that the reader's docstring promises.
        seeds: inputs to begin with.
        words: a dictionary for libFuzzer.
        watched: packages whose branches are counted.
        floor: bytes of memory for any input; None: as in `watch`.
        longest: bytes of an input; what is wrong with a long file is mostly wrong with a short one, and told sooner.
    """

    read: Callable[[bytes], object]
    raises: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    words: tuple[str | bytes, ...] = ()
    watched: tuple[str, ...] = ("imgnn",)
    floor: int | None = None
    longest: int = 1024


@cache
def scratch() -> Path:
    """A folder for the file of an input."""
    folder = Path(tempfile.mkdtemp(prefix="imgnn-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def put(data: bytes, name: str) -> Path:
    """The bytes as a file."""
    path = scratch() / name
    path.write_bytes(data)
    return path


def chosen(data: bytes, names: tuple[str | None, ...]) -> tuple[str | None, bytes]:
    """The first byte chooses, the rest is the file."""
    return names[data[0] % len(names)] if data else names[0], data[1:]


def choosing(names: tuple[str | None, ...], seeds: Iterable[tuple[str | None, bytes]]) -> list[bytes]:
    """Seeds with the byte that chooses; each also without a form that is named."""
    return [bytes([names.index(name)]) + data for form, data in seeds for name in dict.fromkeys((form, None))]


# Caffe


def read_weights(data: bytes) -> None:
    from imgnn.caffe.wire import blob_array, read_caffemodel

    net = read_caffemodel(put(data, "net.caffemodel"))
    for layer in [*net.layer, *net.layers]:
        for blob in layer.blobs:
            blob_array(blob)


def read_snapshot(data: bytes) -> None:
    from imgnn.caffe.net import read_net

    read_net(None, put(data, "net.caffemodel"))


def read_definition(data: bytes) -> None:
    from imgnn.caffe.prototxt import read_prototxt

    read_prototxt(put(data, "net.prototxt"))


def read_network(data: bytes) -> None:
    from imgnn.caffe.net import read_net

    read_net(put(data, "net.prototxt"), None)


def read_mean(data: bytes) -> None:
    from imgnn.caffe.wire import read_binaryproto

    read_binaryproto(put(data, "mean.binaryproto"))


NET = """name: "net"  # a comment
input: "data" input_dim: 1 input_dim: 3 input_dim: 0x8 input_dim: 010
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 name: 'w' }
  convolution_param { num_output: 2 kernel_size: [1, 1] weight_filler < type: "constant" value: -.5e1f > } }
"""
LIST_NET = """input: "a" input_shape { dim: 1 dim: 3 }
layer: [{ name: "bn" type: "BatchNorm" bottom: "a" top: "a" include { phase: TEST stage: "a" } x { [x.y] { z: inf } } },
  { name: "p" type: "Pooling" bottom: "a" top: "p" pooling_param { kernel_size: 2 } exclude { phase: TRAIN } }]
"""
UP_NET = """input: "a"
layer { name: "up" type: "Deconvolution" bottom: "a" top: "up"
  convolution_param { num_output: 1 kernel_size: 4 weight_filler { type: "bilinear" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "up" bottom: "label" top: "loss" phase: TRAIN }
"""
OLD_NET = """input: "data" input_shape { dim: 1 dim: 3 dim: 4 dim: 4 }
layers { name: "a" type: CONVOLUTION bottom: "data" top: "a" blobs_lr: 1 weight_decay: 0
  convolution_param { num_output: 2 kernel_size: 1 } }
layers { name: "a_a_0_split" type: SPLIT bottom: "a" top: "a_a_0_split_0" top: "a_a_0_split_1" }
layers { name: "d" type: DATA top: "data" top: "label" transform_param { crop_size: 2 mean_value: 1 scale: "\\x2e" } }
"""


def definitions() -> list[bytes]:
    ours = (ROOT / "imgnn/assets/examples/edges.prototxt").read_bytes()
    return [*(net.encode() for net in (NET, LIST_NET, UP_NET, OLD_NET)), UP_NET.encode("utf-16"), ours]


def snapshots() -> list[bytes]:
    import numpy as np

    from tests.caffe.encode import encode_net

    blobs = {"conv": [np.ones((2, 3, 1, 1), "f4"), np.ones(2, "f4")]}
    forms = ({}, {"packed": False}, {"numbers": "double"}, {"numbers": "float16"}, {"legacy_shape": True})
    small = 'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 2 } }'
    nets = [encode_net(NET, blobs, **form) for form in forms]
    return [*nets, encode_net(LIST_NET), encode_net(UP_NET), encode_net(small, blobs, version=1)]


def means() -> list[bytes]:
    import numpy as np

    from tests.caffe.encode import encode_blob

    mean = np.arange(12, dtype="f4").reshape(1, 3, 2, 2)
    forms = ({}, {"packed": False}, {"numbers": "double"}, {"numbers": "float16"}, {"legacy_shape": True})
    return [encode_blob(mean, **form) for form in forms]


@cache
def schema_words() -> tuple[str, ...]:
    from imgnn.caffe.schema import ENUMS, SCHEMA, V1_TYPES

    names = {name for fields in SCHEMA.values() for name in fields}
    return tuple(sorted(names | {word for words in ENUMS.values() for word in words.values()} | {*V1_TYPES.values()}))


# Lists and sentences


def read_list_file(data: bytes) -> None:
    """The list, and after `PARTS` its class words and its record."""
    from imgnn.data.lists import read_list

    files = (*data.split(PARTS, 2), None, None)[:3]
    for name, part in zip(("a_b.txt", "a_class_def.txt", "a.json"), files, strict=True):
        path = scratch() / name
        path.unlink(missing_ok=True) if part is None else path.write_bytes(part)
    read_list(scratch() / "a_b.txt")


CAPTION_FORMS = (None, "karpathy", "coco", "flickr", "neuraltalk2", "jsonl", "csv", "folder")


def read_caption_file(data: bytes) -> None:
    """The captions, and after `PARTS` the list of a split beside them; of the form "folder", the text of a picture."""
    from imgnn.data.caption_files import read_captions

    form, data = chosen(data, CAPTION_FORMS)
    if form == "folder":
        folder = scratch() / "pictures"
        folder.mkdir(exist_ok=True)
        (folder / "x.jpg").touch()
        (folder / "x.txt").write_bytes(data)
        read_captions(folder, form=form, need_images=False)
        return
    data, _, split = data.partition(PARTS)
    put(split, "captions_train2017.trainImages.txt")
    read_captions(put(data, "captions_train2017.json"), form=form, need_images=False)


BOKE_FORMS = (
    *(None, "butsugiri", "can", "hairhair", "yryo1005", "boketedb", "teratsyk", "nishika", "page", "jsonl", "csv"),
    *("karpathy", "coco", "flickr", "neuraltalk2"),
)


def read_boke_file(data: bytes) -> None:
    from imgnn.data.boke import read_boke

    form, data = chosen(data, BOKE_FORMS)
    read_boke([put(data, "boke_0.json")], form=form, need_images=False)


def read_web_page(data: bytes) -> None:
    from imgnn.data.boke_pages import read_page

    list(read_page(data.decode("utf-8", "replace"), "page.html", "https://boke.example/hot"))


ADDRESS_FILES = ("list.txt", "list.csv", "list.tsv", "list.json", "list.jsonl", "list.html", "list.txt.gz", "boke.csv")


def read_address_list(data: bytes) -> None:
    from imgnn.data.sources import Reading, Source

    name, data = chosen(data, ADDRESS_FILES)
    list(Source(put(data, str(name))).lines(Reading(words={"1": "one"})))


RECORD = {"format": "imgnn list", "version": 1, "root": ".", "lists": {"a_b.txt": "0"}, "folders": [""], "pictures": 1}
KARPATHY = {
    "images": [
        {
            "filepath": "val",
            "filename": "a.jpg",
            "imgid": 0,
            "split": "train",
            "cocoid": 3,
            "sentences": [{"raw": "A dog."}, {"tokens": ["a", "cat"]}],
        },
        {"filename": "b.jpg", "split": "val", "sentences": ["Two."]},
    ]
}
COCO = {
    "images": [{"id": 9, "file_name": "9.jpg"}, {"id": 25, "file_name": "train2017/25.jpg", "split": "val"}],
    "annotations": [{"image_id": 25, "id": 1, "caption": "A giraffe."}, {"image_id": 9, "id": 2, "caption": "Bread."}],
}
CAPTION_SEEDS = (
    ("karpathy", json.dumps(KARPATHY).encode()),
    ("coco", json.dumps(COCO).encode()),
    ("flickr", b"a.jpg#0\tA child .\na.jpg#1\tA girl , going .\nb.jpg.1#0 Two dogs\n" + PARTS + b"a.jpg\n"),
    ("neuraltalk2", b'[{"file_path": "a.jpg", "captions": ["one", "two"], "id": 3}]'),
    ("jsonl", b'{"image": "a.jpg", "captions": ["one"], "split": "train"}\n{"Image": "b.jpg", "text": "x"}\n'),
    ("csv", b'image,caption,split\na.jpg,"a, ""dog""",train\nb.jpg,b,val\n'),
    ("csv", b"image_name| comment_number| comment\na.jpg| 0| A dog .\nb.jpg| 4   A cat .\n"),
    ("csv", b'image\tcaption\na.jpg\t"one"\n'),
)
CAN = b"id,odai_id,odai_photo_url,odai_photo_by,boke_user_id,text,category,posted_at,rate_sum,rate_count,labels\n"
ENTRY = (
    '<div class="boke-entry"><div class="photo"><img src="//img.example/a.jpg"></div><p class="boke_read">猫</p>'
    '<input class="boke-id" value="11"><h4 class="accordion-header"><em>1,234</em></h4>'
    '<p class="boke-entry-info"><a href="/boke/category/2">cat</a></p></div>'
)
PAGES = (
    f'<!DOCTYPE html><html><body><div id="content">{ENTRY}</div></body></html>'.encode(),
    b'<html><div class="boke-list"><div class="boke-list-odai"><img src="/a.jpg"></div><h3>one</h3>'
    b'<input class="boke-id" value="1"></div></html>',
    b'<html><div id="content"><div class="boke"><a class="boke-text" href="/boke/7">&#x732b;</a>'
    b'<div class="boke-stars"><a>5</a></div></div></div><div class="photo-content"><img src="a.jpg"></div></html>',
    b'<html><div class="content-boke"><div class="boke"><div class="boke-photo"><div class="boke-photo-content">'
    b'<img src="http://x/a.jpg"></div></div><a class="boke-text" href="/boke/8">x</a></div></div>'
    b"<!-- c --><![CDATA[x]]>",
)


def boke_seeds() -> list[tuple[str | None, bytes]]:
    seeds: list[tuple[str | None, bytes]] = [
        (
            "butsugiri",
            '{"boke": "猫の会議", "star": 12, "images": [{"path": "a.jpg", "url": "http://x/a.jpg"}], '
            '"image_url": "http://x/a.jpg", "parsed": ["<BOS>", "猫", "<EOS>"], "split": "val"}\n'.encode(),
        ),
        ("can", CAN + b'1,9,/images/x.jpg,anna,3,"one\ntwo",cat,2019,"1,234",9,dog\n2,9,/x.jpg,,4,four,,2019,-1,0,\n'),
        (
            "hairhair",
            b'{"number": "47", "image_urls": ["https://x/b%20c.jpg?x=1"], "bokes": [{"text": "x", "star": "1,024"}]}\n',
        ),
        ("yryo1005", b'{"image_link": "https://x/y.jpg", "bokes": [{"boke": "b", "star": 1.5, "date": "2024"}]}'),
        ("teratsyk", b"image_urls,images,txt\nx,\"[{'url': 'http://x/c.jpg', 'path': 'c.jpg'}]\",\"three,four\"\n"),
        ("nishika", b"id,odai_photo_file_name,text,is_laugh\nq1,a.jpg,ha,1\n"),
        ("nishika", b"a.jpg\t1\tha\nb.jpg\t0\thm\n"),
        ("jsonl", b'{"image": "a.jpg", "text": ["ha", "hm"], "stars": "3", "split": "val", "category": 4}\n'),
        ("csv", b"image;text;star;split\na.jpg;ha;3;dev\nb.jpg;hm;;\n"),
        *(("page", page) for page in PAGES),
        *((form, data.partition(PARTS)[0]) for form, data in CAPTION_SEEDS),
    ]
    parquet = parquet_file({"odaiId": [5], "text": ["one"], "isNG": [False], "rateSum": [1]})
    return [*seeds, ("boketedb", parquet)] if parquet else seeds


def parquet_file(columns: dict[str, list]) -> bytes | None:
    """A table as Parquet; None without pyarrow."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        return None
    out = io.BytesIO()
    parquet.write_table(arrow.table(columns), out, compression="none")
    return out.getvalue()


def address_seeds() -> list[bytes]:
    import gzip

    plain = "# a list\nhttp://x.example/a.jpg\nn02123045_12\thttp://x.example/b\xe9.jpg\ncat\thttps://é.example/\n"
    table = b"url,label,split\nhttp://x.example/a.jpg,1,train\n//x/b.jpg,2.0,\n"
    return [
        bytes([ADDRESS_FILES.index(name)]) + data
        for name, data in (
            *(("list.txt", plain.encode()), ("list.txt", plain.encode("latin-1")), ("list.csv", table)),
            ("list.csv", b"http://x.example/a.jpg,cat\n"),
            ("list.tsv", b"cat\thttp://x.example/a.jpg\n"),
            ("list.json", b'[{"url": "http://x.example/a.jpg", "label": 3.0}, "http://x.example/b.jpg"]'),
            ("list.jsonl", b'{"image_url": "http://x.example/a.jpg", "class": "cat"}\n'),
            ("list.txt.gz", gzip.compress(table, mtime=0)),
            ("boke.csv", CAN + b"1,9,/images/x.jpg,anna,3,one,cat,2019,12,9,dog\n"),
            *(("list.html", page) for page in PAGES),
            ("list.txt", parquet_file({"url": ["http://x.example/a.jpg"]}) or b"PAR1"),
        )
    ]


SENTENCE_WORDS = (
    *("image", "images", "file_path", "file_name", "filepath", "filename", "captions", "caption", "sentences", "raw"),
    *("tokens", "split", "train", "val", "test", "imgid", "cocoid", "image_id", "annotations", "null", "true", "NaN"),
    *("Infinity", '{"', '": ', '"},', "[[", "\\ud800", "#0\t", "\ufeff", "1e999", "1_0", "9" * 400, "\u0663", "\u2028"),
)
BOKE_WORDS = (
    *(
        "boke",
        "bokes",
        "text",
        "txt",
        "star",
        "rate_sum",
        "is_laugh",
        "odaiId",
        "image_link",
        "image_url",
        "image_urls",
    ),
    *(
        "parsed",
        "<BOS>",
        "number",
        "category",
        "odai_photo_url",
        "odai_photo_file_name",
        "path",
        "url",
        "http://[",
        "PAR1",
    ),
)
PAGE_WORDS = (
    *(
        "<div class=",
        "</div>",
        "<img src=",
        "boke-entry",
        "photo",
        "boke_read",
        "boke-id",
        "accordion-header",
        "<![",
        "<!--",
    ),
    *(
        "boke-list",
        "boke-list-odai",
        "content-boke",
        "boke-text",
        "boke-stars",
        "&#",
        "&#x110000;",
        "<?",
        "]]>",
        "http://[",
    ),
    *("<script>", "<input value=", "<a href=", "#content", "<!DOCTYPE", "//[", "\0"),
)


# Pictures


def read_picture(data: bytes) -> None:
    from imgnn.images.decode import read_image
    from imgnn.images.files import read_settings

    read_image(io.BytesIO(data), "picture", max_pixels=MAX_PIXELS)
    read_settings(put(data, "picture"))


def pictures() -> Iterable[bytes]:
    """A little of an example in every format and mode, some with EXIF, a profile, transparency, several frames."""
    from PIL import Image, ImageCms

    from imgnn.images.decode import formats

    whole = Image.open(ROOT / "imgnn/assets/examples/cat.jpg").convert("RGB").resize((12, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    modes = ("RGB", "L", "1", "P", "RGBA", "LA", "I;16", "I", "F", "CMYK", "YCbCr", "LAB")
    more = (
        {},
        {"exif": exif},
        {"icc_profile": profile},
        {"transparency": 0},
        {"save_all": True, "append_images": [whole]},
    )
    more += ({"compression": "tiff_lzw"}, {"compression": "jpeg"}, {"compression": "packbits"}, {"progressive": True})
    more += ({"lossless": True}, {"comment": b"x"}, {"bitmap_format": "bmp"})
    found = set()
    for kind in formats():
        for mode in modes:
            for options in more if mode == "RGB" else ({}, {"transparency": 0}, {"compression": "group4"}):
                out = io.BytesIO()
                try:
                    (whole.convert("L").convert(mode) if mode == "I;16" else whole.convert(mode)).save(
                        out, kind, **options
                    )
                except Exception:  # a format has not every mode and option
                    continue
                found.add(out.getvalue())
    return sorted(found)


PICTURE_FORMATS = tuple(
    f"PIL.{kind}ImagePlugin"
    for kind in ("Jpeg", "Png", "Gif", "WebP", "Tiff", "Bmp", "Ppm", "Jpeg2K", "Avif", "Ico", "Qoi")
)
PICTURE_WORDS = (
    *(
        b"IHDR",
        b"IDAT",
        b"IEND",
        b"PLTE",
        b"tRNS",
        b"iCCP",
        b"eXIf",
        b"acTL",
        b"fcTL",
        b"fdAT",
        b"zTXt",
        b"iTXt",
        b"imgnn\0",
    ),
    *(
        b"\xff\xd8",
        b"\xff\xe1",
        b"Exif\0\0",
        b"\xff\xe2",
        b"ICC_PROFILE\0",
        b"\xff\xee",
        b"Adobe",
        b"\xff\xc0",
        b"\xff\xc2",
    ),
    *(
        b"II*\0",
        b"MM\0*",
        b"II+\0",
        b"GIF89a",
        b"NETSCAPE2.0",
        b"RIFF",
        b"WEBP",
        b"VP8X",
        b"VP8L",
        b"ALPH",
        b"ANIM",
        b"BM",
    ),
    *(
        b"P6\n",
        b"Pf\n",
        b"P1\n",
        b"qoif",
        b"ftypavif",
        b"jP  \r\n",
        b"\xff\x4f\xff\x51",
        b"ihdr",
        b"meta",
        b"http://ns.adobe.com",
    ),
)


TARGETS = {
    "wire": Target(read_weights, (WeightsError,), snapshots),
    "caffemodel": Target(read_snapshot, (WeightsError, ConversionError), snapshots),
    "prototxt": Target(read_definition, (InputError,), definitions, ("layer {", *schema_words())),
    "net": Target(read_network, (InputError, ConversionError), definitions, ("layer {", *schema_words())),
    "binaryproto": Target(read_mean, (WeightsError,), means),
    "list": Target(
        read_list_file,
        (InputError,),
        lambda: [
            b"a b/c.jpg 0\r\nd\\e.png\t12\n",
            b"a.jpg 0\n" + PARTS + b"0 cat\n1 dog\n" + PARTS + json.dumps(RECORD).encode(),
        ],
        (*RECORD, "imgnn list", "a_b.txt", "2147483648", "9" * 400, "\u0663", "\u00b2", "\ufeff", "\u2028", PARTS),
    ),
    "captions": Target(
        read_caption_file,
        (InputError,),
        lambda: [*choosing(CAPTION_FORMS, CAPTION_SEEDS), b"\7a dog\na cat\n"],
        SENTENCE_WORDS,
    ),
    "boke": Target(
        read_boke_file, (InputError,), lambda: choosing(BOKE_FORMS, boke_seeds()), (*BOKE_WORDS, *SENTENCE_WORDS)
    ),
    "page": Target(
        read_web_page, (InputError,), lambda: PAGES, PAGE_WORDS, ("imgnn", "bs4.builder", "html.parser", "_markupbase")
    ),
    "addresses": Target(
        read_address_list, (InputError,), address_seeds, (*PAGE_WORDS, *SENTENCE_WORDS, "url", "label")
    ),
    "image": Target(
        read_picture, (InputError,), pictures, PICTURE_WORDS, ("imgnn", *PICTURE_FORMATS), floor=96 << 20, longest=4096
    ),
}
