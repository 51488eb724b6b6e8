import io
import json
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from imgnn.errors import InputError
from imgnn.images.decode import describe
from imgnn.images.files import check_writable, find_images, is_image, load_image, read_settings, save_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def corners() -> Image.Image:
    """40 x 60: red top left, green top right, blue bottom left, white bottom right."""
    picture = Image.new("RGB", (60, 40))
    for colour, box in zip((RED, GREEN, BLUE, WHITE), ((0, 0), (30, 0), (0, 20), (30, 20)), strict=True):
        picture.paste(colour, (*box, box[0] + 30, box[1] + 20))
    return picture


def png(path, width, height, *chunks):
    """A PNG written by hand: what no writer would make."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*each) for each in chunks) + chunk(b"IEND", b""))
    return path


# --- What a picture looks like


# Where the first pixel stored belongs on the screen. Source: Exif 2.32, tag 0x0112 ("the 0th row is at the visual
# top, the 0th column at the visual right", ...).
FIRST_PIXEL = {
    1: "top left",
    2: "top right",
    3: "bottom right",
    4: "bottom left",
    5: "top left",
    6: "top right",
    7: "bottom right",
    8: "bottom left",
}


@pytest.mark.parametrize("orientation", FIRST_PIXEL)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_picture_stands_upright(tmp_path, corners, orientation, suffix):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"turned{suffix}"
    corners.save(path, exif=exif, quality=100)
    image = load_image(path).astype(int)
    assert image.shape == ((40, 60, 3) if orientation < 5 else (60, 40, 3))
    row, column = FIRST_PIXEL[orientation].split()
    first = image[3 if row == "top" else -4, 3 if column == "left" else -4]
    np.testing.assert_allclose(first, RED, atol=8)
    with Image.open(path) as stored:
        wanted = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
    np.testing.assert_allclose(image, wanted, atol=1)


def test_damaged_exif_does_not_cost_the_picture(tmp_path, corners):
    corners.save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert load_image(tmp_path / "a.jpg").shape == (40, 60, 3)


def saved(tmp_path, picture, suffix=".png", **options):
    path = tmp_path / f"picture{suffix}"
    picture.save(path, **options)
    return load_image(path)


def test_grey_becomes_rgb(tmp_path):
    ramp = Image.fromarray(np.arange(256, dtype="uint8")[None])
    image = saved(tmp_path, ramp)
    assert (image.dtype, image.shape, image.flags["C_CONTIGUOUS"]) == (np.uint8, (1, 256, 3), True)
    np.testing.assert_array_equal(image[0], np.arange(256)[:, None].repeat(3, 1))


def test_one_bit_is_black_and_white(tmp_path):
    image = saved(tmp_path, Image.fromarray(np.array([[True, False, True]])))
    np.testing.assert_array_equal(image[0, :, 0], [255, 0, 255])


def test_a_palette_gives_its_colours(tmp_path, corners):
    np.testing.assert_array_equal(saved(tmp_path, corners.convert("P", palette=Image.Palette.ADAPTIVE)), corners)
    np.testing.assert_array_equal(saved(tmp_path, corners, ".gif"), corners)


@pytest.mark.parametrize("alpha", [0, 51, 255])
def test_transparency_is_laid_on_white(tmp_path, alpha):
    wanted = [round(255 + (colour - 255) * alpha / 255) for colour in (200, 100, 0)]
    clear = Image.new("RGBA", (4, 4), (200, 100, 0, alpha))
    np.testing.assert_allclose(saved(tmp_path, clear)[0, 0], wanted, atol=1)
    np.testing.assert_allclose(saved(tmp_path, clear, ".tif")[0, 0], wanted, atol=1)
    grey = Image.new("LA", (4, 4), (200, alpha))
    np.testing.assert_allclose(saved(tmp_path, grey)[0, 0], wanted[:1] * 3, atol=1)


def test_a_transparent_palette_colour_is_white(tmp_path):
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2])
    np.testing.assert_array_equal(saved(tmp_path, picture, transparency=1)[0], [RED, WHITE, BLUE])
    half = saved(tmp_path, picture, transparency=bytes([255, 0, 51]))[0]
    np.testing.assert_allclose(half, [RED, WHITE, (204, 204, 255)], atol=1)
    np.testing.assert_array_equal(saved(tmp_path, picture, ".gif", transparency=0)[0], [WHITE, GREEN, BLUE])


@pytest.mark.parametrize(
    ("picture", "key", "wanted"),
    [
        (Image.fromarray(np.array([[10, 20]], "uint8")), 10, [WHITE, (20, 20, 20)]),
        (Image.fromarray(np.array([[RED, (1, 2, 3)]], "uint8")), RED, [WHITE, (1, 2, 3)]),
        (Image.fromarray(np.array([[257, 2570]], "uint16")), 257, [WHITE, (10, 10, 10)]),
    ],
    ids=["L", "RGB", "I;16"],
)
def test_a_transparent_colour_is_white(tmp_path, picture, key, wanted):
    np.testing.assert_array_equal(saved(tmp_path, picture, transparency=key)[0], wanted)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path, suffix):
    ramp = np.linspace(0, 65535, 700).astype("uint16")[None]
    np.testing.assert_allclose(saved(tmp_path, Image.fromarray(ramp), suffix)[0, :, 1], ramp[0] / 257, atol=0.5001)


def test_sixteen_bits_of_colour_are_scaled_too(tmp_path):
    cv2 = pytest.importorskip("cv2")
    ramp = np.stack([np.linspace(0, 65535, 99), np.linspace(65535, 0, 99), np.full(99, 999)], -1).astype("uint16")[None]
    for suffix in (".png", ".tif"):
        cv2.imwrite(str(tmp_path / f"deep{suffix}"), ramp[..., ::-1])
        np.testing.assert_allclose(load_image(tmp_path / f"deep{suffix}"), ramp / 257, atol=1)


def test_floats_from_0_to_1_are_the_whole_range(tmp_path):
    ramp = np.linspace(0, 1, 256, dtype="float32")[None]
    np.testing.assert_array_equal(saved(tmp_path, Image.fromarray(ramp), ".tif")[0, :, 0], np.arange(256))


def test_cmyk_gives_the_colours_it_prints(tmp_path):
    inks = {(0, 0, 0, 0): WHITE, (255, 0, 0, 0): (0, 255, 255), (0, 255, 255, 0): RED, (0, 0, 0, 255): (0, 0, 0)}
    for suffix in (".tif", ".jpg"):  # Pillow writes CMYK JPEG inverted, with Adobe's mark, as Photoshop does
        for ink, colour in inks.items():
            image = saved(tmp_path, Image.new("CMYK", (16, 16), ink), suffix)
            np.testing.assert_allclose(image[8, 8], colour, atol=3)


def test_lab_gives_its_colours(tmp_path):
    lab = ImageCms.createProfile("LAB")
    srgb = ImageCms.createProfile("sRGB")
    colours = Image.fromarray(np.array([[(200, 30, 60), (60, 100, 160), (128, 128, 128)]], "uint8"))
    stored = ImageCms.profileToProfile(colours, srgb, lab, outputMode="LAB")
    np.testing.assert_allclose(saved(tmp_path, stored, ".tif"), colours, atol=3)


def swapped_profile() -> bytes:
    """sRGB's profile with the primaries of red and blue exchanged: what is stored as red is seen as blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (tags,) = struct.unpack(">I", profile[128:132])
    places = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * tags, 12)}
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    description = bytes(profile).find("sRGB".encode("utf-16-be"))
    profile[description : description + 8] = "swap".encode("utf-16-be")
    return bytes(profile)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_an_icc_profile_is_converted_to_srgb(tmp_path, suffix):
    image = saved(tmp_path, Image.new("RGB", (16, 16), (250, 20, 20)), suffix, icc_profile=swapped_profile())
    np.testing.assert_allclose(image[8, 8], (20, 20, 250), atol=6)


def test_a_profile_and_transparency_go_together(tmp_path):
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 51))
    image = saved(tmp_path, clear, icc_profile=swapped_profile())
    np.testing.assert_allclose(image[0, 0], (204, 204, 255), atol=2)


def test_a_palette_has_a_profile_too(tmp_path):
    image = saved(tmp_path, Image.new("RGB", (2, 2), RED).convert("P"), icc_profile=swapped_profile())
    np.testing.assert_allclose(image[0, 0], BLUE, atol=2)


def test_a_profile_is_judged_by_its_curves_and_not_by_its_name(tmp_path):
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert b"s\0R\0G\0B" in profile  # its description
    start = profile.index(b"para")  # the curve, which all three channels share: now the identity
    profile[start + 8 : start + 10] = b"\0\0"
    profile[start + 12 : start + 16] = b"\0\1\0\0"
    image = saved(tmp_path, Image.new("RGB", (2, 2), (55, 55, 55)), icc_profile=bytes(profile))
    # sRGB's own curve: 55/255 of the light is the level 128.
    np.testing.assert_allclose(image, 128, atol=1)


def test_srgb_s_own_profile_changes_nothing(tmp_path, random):
    noise = Image.fromarray(random.integers(0, 256, (20, 20, 3), dtype="uint8"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(saved(tmp_path, noise, icc_profile=profile), noise)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("profile", [b"not a profile", swapped_profile()[:200]], ids=["garbage", "cut off"])
def test_a_broken_profile_is_ignored(tmp_path, mode, profile):
    assert saved(tmp_path, Image.new(mode, (2, 2), "red"), icc_profile=profile).shape == (2, 2, 3)


def test_a_profile_of_another_colour_space_is_ignored(tmp_path):
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    np.testing.assert_allclose(saved(tmp_path, cmyk, ".jpg", icc_profile=swapped_profile())[8, 8], RED, atol=3)


def test_of_an_animation_the_first_picture(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, GREEN)]
    for suffix in (".gif", ".png", ".webp", ".tif"):
        options = {"lossless": True} if suffix == ".webp" else {}
        image = saved(tmp_path, frames[0], suffix, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(image[0, 0], RED)


def test_the_bytes_decide_not_the_name(tmp_path, corners):
    corners.save(tmp_path / "photo", "PNG")
    (tmp_path / "photo").rename(tmp_path / "photo.jpg")
    np.testing.assert_array_equal(load_image(tmp_path / "photo.jpg"), corners)


def test_real_photos_are_opencv_s(shared):
    cv2 = pytest.importorskip("cv2")
    for name in ("cat.jpg", "escher_sphere.jpg", "starry_night_google.jpg"):
        wanted = cv2.imread(str(shared / "photos" / name))[..., ::-1]
        assert np.abs(load_image(shared / "photos" / name).astype(int) - wanted).max() <= 2  # two JPEG decoders


# --- What is refused


@pytest.mark.parametrize("width", [50_000, 2**31 - 1])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, width):
    path = png(tmp_path / "bomb.png", width, 50_000, (b"IDAT", zlib.compress(b"\0" * 1_000_000)))
    assert path.stat().st_size < 2_000
    with pytest.raises(
        InputError, match=r"bomb.png (is \d+ pixels wide and 50000 high; .* 200 megapixels|is too large)"
    ):
        load_image(path)


def test_the_limit_may_be_lower_or_just_reached(tmp_path, corners):
    corners.save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", max_pixels=2400).shape == (40, 60, 3)
    with pytest.raises(InputError, match=r"is 60 pixels wide and 40 high; pictures of at most 0\.002399 megapixels"):
        load_image(tmp_path / "a.png", max_pixels=2399)


def test_a_large_photo_below_the_limit_gives_no_warning(tmp_path):
    Image.new("1", (10_000, 9_500)).save(tmp_path / "large.png")  # Pillow warns from 89 megapixels
    assert load_image(tmp_path / "large.png").shape == (9_500, 10_000, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".gif", ".bmp", ".jp2", ".avif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_file_that_ends_too_early_is_named(tmp_path, random, suffix, share):
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(random.integers(0, 256, (100, 100, 3), dtype="uint8")).save(path)
    path.write_bytes(path.read_bytes()[: max(30, int(path.stat().st_size * share))])
    with pytest.raises(InputError, match=f"cut{suffix} is "):
        load_image(path)


def test_random_damage_is_one_error_or_a_picture(tmp_path, corners, random):
    for suffix in (".jpg", ".png", ".webp", ".tif", ".gif"):
        corners.save(tmp_path / f"whole{suffix}")
        whole = (tmp_path / f"whole{suffix}").read_bytes()
        for _ in range(40):
            damaged = bytearray(whole)
            for at in random.integers(0, len(whole), 3):
                damaged[at] = random.integers(0, 256)
            (tmp_path / "damaged").write_bytes(damaged)
            try:
                assert load_image(tmp_path / "damaged").shape[2] == 3
            except InputError as error:
                assert "damaged" in str(error)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\n<!DOCTYPE html><html><body>404", "an HTML page"),
        (b"<html>gone</html>", "an HTML page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PK\x03\x04" + b"\0" * 30, "a ZIP archive"),
        (b'{"error": 404}', "a JSON file"),
        ("grüße\n".encode() * 2000, "a text"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC picture, which is not read here"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "a film"),
        (b"\0" * 4096, "a file of zeros"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript document"),
        (b"PF\n5 4\n-1.0\n", "a PFM picture in colour, which is not read here"),
        (bytes(range(128, 256)), "of no format known here"),
    ],
)
def test_what_is_no_picture_is_called_what_it_is(tmp_path, content, found):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"photo.jpg is not a picture: it is {found}"):
        load_image(path)


def tiff(path, array, form, *, compression=1, photometric=2, size=None):
    """A TIFF of any kind of number, little-endian, without compression; or only its first `size` bytes."""
    height, width, channels = array.shape
    bits = array.dtype.itemsize * 8
    tags = {
        256: [width],
        257: [height],
        258: [bits] * channels,
        259: [compression],
        262: [photometric],
        277: [channels],
    }
    tags |= {273: [8], 278: [height], 279: [array.nbytes], 339: [form] * channels}
    directory, lists = struct.pack("<H", len(tags)), b""
    lists_at = 8 + array.nbytes + 2 + 12 * len(tags) + 4
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}H", *values)
        where = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", lists_at + len(lists))
        directory += struct.pack("<HHI", tag, 3, len(values)) + where
        lists += packed if len(packed) > 4 else b""
    start = struct.pack("<4sI", b"II*\0", 8 + array.nbytes)
    path.write_bytes((start + array.tobytes() + directory + bytes(4) + lists)[:size])
    return path


def test_a_sixteen_bit_tiff_whose_zero_is_white_is_not_a_negative(tmp_path):
    pixels = np.array([[[0], [65535], [257]]], "uint16")
    loaded = load_image(tiff(tmp_path / "scan.tif", pixels, 1, photometric=0))
    np.testing.assert_array_equal(loaded[0, :, 0], [255, 0, 254])


def test_a_tiff_of_a_kind_that_pillow_cannot_read_is_called_what_it_is(tmp_path):
    pixels = np.full((4, 5, 3), 128, "uint8")
    np.testing.assert_array_equal(load_image(tiff(tmp_path / "plain.tif", pixels, 1)), pixels)
    for dtype, form, compression, kind in [
        ("float32", 3, 1, "32-bit floats in 3 channels"),
        ("float64", 3, 1, "64-bit floats in 3 channels"),
        ("int16", 2, 1, "16-bit signed integers in 3 channels"),
        ("uint8", 1, 34887, "8-bit integers in 3 channels, compression 34887"),
    ]:
        path = tiff(tmp_path / "odd.tif", pixels.astype(dtype), form, compression=compression)
        with pytest.raises(InputError, match=f"odd.tif is a TIFF of a kind that is not read here: {kind}$") as error:
            load_image(path)
        assert error.value.hint == "save it as grey or RGB of 8 or 16 bits, or as a PNG"


def test_a_tiff_whose_number_of_channels_is_none_is_damaged(tmp_path):
    path = tiff(tmp_path / "odd.tif", np.zeros((4, 5, 3), "float32"), 3)
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<HH", 277, 3), struct.pack("<HH", 277, 7)))  # 7: bytes
    with pytest.raises(InputError, match=r"odd.tif is damaged: it begins as a TIFF picture"):
        load_image(path)


@pytest.mark.parametrize("size", [200, 270, 290])  # within the pixels, and within the tags
def test_a_tiff_whose_tags_are_cut_is_damaged(tmp_path, size):
    path = tiff(tmp_path / "cut.tif", np.zeros((4, 5, 3), "float32"), 3, size=size)
    with pytest.raises(InputError, match=r"cut.tif is damaged: it begins as a TIFF picture"):
        load_image(path)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(InputError, match=r"no such file: .*nowhere\.jpg"):
        load_image(tmp_path / "nowhere.jpg")
    with pytest.raises(InputError, match="is a folder; a picture file is expected"):
        load_image(tmp_path)
    with pytest.raises(InputError, match="cannot read"):
        load_image("a\0b.jpg")
    with pytest.raises(InputError, match=r"cannot read .*: File name too long"):
        load_image(tmp_path / ("x" * 400))


def test_reading_leaves_no_trace_in_pillow_or_the_warnings(tmp_path, corners):
    corners.save(tmp_path / "a.png")
    before = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(load_image, [tmp_path / "a.png"] * 100))) == 100
    with pytest.raises(InputError):
        load_image(tmp_path)
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


def test_a_warning_of_pillow_is_not_heard_in_any_thread(tmp_path, corners):
    picture = corners.convert("P", palette=Image.Palette.ADAPTIVE, colors=4)
    picture.save(tmp_path / "a.png", transparency=b"\xff\x80\xff\xff")
    heard = []
    thread = threading.Thread(target=lambda: heard.append(load_image(tmp_path / "a.png").shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        thread.start()
        thread.join()
    assert heard == [(40, 60, 3)]


# --- Which files are meant


def test_a_folder_is_its_pictures_in_natural_order(tmp_path, corners):
    for name in ("10.png", "2.png", "B.png", "a1.png", ".hidden.png"):
        corners.save(tmp_path / name)
    corners.save(tmp_path / "no-suffix", "JPEG")
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "deeper").mkdir()
    corners.save(tmp_path / "deeper" / "x.png")
    names = [path.name for path in find_images([tmp_path])]
    assert names == ["2.png", "10.png", "a1.png", "B.png", "no-suffix"]


def test_named_files_keep_their_order_and_are_not_judged(tmp_path):
    paths = [tmp_path / "z.txt", tmp_path / "missing.png"]
    assert find_images(paths) == paths


def test_a_pattern_that_no_shell_expanded_is_expanded(tmp_path, corners):
    (tmp_path / "photos").mkdir()
    for name in ("10.png", "2.png", "b [1].png"):
        corners.save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "2.txt").write_text("two\n")
    bracket = tmp_path / "photos" / "b [1].png"
    assert [each.name for each in find_images([tmp_path / "photos" / "*"])] == ["2.png", "10.png", "b [1].png"]
    assert [each.name for each in find_images([f"{tmp_path}/**/1*.png"])] == ["10.png"]
    assert find_images([bracket]) == [bracket]
    with pytest.raises(InputError, match=r"no picture matches .*\.jpg"):
        find_images([tmp_path / "photos" / "*.jpg"])
    with pytest.raises(InputError, match="no picture was named"):
        find_images([])


def test_a_folder_without_pictures_is_told(tmp_path):
    with pytest.raises(InputError, match="no picture in the folder"):
        find_images([tmp_path])


def test_is_image_looks_at_the_name_then_at_the_first_bytes(tmp_path, corners):
    (tmp_path / "page.jpg").write_text("<html>")
    corners.save(tmp_path / "photo", "WEBP")
    (tmp_path / "text").write_text("BMW and P1 are cars")
    assert [is_image(tmp_path / name) for name in ("page.jpg", "photo", "text", "missing.png")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000", "QOI"])
def test_every_format_is_known_by_its_first_bytes(corners, kind):
    stored = io.BytesIO()
    corners.save(stored, kind)
    assert describe(stored.getvalue()[:512]).endswith(" picture")


# --- Saving

SETTINGS = {
    "command": "style",
    "content": "Köln [1].jpg",
    "style_weight": 1e4,
    "layers": ["conv1", "fire2"],
    "seed": None,
}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".jpeg", ".JPG", ".webp", ".tif", ".tiff"])
def test_settings_come_back(tmp_path, corners, suffix):
    path = tmp_path / f"out{suffix}"
    save_image(path, np.asarray(corners), settings=SETTINGS)
    assert read_settings(path) == SETTINGS
    assert load_image(path).shape == (40, 60, 3)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_lossless_format_gives_the_image_back(tmp_path, random, suffix):
    image = random.integers(0, 256, (13, 17, 3), dtype="uint8")
    save_image(tmp_path / f"out{suffix}", image)
    np.testing.assert_array_equal(load_image(tmp_path / f"out{suffix}"), image)
    assert read_settings(tmp_path / f"out{suffix}") == {}


@pytest.mark.parametrize(("suffix", "most"), [(".jpg", 4), (".webp", 12)])
def test_a_lossy_format_stays_near(tmp_path, corners, suffix, most):
    save_image(tmp_path / f"out{suffix}", np.asarray(corners))
    assert np.abs(load_image(tmp_path / f"out{suffix}").astype(int) - np.asarray(corners)).mean() < most


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_the_wildest_noise_can_be_saved(tmp_path, random, suffix):
    # No neighbours alike: what an encoder may expect of a picture does not hold.
    noise = (random.integers(0, 2, (300, 400, 3)) * 255).astype("uint8")
    save_image(tmp_path / f"noise{suffix}", noise)
    assert load_image(tmp_path / f"noise{suffix}").shape == noise.shape


def test_a_link_stays_one_and_what_it_names_is_replaced(tmp_path, corners):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "far" / "real.png")
    save_image(tmp_path / "link.png", np.asarray(corners))
    assert (tmp_path / "link.png").is_symlink()
    assert load_image(tmp_path / "far" / "real.png").shape == (*corners.size[::-1], 3)


def test_the_longest_name_that_a_file_can_have_can_be_saved(tmp_path, corners):
    save_image(tmp_path / f"{'x' * 251}.png", np.asarray(corners))
    with pytest.raises(InputError, match="the name is too long"):
        save_image(tmp_path / f"{'x' * 252}.png", np.asarray(corners))


def test_a_file_says_that_it_is_srgb(tmp_path, corners):
    save_image(tmp_path / "out.png", np.asarray(corners))
    save_image(tmp_path / "out.jpg", np.asarray(corners))
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.info["srgb"] == 0
    with Image.open(tmp_path / "out.jpg") as picture:
        assert picture.getexif().get_ifd(0x8769)[0xA001] == 1


def test_the_same_picture_gives_the_same_bytes(tmp_path, corners):
    for suffix in (".png", ".jpg", ".webp", ".tif"):
        for name in ("a", "b"):
            save_image(tmp_path / f"{name}{suffix}", np.asarray(corners), settings=SETTINGS)
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_a_comment_of_somebody_else_is_no_setting(tmp_path, corners):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0my holiday"
    corners.save(tmp_path / "a.jpg", exif=exif)
    assert read_settings(tmp_path / "a.jpg") == {}


def test_paths_among_the_settings_become_text(tmp_path, corners):
    save_image(tmp_path / "a.png", np.asarray(corners), settings={"content": tmp_path})
    assert read_settings(tmp_path / "a.png") == {"content": str(tmp_path)}


def test_the_settings_of_a_png_are_plain_json_for_other_programs(tmp_path, corners):
    save_image(tmp_path / "a.png", np.asarray(corners), settings=SETTINGS)
    with Image.open(tmp_path / "a.png") as picture:
        assert json.loads(picture.text["imgnn"]) == SETTINGS


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out.bmp", r"written as \.png, \.jpg, \.jpeg, \.webp, \.tif, \.tiff; '\.bmp' was received"),
        ("out", "no suffix was received"),
        ("nowhere/out.png", "there is no folder .*nowhere"),
        ("", "is a folder; the name of a picture file is expected"),
    ],
)
def test_a_path_that_cannot_be_written_is_told_before_any_work(tmp_path, name, words):
    with pytest.raises(InputError, match=words):
        check_writable(tmp_path / name)
    with pytest.raises(InputError, match=words):
        save_image(tmp_path / name, np.zeros((2, 2, 3), "uint8"))


def test_a_picture_too_large_for_its_format_is_told(tmp_path):
    wide = np.zeros((1, 70_000, 3), "uint8")
    for suffix in (".jpg", ".webp"):
        with pytest.raises(InputError, match=f"cannot write .*out{suffix}") as caught:
            save_image(tmp_path / f"out{suffix}", wide)
        assert caught.value.hint == "save it as .png"
    assert list(tmp_path.iterdir()) == []
    save_image(tmp_path / "out.png", wide)


def test_settings_too_long_for_jpeg_are_told(tmp_path, corners):
    with pytest.raises(InputError, match=r"cannot write .*out\.jpg as JPEG"):
        save_image(tmp_path / "out.jpg", np.asarray(corners), settings={"text": "x" * 70_000})


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.zeros((4, 4), "uint8"), np.zeros((0, 4, 3), "uint8")])
def test_only_an_image_is_saved(tmp_path, image):
    with pytest.raises(InputError, match=r"a picture to save is uint8 \(height, width, 3\)"):
        save_image(tmp_path / "out.png", image)
