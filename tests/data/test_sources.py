import gzip
import json
import time

import pytest

from imgnn.data.sources import Reading, Source
from imgnn.data.synsets import descendants, read_words
from imgnn.errors import InputError


def lines(path, content, **reading):
    """(url, label) of every line."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(each.url, each.label) for each in Source(path).lines(Reading(**reading))]


def test_a_text_has_an_address_on_each_line_and_its_name_is_the_class(tmp_path):
    found = lines(tmp_path / "cats.txt", "http://a/1.jpg\n\n# a note\r\n  http://a/2.jpg  \n")
    assert found == [("http://a/1.jpg", "cats"), ("http://a/2.jpg", "cats")]


def test_commas_in_addresses_are_part_of_them(tmp_path):
    assert lines(tmp_path / "x.txt", "http://a/w_300,h_200/1.jpg?a=1,2\n") == [
        ("http://a/w_300,h_200/1.jpg?a=1,2", "x")
    ]


def test_a_label_that_is_given_is_everybodys(tmp_path):
    assert lines(tmp_path / "x.txt", "http://a/1.jpg\n", label="cat") == [("http://a/1.jpg", "cat")]


def test_imagenets_list_names_the_synset_before_a_tab(tmp_path):
    found = lines(tmp_path / "urls.txt", "n02121808_12\thttp://a/1.jpg\nn02084071_3\thttp://a/2.jpg\n")
    assert found == [("http://a/1.jpg", "n02121808"), ("http://a/2.jpg", "n02084071")]


def test_bytes_that_are_no_utf_8_are_read_as_latin_1(tmp_path):
    assert lines(tmp_path / "x.txt", b"http://a/caf\xe9.jpg\n") == [("http://a/caf%C3%A9.jpg", "x")]


def test_what_is_no_address_is_kept_with_the_reason(tmp_path):
    (tmp_path / "x.txt").write_text("ftp://a/1.jpg\nfile:///etc/passwd\nhello\nhttp://\nhttp://a:99999/\n")
    found = list(Source(tmp_path / "x.txt").lines(Reading()))
    assert [each.url for each in found] == [
        "ftp://a/1.jpg",
        "file:///etc/passwd",
        "hello",
        "http://",
        "http://a:99999/",
    ]
    assert all(each.refusal for each in found)


def test_signed_addresses_stay_as_they_were_written(tmp_path):
    address = "https://a/b%2Fc.jpg?X-Sig=a%2Bb%2F&e=%3D"
    assert lines(tmp_path / "x.txt", address + "\n") == [(address, "x")]


def test_a_table_is_read_by_the_usual_names_of_columns(tmp_path):
    found = lines(
        tmp_path / "x.csv", 'id,Image_URL,label,_split\n7,"http://a/1,2.jpg",3,train\n8,http://a/3.jpg,,test\n'
    )
    assert found == [("http://a/1,2.jpg", "3"), ("http://a/3.jpg", "")]


def test_a_table_is_read_by_the_columns_that_are_named(tmp_path):
    found = lines(tmp_path / "x.tsv", "a\tb\nhttp://a/1.jpg\tcat\n", url_column="a", label_column="2")
    assert found == [("http://a/1.jpg", "cat")]


def test_a_table_without_a_header_loses_no_row(tmp_path):
    content = "http://a/1.jpg,cat\nhttp://a/2.jpg,dog\n"
    assert lines(tmp_path / "x.csv", content) == [("http://a/1.jpg", ""), ("http://a/2.jpg", "")]
    found = lines(tmp_path / "y.csv", content, url_column="1", label_column="2")
    assert found == [("http://a/1.jpg", "cat"), ("http://a/2.jpg", "dog")]


def test_a_class_and_a_tab_are_read_in_a_file_called_tsv_too(tmp_path):
    assert lines(tmp_path / "x.tsv", "cat\thttp://a/1.jpg\n") == [("http://a/1.jpg", "cat")]


def test_semicolons_between_columns_are_seen(tmp_path):
    assert lines(tmp_path / "x.csv", "URL;Label\nhttp://a/1,2.jpg;cat\n") == [("http://a/1,2.jpg", "cat")]


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path):
    with pytest.raises(InputError, match="has no column 'link'; it has 'url', 'text'"):
        lines(tmp_path / "x.csv", "url,text\nhttp://a/1.jpg,a\n", url_column="link")
    with pytest.raises(InputError, match=r"has no column of addresses .*; it has 'href', 'text'"):
        lines(tmp_path / "y.csv", "href,text\nhttp://a/1.jpg,a\n")


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x"])
def test_json_lines_are_rows(tmp_path, name):
    rows = [{"url": "http://a/1.jpg", "label": 3.0}, {"url": "http://a/2.jpg", "label": None}]
    found = lines(tmp_path / name, "\n".join(map(json.dumps, rows)))
    assert found == [("http://a/1.jpg", "3"), ("http://a/2.jpg", "")]


def test_a_json_list_may_hold_bare_addresses(tmp_path):
    assert lines(tmp_path / "x.json", '["http://a/1.jpg", {"url": "http://a/2.jpg"}]') == [
        ("http://a/1.jpg", ""),
        ("http://a/2.jpg", ""),
    ]


def test_parquet_is_read(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow.table({"url": ["http://a/1.jpg", "http://a/2.jpg"], "class": ["cat", None]})
    parquet.write_table(table, tmp_path / "x.parquet")
    found = [(each.url, each.label) for each in Source(tmp_path / "x.parquet").lines(Reading())]
    assert found == [("http://a/1.jpg", "cat"), ("http://a/2.jpg", "")]


def test_damaged_parquet_is_one_line(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "x.parquet"
    parquet.write_table(arrow.table({"url": ["http://a/1.jpg"]}), path)
    whole = path.read_bytes()
    path.write_bytes(b"PAR1" + b"\x15" * 16 + (16).to_bytes(4, "little") + whole[-4:])  # a footer of nothing but tags
    with pytest.raises(InputError, match=r"^cannot read \S*x.parquet: [^\n]+\Z"):
        list(Source(path).lines(Reading()))
    parquet.write_table(arrow.table({"url": ["a"], "day": arrow.array([2**30], arrow.date32())}), path)
    with pytest.raises(InputError, match=r"^cannot read \S*x.parquet: days="):  # no year has it
        list(Source(path).lines(Reading()))


def test_lists_may_be_packed(tmp_path):
    assert lines(tmp_path / "dogs.txt.gz", gzip.compress(b"http://a/1.jpg\n")) == [("http://a/1.jpg", "dogs")]
    assert lines(tmp_path / "x.csv.gz", gzip.compress(b"url,label\nhttp://a/1.jpg,a\n")) == [("http://a/1.jpg", "a")]


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"\xff\xd8\xff\xe0" + bytes(99), "a JPEG picture"), (b"PK\x03\x04" + bytes(99), "a ZIP archive")],
)
def test_what_is_no_list_is_told(tmp_path, content, told):
    with pytest.raises(InputError, match=told):
        lines(tmp_path / "x", content)


def test_a_packed_list_that_ends_too_early_is_told(tmp_path):
    packed = gzip.compress("".join(f"http://a/{n}.jpg\n" for n in range(9999)).encode())
    with pytest.raises(InputError, match=r"cannot read .*x\.txt\.gz"):
        lines(tmp_path / "x.txt.gz", packed[: len(packed) // 2])


def test_a_packed_list_that_is_damaged_is_told(tmp_path):
    packed = bytearray(gzip.compress("".join(f"http://a/{n}.jpg\n" for n in range(9999)).encode()))
    packed[2000:2100] = bytes(100)
    with pytest.raises(InputError, match=r"cannot read .*x\.txt\.gz"):
        lines(tmp_path / "x.txt.gz", bytes(packed))


def test_half_a_letter_of_json_is_no_reason_to_stop(tmp_path):
    found = lines(tmp_path / "x.jsonl", r'{"url": "http://a/\ud800.jpg", "label": "\udfff"}')
    assert [label for _, label in found] == ["?"]


@pytest.mark.parametrize("text", ["9" * 5_000, "[" * 100_000, '{"url": ' * 100_000])
def test_numbers_and_brackets_without_end_are_no_json(tmp_path, text):
    for name in ("x.json", "x.jsonl"):
        with pytest.raises(InputError, match="is no JSON: "):
            lines(tmp_path / name, text)


def test_a_table_whose_first_line_is_empty_has_no_header(tmp_path):
    with pytest.raises(InputError, match="is empty; a table with a header is expected"):
        lines(tmp_path / "x.csv", "\nhttp://a/1.jpg,cat\n")


def test_a_class_of_thousands_of_digits_is_a_name(tmp_path):
    found = lines(
        tmp_path / "x.csv", f"url,label\nhttp://a/1.jpg,{'1' * 5_000}\nhttp://a/2.jpg,007\n", words={"7": "b"}
    )
    assert found == [("http://a/1.jpg", "1" * 5_000), ("http://a/2.jpg", "b")]
    (tmp_path / "words.txt").write_text(f"{'1' * 5_000} a\n000 b\n", encoding="utf-8")
    assert read_words(tmp_path / "words.txt").keys() == {"1" * 5_000, "0"}


def test_words_name_the_folders(tmp_path):
    (tmp_path / "words.txt").write_text("n02123045 tabby, tabby cat\nn02084071\tdog, domestic dog\n")
    (tmp_path / "styles.txt").write_text("\n".join(["Detailed", "Pastel", *map(str, range(9))]))
    assert read_words(tmp_path / "words.txt") == {"n02123045": "n02123045 tabby", "n02084071": "n02084071 dog"}
    assert read_words(tmp_path / "styles.txt")["1"] == "01 Pastel"
    (tmp_path / "numbered.txt").write_text("00 Detailed\n01 Pastel\n")
    named = lines(tmp_path / "n.csv", "url,label\nhttp://a/1.jpg,1\n", words=read_words(tmp_path / "numbered.txt"))
    assert named == [("http://a/1.jpg", "01 Pastel")]
    found = lines(tmp_path / "u.txt", "n02123045_1\thttp://a/1.jpg\n", words=read_words(tmp_path / "words.txt"))
    assert found == [("http://a/1.jpg", "n02123045 tabby")]


def test_kinds_of_a_synset_are_found_at_any_depth(tmp_path):
    (tmp_path / "is_a.txt").write_text("n00000001 n00000002\nn00000002 n00000003\nn00000009 n00000008\n")
    kinds = descendants("n00000001", tmp_path / "is_a.txt")
    assert kinds == {"n00000001", "n00000002", "n00000003"}
    found = lines(tmp_path / "u.txt", "n00000003_1\thttp://a/1.jpg\nn00000008_1\thttp://a/2.jpg\n", synsets=kinds)
    assert found == [("http://a/1.jpg", "n00000003")]


def test_a_synset_that_nobody_knows_is_told(tmp_path):
    (tmp_path / "is_a.txt").write_text("n00000001 n00000002\n")
    with pytest.raises(InputError, match="does not name n00000007"):
        descendants("n00000007", tmp_path / "is_a.txt")


# Boke


PAGE_2020 = """<html><body><div class="photo-content"><img src="//h/o.jpg"></div>
<div id="content">
  <div class="boke">
    <a class="boke-text" href="/boke/12"><div> one </div></a><div class="boke-stars"><a>★ 1,024</a></div>
  </div>
  <div class="boke">
    <a class="boke-text" href="/boke/13"><div>two</div></a><div class="boke-stars"><a>★ 3</a></div>
  </div>
</div></body></html>"""

PAGE_2018 = """<html><body><div class="content-boke"><div class="boke">
  <div class="boke-photo"><div class="boke-photo-content"><a><img src="//h/a.jpg"></a></div></div>
  <a class="boke-text" href="https://bokete.jp/boke/7">ha</a>
</div></div></body></html>"""


def boke(path):
    return [(each.url, each.boke.text, each.boke.star, each.boke.number) for each in Source(path).lines(Reading())]


def test_a_page_of_boke_is_read_in_the_layout_of_2020(tmp_path):
    (tmp_path / "page.html").write_text(PAGE_2020)
    assert boke(tmp_path / "page.html") == [
        ("https://h/o.jpg", "one", 1024, "12"),
        ("https://h/o.jpg", "two", 3, "13"),
    ]


def test_a_page_of_boke_is_read_in_the_layout_of_2018(tmp_path):
    (tmp_path / "page.html").write_text(PAGE_2018)
    assert boke(tmp_path / "page.html") == [("https://h/a.jpg", "ha", None, "7")]


def test_elements_in_elements_cost_no_time(tmp_path):
    entry = '<div class="boke-entry"><div class="photo"><img src="a.jpg"></div><p class="boke_read">{}</p>'
    nested = "".join(entry.format(number) for number in range(90))
    found = list(Source(write_page(tmp_path, nested)).lines(Reading()))
    assert [each.boke.text for each in found] == ["0"]  # one that lies in another is a part of it
    start = time.process_time()
    with pytest.raises(InputError, match="is no page that can be read: 8,000 elements lie in one another"):
        list(Source(write_page(tmp_path, '<div class="boke-entry">' * 8_000)).lines(Reading()))
    digits = '<input class="boke-id" value="{}x">'.format("1" * 200_000 + "y")
    found = list(Source(write_page(tmp_path, entry.format("one") + digits)).lines(Reading()))
    assert found[0].boke.number == "1" * 200_000
    assert time.process_time() - start < 2


def write_page(folder, body):
    path = folder / "x.html"
    path.write_text(f"<!DOCTYPE html>{body}", encoding="utf-8")
    return path


def test_a_page_without_boke_is_told(tmp_path):
    (tmp_path / "page.html").write_text("<!DOCTYPE html><html><body>hello</body></html>")
    with pytest.raises(InputError, match="a web page without a boke"):
        boke(tmp_path / "page.html")


def test_pages_of_2013_are_read(shared):
    pages = shared / "data/boke/pages"
    hot, user = boke(pages / "hot_success.html"), boke(pages / "user_boke.html")
    assert (len(hot), len(user)) == (10, 10)
    assert hot[0][2:] == (1324, "11141771")
    assert user[0][2:] == (None, "10673830")
    assert all(url.startswith("https://") and text for url, text, *_ in hot + user)


def test_a_can_of_boke_brings_its_pictures_along(tmp_path):
    (tmp_path / "can/images").mkdir(parents=True)
    (tmp_path / "can/images/1.jpg").write_bytes(b"..")
    (tmp_path / "can/boke.csv").write_text(
        "id,odai_photo_url,text,category,rate_sum,odai_photo_by\n"
        '5,/images/1.jpg,"two\nlines",バカ,12,me\n6,/../../etc/passwd,x,,3,\n'
    )
    good, bad = Source(tmp_path / "can").lines(Reading())
    assert good.url == (tmp_path / "can/images/1.jpg").as_uri()
    assert (good.boke.text, good.boke.star, good.boke.number, good.boke.credit) == ("two\nlines", 12, "5", "me")
    assert "names no file of the can" in bad.refusal


def test_a_zero_in_the_name_of_a_cans_picture_is_no_reason_to_stop(tmp_path):
    text = "id,odai_photo_url,text,rate_sum\n1,/images/a\0.jpg,one,3\n2,/images/b.jpg,two,4\n"
    (tmp_path / "boke.csv").write_text(text, encoding="utf-8")
    found = list(Source(tmp_path).lines(Reading()))
    assert [each.boke.text for each in found] == ["one", "two"]


# The real lists


def test_the_list_of_flickr_style_is_read_whole(shared):
    found = list(Source(shared / "data/imagenet/flickr_style.csv.gz").lines(Reading()))
    assert len(found) == 80_000
    assert not any(each.refusal for each in found)
    assert {each.label for each in found} == {str(n) for n in range(20)}
    assert sum(each.split == "train" for each in found) == 64_000


def test_a_real_list_of_one_synset_is_read_whole(shared):
    found = list(Source(shared / "data/imagenet/clock_synset_urls.txt").lines(Reading()))
    assert len(found) == 1076
    assert not any(each.refusal for each in found)
