import pytest

from imgnn.data.robots import Robots, refused_by_tag


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("User-agent: *\nDisallow: /a/\n", False),
        ("User-agent: *\nDisallow: /a/\nAllow: /a/b\n", True),  # the longer rule counts
        ("User-agent: *\nDisallow: /*.jpg$\n", False),
        ("User-agent: imgnn\nAllow: /\n\nUser-agent: *\nDisallow: /\n", True),
        ("User-agent: other\nDisallow: /\n", True),
        ("", True),
    ],
)
def test_robots_txt_is_read_as_rfc_9309_has_it(text, allowed):
    assert Robots(200, text).allows("http://h/a/b.jpg") is allowed


@pytest.mark.parametrize(("status", "allowed"), [(404, True), (403, True), (500, False), (503, False), (None, False)])
def test_a_robots_txt_that_is_missing_forbids_nothing_and_one_that_fails_everything(status, allowed):
    assert Robots(status).allows("http://h/a.jpg") is allowed


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        (["noai"], "noai"),
        (["all, NoImageAI"], "noimageai"),
        (["otherbot: noindex, nofollow"], None),
        (["imgnn: noindex"], "noindex"),
        (["otherbot: noindex", "none"], "none"),
        (["unavailable_after: 25 Jun 2040 15:00:00 PST"], None),
        (["nofollow"], None),
        ([], None),
    ],
)
def test_directives_that_mean_us_refuse_us(headers, refused):
    assert refused_by_tag(headers) == refused
