"""Two hundred uploads that are no pictures, and what the description of the API allows."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from imgnn.web import pictures

FIELDS = {"/api/playground": "picture", "/api/studio": "content"}


def png(width, height, *, rows=1, depth=8, kind=2, extra=b""):
    """A PNG that claims a size, with the data of so many rows: a bomb, if it claims much."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = zlib.compress(b"\0" * min(rows * (1 + width * 3), 1 << 24), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def text_bomb():
    """A PNG whose comment is 200 MB of spaces, in 200 KB."""
    data = b"Comment\0\0" + zlib.compress(b" " * (200 << 20), 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    return png(4, 4, rows=4, extra=chunk)


def encoded(form, size=(64, 48), **options):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (*size, 3), dtype="uint8")).save(stream, form, **options)
    return stream.getvalue()


def bad_pictures():
    """200 of them: name, bytes."""
    found = []
    for side in (7_100, 20_000, 60_000, 100_000, 2**31 - 1):
        found.append((f"bomb {side}.png", png(side, side)))
    found.append(("comment bomb.png", text_bomb()))
    gif = encoded("GIF")
    found.append(("bomb.gif", gif[:6] + struct.pack("<HH", 65_535, 65_535) + gif[10:]))
    jpeg = encoded("JPEG")
    frame = jpeg.index(b"\xff\xc0")
    found.append(("bomb.jpg", jpeg[: frame + 5] + struct.pack(">HH", 65_500, 65_500) + jpeg[frame + 9 :]))
    for form in ("JPEG", "PNG", "WEBP", "GIF"):
        whole = encoded(form)
        found += [(f"{form} cut at {share} %", whole[: len(whole) * share // 100]) for share in (0, 1, 10, 50, 70)]
    for form in ("TIFF", "BMP", "PPM", "JPEG2000", "ICO", "TGA", "PCX"):
        found.append((f"{form}.jpg", encoded(form)))  # pictures, but of formats that the page does not take
    found += [
        ("page.jpg", b"<!doctype html><script>alert(1)</script>"),
        ("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"),
        ("post.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n"),
        ("archive.png", b"PK\x03\x04" + b"\0" * 100),
        ("document.jpg", b"%PDF-1.7\n"),
        ("list.webp", b"[1, 2, 3]"),
        ("nothing.gif", b""),
        ("zeros.png", b"\0" * 10_000),
        ("film.jpg", b"\0\0\0\x18ftypmp42"),
        ("program.png", b"\x7fELF" + b"\0" * 200),
        ("image.hdf5", b"\x89HDF\r\n\x1a\n"),
        ("link.jpg", b"http://169.254.169.254/latest/meta-data/"),
        ("layers.png", b"8BPS" + b"\0" * 100),
        ("half a sign.png", b"\x89PNG\r\n"),
        ("just a sign.jpg", b"\xff\xd8\xff\xe0"),
        ("riff.webp", b"RIFF\xff\xff\xff\xffWEBPVP8L" + b"\xff" * 50),
    ]
    names = [
        "../../etc/passwd",
        "..\\..\\boot.ini",
        "/etc/shadow",
        "C:\\nul",
        "x\0.jpg",
        "a" * 5000,
        "; rm -rf ~",
        "$(id)",
    ]
    found += [(name, b"GIF89a is what it says") for name in names]
    random = np.random.default_rng(2)
    for form in ("JPEG", "PNG", "WEBP", "GIF"):  # signs of pictures before noise
        found += [(f"noise {form}", encoded(form)[:16] + random.bytes(300)) for _ in range(8)]
    while len(found) < 200:
        found.append((f"noise {len(found)}", random.bytes(int(random.integers(1, 3000)))))
    return found[:200]


@pytest.mark.parametrize("path", FIELDS)
def test_two_hundred_bad_uploads_are_refused_and_the_server_lives(client, path):
    wrong = []
    for name, data in bad_pictures():
        files = {FIELDS[path]: (name, data, "image/jpeg")}
        answer = client.post(path, files=files, data={"kind": "dream"} if "studio" in path else {})
        problem = answer.json()
        if answer.status_code not in (400, 413, 422) or set(problem) != {"detail"} or "/" in problem["detail"]:
            wrong.append((name, answer.status_code, problem))
    assert not wrong
    assert client.get("/api/state").status_code == 200
    assert not list(client.server.folder.rglob("*.png")), "nothing of them is kept"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF"])
def test_the_four_formats_are_taken_whatever_they_are_called(client, form):
    files = {"picture": ("x.exe", encoded(form), "application/x-msdownload")}
    assert client.post("/api/playground", files=files).status_code == 200


@pytest.mark.parametrize("side", [7_100, 12_000, 40_000])
def test_a_bomb_is_refused_before_it_is_decoded(side, monkeypatch):
    """Pillow itself would take the first two: 150 MB and 432 MB."""
    bomb, decoded = png(side, side), []
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: decoded.append(self))
    with pytest.raises(pictures.PictureError, match=r"pictures of at most 50 megapixels|could be decompression bomb"):
        pictures.read_upload(io.BytesIO(bomb), len(bomb))
    assert not decoded


def test_a_picture_of_too_many_bytes_is_refused_even_where_the_request_may_hold_it(client, monkeypatch):
    """Of a studio's request, which may hold five pictures."""
    monkeypatch.setattr(pictures, "MAX_PICTURE", 1000)
    files = {"content": ("x.png", encoded("PNG"), "image/png")}
    answer = client.post("/api/studio", files=files, data={"kind": "dream"})
    assert (answer.status_code, "MiB" in answer.json()["detail"]) == (413, True)


@pytest.mark.parametrize(
    ("files", "data"),
    [
        ({}, {}),
        ({"picture": (None, "not a file")}, {}),
        ({"image": ("x.png", encoded("PNG"))}, {}),
        ({"picture": ("x.png", encoded("PNG")), "other": ("y.png", encoded("PNG"))}, {}),
        ({"picture": ("x.png", encoded("PNG"))}, {"model": "/etc/passwd"}),
        ({"picture": ("x.png", encoded("PNG"))}, {"n": "1000000"}),
        ({"picture": ("x.png", encoded("PNG"))}, {"temperature": "nan"}),
        ({"picture": ("x.png", encoded("PNG"))}, {f"field {number}": "x" for number in range(1500)}),
    ],
    ids=range(8),
)
def test_a_form_of_another_shape_is_refused(client, files, data):
    answer = client.post("/api/playground", files=files, data=data)
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"detail"}


def test_no_answer_of_the_api_is_an_error_of_the_server(client):
    """schemathesis asks every route what its description allows, and what it does not."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    schema = schemathesis.openapi.from_url(f"{client.server.address}/api/openapi.json")
    asked = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=st.one_of(
                operation.as_strategy(), operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
            )
        )
        def ask(case):
            answer = case.call(base_url=client.server.address)
            asked.append((case.method, case.path, answer.status_code))
            assert answer.status_code < 500 or answer.status_code == 503, (case, answer.content)

        ask()
    assert len({(method, path) for method, path, _ in asked}) == 12
    codes = {code for *_, code in asked}
    assert {200, 422} <= codes, codes
