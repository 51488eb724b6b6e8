import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageSequence

from imgnn.errors import InputError, InterruptedRun
from imgnn.images.video import FrameWriter, check_video

FILES = ["film.mp4", "film.gif", "film.webp"]
COLOURS = [(200, 40, 30), (30, 180, 60), (40, 60, 210), (128, 128, 128), (250, 240, 20)]


def frames(height=32, width=48):
    """Five frames, each of one colour, the left quarter black."""
    for colour in COLOURS:
        image = np.full((height, width, 3), colour, "uint8")
        image[:, : width // 4] = 0
        yield image


def read(path):
    """The frames of a film: a list of uint8 `(height, width, 3)`."""
    if path.is_dir():
        return [np.asarray(Image.open(each)) for each in sorted(path.iterdir())]
    if path.suffix == ".mp4":
        ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
        words = [ffmpeg, "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        done = subprocess.run(words, capture_output=True, check=True)
        width, height = map(int, re.search(rb"Video: h264.* (\d+)x(\d+)", done.stderr).groups())
        return list(np.frombuffer(done.stdout, "uint8").reshape(-1, height, width, 3))
    with Image.open(path) as film:
        return [np.asarray(each.convert("RGB")) for each in ImageSequence.Iterator(film)]


@pytest.fixture(params=[*FILES, "frames"])
def path(request, tmp_path):
    if request.param.endswith("mp4"):
        pytest.importorskip("imageio_ffmpeg")
    return tmp_path / request.param


def test_a_film_is_read_back(path):
    with FrameWriter(path) as film:
        for image in frames():
            film.write(image)
    found = read(path)
    assert len(found) == 5
    for there, image in zip(found, frames(), strict=True):
        assert there.shape == image.shape
        # Away from the edge, where the colour of four pixels is one: rounding, and the loss of the codec.
        difference = np.abs(there.astype(int) - image)
        assert difference[:, 16:].max() <= 4
        assert difference[:, :8].max() <= 4
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_holds_numbered_pictures_without_loss(tmp_path):
    with FrameWriter(tmp_path / "frames") as film:
        for number, image in enumerate(frames(), start=1):
            film.write(image)
            np.testing.assert_array_equal(Image.open(tmp_path / "frames" / f"{number:04d}.png"), image)


def test_sides_of_an_mp4_are_made_even_by_repeating_the_border(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    with FrameWriter(tmp_path / "film.mp4") as film:
        for image in frames(31, 47):
            film.write(image)
    found = read(tmp_path / "film.mp4")
    assert found[0].shape == (32, 48, 3)
    assert np.abs(found[0][-1, -1].astype(int) - COLOURS[0]).max() <= 4


def test_an_mp4_is_h264_for_every_player_and_tells_its_colours(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    with FrameWriter(tmp_path / "film.mp4", fps=8) as film:
        for image in frames():
            film.write(image)
    told = subprocess.run([ffmpeg.get_ffmpeg_exe(), "-i", tmp_path / "film.mp4"], capture_output=True, text=True).stderr
    assert "h264" in told
    assert "yuv420p(tv, bt709" in told
    assert "8 fps" in told
    data = (tmp_path / "film.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # a browser can begin before it has the whole


def test_the_brightness_in_an_mp4_is_that_of_bt709(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    with FrameWriter(tmp_path / "film.mp4") as film:
        for colour in COLOURS:
            film.write(np.full((32, 48, 3), colour, "uint8"))
    words = [ffmpeg, "-v", "error", "-i", tmp_path / "film.mp4", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    planes = np.frombuffer(subprocess.run(words, capture_output=True, check=True).stdout, "uint8")
    y = planes.reshape(5, 48, 48)[:, :32]  # U and V, a quarter each, are the rest
    # Source: ITU-R BT.709, 3.2 and 4.6: Y of R, G, B, from 16 to 235.
    expected = 16 + 219 / 255 * (np.array(COLOURS) @ (0.2126, 0.7152, 0.0722))
    np.testing.assert_allclose(y.mean((1, 2)), expected, atol=1)


@pytest.mark.parametrize(
    ("name", "durations"), [("film.gif", [80, 90, 80, 80, 90]), ("film.webp", [83, 84, 83, 83, 84])]
)
def test_frames_last_as_long_as_the_format_can_tell(tmp_path, name, durations):
    with FrameWriter(tmp_path / name, fps=12) as film:
        for image in frames():
            film.write(image)
    with Image.open(tmp_path / name) as found:
        lasted = []
        for each in ImageSequence.Iterator(found):
            each.load()
            lasted.append(each.info["duration"])
        assert lasted == durations
        assert found.info["loop"] == 0  # for ever


@pytest.mark.parametrize("stop", [KeyboardInterrupt, lambda: InterruptedRun("stopped")])
def test_an_interrupt_leaves_the_frames_so_far(path, stop):
    with pytest.raises((KeyboardInterrupt, InterruptedRun)), FrameWriter(path) as film:
        for number, image in enumerate(frames()):
            if number == 3:
                raise stop()
            film.write(image)
    assert len(read(path)) == 3
    assert list(path.parent.iterdir()) == [path]


def test_an_interrupt_within_a_frame_leaves_those_before(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "film.mp4"
    with pytest.raises(KeyboardInterrupt), FrameWriter(path) as film:
        for image in frames():
            film.write(image)
        film.film.process.stdin.write(b"half a frame")
        raise KeyboardInterrupt
    assert len(read(path)) == 5


def test_another_failure_leaves_no_file_and_keeps_an_older_one(path):
    folder = path.suffix == ""
    if not folder:
        path.write_bytes(b"an older film")
    with pytest.raises(ZeroDivisionError), FrameWriter(path) as film:
        for image in frames():
            film.write(image)
        1 / 0  # noqa: B018
    assert list(path.parent.iterdir()) == [path]
    if folder:
        assert len(read(path)) == 5
    else:
        assert path.read_bytes() == b"an older film"


@pytest.mark.parametrize("stop", [None, KeyboardInterrupt])
def test_without_a_frame_there_is_no_film(path, stop):
    try:
        with FrameWriter(path):
            if stop:
                raise stop
    except KeyboardInterrupt:
        pass
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_one_frame_is_a_film(tmp_path, name):
    if name.endswith("mp4"):
        pytest.importorskip("imageio_ffmpeg")
    with FrameWriter(tmp_path / name) as film:
        film.write(next(frames()))
    assert len(read(tmp_path / name)) == 1


def test_a_frame_of_another_size_is_refused(path):
    with pytest.raises(InputError, match=r"are 32 x 48 pixels .*; one of 32 x 50"), FrameWriter(path) as film:
        film.write(next(frames()))
        film.write(next(frames(32, 50)))


def test_a_frame_of_another_type_is_refused(path):
    with (
        pytest.raises(InputError, match=r"a frame is uint8 \(height, width, 3\), not float64"),
        FrameWriter(path) as film,
    ):
        film.write(np.zeros((4, 4, 3)))


def test_what_ffmpeg_cannot_do_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("imageio_ffmpeg")
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\necho 'no space left on device' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(broken))
    (tmp_path / "films").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*film\.mp4: no space left"):  # noqa: SIM117
        with FrameWriter(tmp_path / "films" / "film.mp4") as film:
            for image in frames(400, 600):
                film.write(image)
    assert list((tmp_path / "films").iterdir()) == []


# --- Before long work


def test_an_unknown_suffix_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match=r"\.mp4, \.gif, \.webp, or without suffix as a folder; '\.avi' was received"):
        check_video(tmp_path / "film.avi")


@pytest.mark.parametrize("name", [*FILES, "frames"])
def test_a_missing_folder_is_told_early(tmp_path, name):
    with pytest.raises(InputError, match="there is no folder"):
        check_video(tmp_path / "missing" / name)


def test_a_missing_encoder_is_told_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match="wants imageio-ffmpeg, which is not installed") as caught:
        check_video(tmp_path / "film.mp4")
    assert caught.value.hint == 'pip install "imgnn[video]"'
    check_video(tmp_path / "film.gif")


def test_a_folder_is_no_film_and_a_file_no_folder(tmp_path):
    (tmp_path / "film.gif").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_video(tmp_path / "film.gif")
    (tmp_path / "frames").touch()
    with pytest.raises(InputError, match="is a file"):
        check_video(tmp_path / "frames")


def test_old_and_new_frames_are_not_mixed(tmp_path):
    with FrameWriter(tmp_path) as film:  # an empty folder is as good as none
        film.write(next(frames()))
    with pytest.raises(InputError, match="holds pictures already") as caught:
        check_video(tmp_path)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith("*.png")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_told_early(tmp_path):
    (tmp_path / "frames").mkdir(mode=0o500)
    with pytest.raises(InputError, match="may not be written"):
        check_video(tmp_path / "frames")


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_film_has_a_pace(tmp_path, fps):
    with pytest.raises(InputError, match="frames per second"):
        FrameWriter(tmp_path / "film.gif", fps)
