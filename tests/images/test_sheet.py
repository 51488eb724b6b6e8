import numpy as np
import pytest
from PIL import ImageFont

from imgnn.errors import InputError
from imgnn.images.sheet import Lettering, contact_sheet, lines_of

RED, BLUE = (255, 0, 0), (0, 0, 255)


def picture(height, width, colour=RED):
    return np.full((height, width, 3), colour, "uint8")


def box_of(sheet, colour):
    """First row, first column, height and width of what has a colour."""
    rows, columns = np.nonzero((sheet == colour).all(-1))
    return rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1


def ink_of(sheet):
    """Rows and columns of letters: dark and without colour."""
    return np.nonzero((sheet.max(-1) < 128) & (np.ptp(sheet.astype(int), axis=-1) == 0))


def test_pictures_are_fitted_and_not_distorted():
    sheet = contact_sheet([[picture(100, 300), picture(200, 100, BLUE)]], cell=(150, 200))
    assert sheet.dtype == np.uint8
    assert box_of(sheet, RED)[2:] == (67, 200)
    assert box_of(sheet, BLUE)[2:] == (150, 75)


def test_a_cell_has_the_shape_of_the_pictures():
    sheet = contact_sheet([[picture(300, 400), picture(600, 800, BLUE)]])
    assert box_of(sheet, RED)[2:] == box_of(sheet, BLUE)[2:] == (288, 384)


def test_thumbnails_are_enlarged_so_that_they_can_be_labelled():
    assert box_of(contact_sheet([[picture(32, 32)]], captions=[["conv1:7"]]), RED)[2:] == (160, 160)


def test_rows_and_columns_are_where_they_were_given():
    sheet = contact_sheet([[picture(9, 9), picture(9, 9, BLUE)], [picture(9, 9, BLUE)]])
    height, width, _ = sheet.shape
    assert (sheet[height // 4, width // 4] == RED).all()
    assert (sheet[height // 4, 3 * width // 4] == BLUE).all()
    assert (sheet[3 * height // 4, width // 4] == BLUE).all()
    assert (sheet[3 * height // 4, 3 * width // 4] == 255).all()  # a row may be short


def test_labels_stand_around_the_pictures_and_not_on_them():
    images = [[picture(90, 160)] * 2] * 2
    sheet = contact_sheet(images, column_labels=["10", "100"], row_labels=["vgg19", "nin"])
    top, left, height, width = box_of(sheet, RED)
    rows, columns = ink_of(sheet)
    assert ((rows < top) | (columns < left)).all()
    middles = [top + height / 4, top + 3 * height / 4]
    for side, others, expected in (
        (rows[columns < left - 10], None, middles),
        (columns[(rows < top) & (rows > top - 20)], left, [left + width / 4, left + 3 * width / 4]),
    ):
        found = side if others is None else side[side > others]
        if others is None:
            found = found[found > top]
        for place in expected:
            near = found[np.abs(found - place) < 20]
            assert np.ptp(near) > 3
            assert abs((near.min() + near.max()) / 2 - place) < 5
    assert (sheet[0] == 255).all()


def test_a_caption_stands_below_its_picture():
    row, captions = [picture(80, 160), picture(160, 160, BLUE)], ["conv1:7\nmean 3.2", "conv1:9"]
    sheet = contact_sheet([row], captions=[captions])
    for colour in (RED, BLUE):  # the low picture stands on its caption as the high one does
        top, left, height, width = box_of(sheet, colour)
        assert top + height == 160 + 6
        rows, columns = ink_of(sheet)
        inside = rows[(columns >= left) & (columns < left + width)]
        assert inside.min() >= top + height
        assert inside.min() < top + height + 12


def test_a_long_label_loses_its_middle():
    letters, font = Lettering(14), ImageFont.load_default(14)
    short = letters.shorten("a_very_long_name_of_a_photo_0017.jpg", 120)
    start, end = short.split("…")
    assert "a_very_long_name_of_a_photo_0017.jpg".startswith(start)
    assert end.endswith("7.jpg")
    assert 100 < font.getlength(short) <= 120
    assert letters.shorten("short.jpg", 120) == "short.jpg"
    assert letters.shorten("wide", 1) == "…"


def test_a_long_label_stays_in_its_cell():
    sheet = contact_sheet([[picture(160, 160)] * 2], captions=[["x" * 200, ""]])
    assert ink_of(sheet)[1].max() < 6 + 160
    contact_sheet([[picture(9, 9)]], row_labels=["y" * 200], column_labels=["z" * 200])


def test_letters_that_the_font_lacks_are_written_in_others():
    assert lines_of("café 3 × 4\n犬.jpg") == ["cafe 3 x 4", "?.jpg"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: contact_sheet([]), "at least one picture"),
        (lambda: contact_sheet([[], []]), "at least one picture"),
        (lambda: contact_sheet([[np.zeros((4, 4, 3))]]), r"uint8 \(height, width, 3\), not float64"),
        (lambda: contact_sheet([[picture(4, 4)] * 2], column_labels=["a"]), "each of 2 columns, not 1"),
        (lambda: contact_sheet([[picture(4, 4)]], row_labels=["a", "b"]), "each of 1 rows, not 2"),
        (lambda: contact_sheet([[picture(4, 4)]], captions=[["a", "b"]]), "a caption for each picture"),
    ],
)
def test_what_makes_no_sheet_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
