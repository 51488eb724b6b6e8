from pathlib import Path

import pytest

from imgnn.data.checks import COPIES, Picture, check_classes, check_labels, check_pictures
from imgnn.data.findings import Finding, read_findings, write_findings
from imgnn.errors import InputError
from imgnn.images.inspection import Inspection

WORDS = {0: "cat", 1: "dog"}


def known(number, **facts):
    """What is known of a sound picture; those with the same number are copies."""
    look = int.from_bytes(number.to_bytes(1, "big") * 8, "big") ^ 0x0F0F << number
    facts = {
        "sha256": f"{number:064}",
        "height": 99,
        "width": 99,
        "format": "JPEG",
        "deviation": 50.0,
        "look": look,
        **facts,
    }
    return Inspection(**facts)


def found(*pictures, **options):
    """The findings of pictures given as (path, label, inspection) or (path, label, inspection, part)."""
    return checked(*pictures, **options).findings


def checked(*pictures, settled=(), **options):
    listed = [Picture(path, Path(path), label, *part, settled=path in settled) for path, label, _, *part in pictures]
    return check_pictures(listed, [inspection for _, _, inspection, *_ in pictures], WORDS, **options)


def kinds(findings):
    return [(each.path, each.kind, each.left_out) for each in findings]


def test_nothing_is_found_in_sound_pictures():
    assert found(("a.jpg", 0, known(1)), ("b.jpg", 1, known(2))) == []


@pytest.mark.parametrize(
    ("path", "facts", "kind", "left_out"),
    [
        ("a\nb.jpg", {}, "unwritable_name", True),
        ("a\\b.jpg", {}, "unwritable_name", True),
        (" a.jpg", {}, "unwritable_name", True),
        ("caf\udce9.jpg", {}, "unwritable_name", True),
        ("a.jpg", {"problem": "truncated"}, "truncated", True),
        ("a.jpg", {"problem": "unreadable"}, "missing", True),
        (__file__, {"problem": "unreadable"}, "unreadable", True),
        ("a.jpg", {"sha1": "6a92790b1c2a301c6e7ddef645dca1f53ea97ac2"}, "placeholder", True),
        ("a.jpg", {"height": 31}, "tiny", True),
        ("a.jpg", {"deviation": 0.5}, "blank", True),
        ("a.png", {}, "wrong_extension", False),
        ("a", {}, "wrong_extension", False),
        ("a.jpg", {"frames": 2}, "animated", False),
        ("a.jpg", {"mode": "CMYK"}, "cmyk", False),
        ("a.png", {"mode": "I;16", "format": "PNG"}, "16_bit", False),
        ("a.png", {"alpha": True, "format": "PNG"}, "alpha", False),
        ("a.jpg", {"turned": True}, "turned", False),
        ("a b.jpg", {}, "spaces", False),
    ],
)
def test_what_is_found_of_a_picture(path, facts, kind, left_out):
    assert kinds(found((path, 0, known(1, **facts)))) == [(path, kind, left_out)]


@pytest.mark.parametrize(
    ("path", "format"),
    [("a.JPG", "JPEG"), ("a.jfif", "JPEG"), ("a.jpeg", "MPO"), ("a.tif", "TIFF"), ("a.pgm", "PPM")],
)
def test_a_format_has_several_suffixes(path, format):
    assert found((path, 0, known(1, format=format, frames=1 if format != "MPO" else 2))) == []


def test_of_copies_in_a_class_the_first_is_kept():
    findings = found(("a.jpg", 0, known(1)), ("b.jpg", 0, known(1)), ("c.jpg", 0, known(1)))
    assert [(each.path, each.kind, each.other) for each in findings] == [
        ("b.jpg", "duplicate", "a.jpg"),
        ("c.jpg", "duplicate", "a.jpg"),
    ]


def test_copies_in_two_classes_are_all_left_out():
    findings = found(("a.jpg", 0, known(1)), ("b.jpg", 1, known(1)))
    assert [(each.path, each.kind, each.detail) for each in findings] == [
        ("a.jpg", "conflict", "cat and dog"),
        ("b.jpg", "conflict", "dog and cat"),
    ]


def test_copies_in_two_lists_are_left_out_of_the_larger():
    findings = found(("a.jpg", 0, known(1), 0), ("c.jpg", 0, known(2), 0), ("b.jpg", 0, known(1), 1))
    assert kinds(findings) == [("a.jpg", "leak", True)]


def test_a_path_that_is_listed_twice_is_left_out_once():
    assert kinds(found(("a.jpg", 0, known(1), 0), ("a.jpg", 0, known(1), 0))) == [("a.jpg", "repeated", True)]


def test_the_same_bytes_under_many_names_are_a_placeholder():
    copies = [(f"{number}.jpg", number % 2, known(1)) for number in range(COPIES)]
    assert {each.kind for each in found(*copies)} == {"placeholder"}
    assert {each.kind for each in found(*copies[1:])} == {"conflict"}


def test_pictures_that_are_nearly_the_same_are_kept_together():
    near = known(2, look=known(1).look ^ 0b111)
    result = checked(("a.jpg", 0, known(1)), ("b.jpg", 1, near), ("c.jpg", 0, known(3)))
    assert result.kept == [0, 1, 2]
    assert result.groups[0] == result.groups[1] != result.groups[2]
    assert result.findings == [
        Finding("near_duplicate", "b.jpg", other="a.jpg", detail="3 of 64 bits differ; cat and dog")
    ]


def test_pictures_that_are_nearly_the_same_in_two_lists_leak():
    near = known(2, look=known(1).look ^ 0b111)
    assert kinds(found(("a.jpg", 0, known(1), 0), ("b.jpg", 0, near, 1))) == [("b.jpg", "near_leak", False)]


def test_pictures_with_little_in_them_are_not_like_each_other():
    faint = [(f"{number}.jpg", 0, known(number, look=5, deviation=2.0)) for number in range(3)]
    assert found(*faint) == []


@pytest.mark.parametrize("kind", ["tiny", "blank", "duplicate", "conflict"])
def test_what_is_to_be_kept_is_only_told(kind):
    pictures = [
        ("a.jpg", 0, known(1)),
        ("b.jpg", 0, known(1)),
        ("c.jpg", 0, known(2, height=9)),
        ("d.jpg", 0, known(3, deviation=0.0)),
        ("e.jpg", 0, known(4)),
        ("f.jpg", 1, known(4)),
    ]
    findings = found(*pictures, keep=(kind,))
    assert {each.kind for each in findings if not each.left_out} == {kind}
    assert {each.kind for each in findings} == {"tiny", "blank", "duplicate", "conflict"}


def test_copies_that_are_kept_stay_together():
    result = checked(("a.jpg", 0, known(1)), ("b.jpg", 0, known(1)), keep=("duplicate",))
    assert result.groups[0] == result.groups[1]


def test_a_picture_that_is_in_the_list_stays_and_the_new_copy_goes():
    findings = found(("a.jpg", 0, known(1)), ("z.jpg", 0, known(1)), settled=["z.jpg"])
    assert kinds(findings) == [("a.jpg", "duplicate", True)]
    assert kinds(found(("a.jpg", 0, known(1, height=9)), settled=["a.jpg"])) == [("a.jpg", "tiny", False)]


def test_without_inspections_only_names_are_looked_at(tmp_path):
    (tmp_path / "a b.jpg").write_text("")
    pictures = [Picture(name, tmp_path / name, 0) for name in ("a b.jpg", "c.jpg")]
    result = check_pictures(pictures, None, WORDS)
    assert kinds(result.findings) == [("a b.jpg", "spaces", False), ("c.jpg", "missing", True)]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({0: 10, 1: 10}, []),
        ({0: 2, 1: 10}, [("few", "cat", "2 pictures")]),
        ({0: 0, 1: 10}, [("empty_class", "cat", "")]),
        ({0: 5, 1: 50}, []),
        ({0: 5, 1: 51}, [("imbalance", "dog", "51 pictures, against 5 of cat")]),
    ],
)
def test_what_is_found_of_classes(counts, expected):
    assert [(each.kind, each.path, each.detail) for each in check_classes(counts, WORDS, [])] == expected


@pytest.mark.parametrize(
    ("labels", "kind"),
    [([0, 1, 2], None), ([0], None), ([1, 2], "labels_from_1"), ([0, 3], "label_gap"), ([2], "label_gap")],
)
def test_what_is_found_of_labels(labels, kind):
    assert [each.kind for each in check_labels(labels)] == ([kind] if kind else [])


def test_findings_are_read_as_they_were_written(tmp_path):
    findings = [
        Finding("duplicate", "a b.jpg", other="c.jpg"),
        Finding("tiny", "d.jpg", detail="3 x 3 pixels"),
        Finding("blank", "e.jpg"),
    ]
    write_findings(tmp_path / "x_quarantine.txt", findings)
    assert list(read_findings(tmp_path / "x_quarantine.txt")) == findings
    assert (tmp_path / "x_quarantine.txt").read_text() == (
        "a b.jpg\tduplicate\tc.jpg\nd.jpg\ttiny\t\t3 x 3 pixels\ne.jpg\tblank\n"
    )


def test_a_name_that_would_break_its_line_is_escaped(tmp_path):
    write_findings(tmp_path / "x", [Finding("unwritable_name", "a\n\tcaf\udce9.jpg")])
    assert (tmp_path / "x").read_bytes() == b"a\\n\\tcaf\\xe9.jpg\tunwritable_name\n"


def test_a_line_without_a_finding_is_named(tmp_path):
    (tmp_path / "x").write_text("a.jpg\ttiny\nb.jpg 7\n")
    with pytest.raises(InputError, match=r"x, line 2: a line is `path`, a tab and a finding; found 'b.jpg 7'"):
        list(read_findings(tmp_path / "x"))
