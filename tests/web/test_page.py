"""The page in a real browser: Chromium without a window, before a server whose model only pretends."""

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from imgnn.training.run_folder import packaged_model
from tests.web.made_server import MadeServer, made_server, paint

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")
expect = sync_api.expect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

VIEWS = ("check", "playground", "studio", "data")
PATIENCE = 10_000  # ms until something must have appeared


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory) -> Iterator[MadeServer]:
    with made_server(tmp_path_factory.mktemp("server"), steps=20, pause=0.04) as server:
        yield server


@pytest.fixture
def server(shared_server) -> MadeServer:
    """With an empty gallery and no ratings."""
    for job in list(shared_server.site.studio.jobs.values()):
        shared_server.site.studio.cancel(job)
        shared_server.site.studio.remove(job)
    return shared_server


class Visit:
    """A tab at a server; what a visitor would not want to happen is written down."""

    def __init__(self, browser, address: str, **context) -> None:
        self.context = browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 900}, **context})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.address, self.complaints = address, []
        self.page.on("console", self.hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self.look)

    def hear(self, said) -> None:
        # A picture so far may be replaced between the answer that names it and the request for it.
        replaced = "404" in said.text and "/picture?v=" in said.location["url"]
        if said.type == "error" and not replaced:
            self.complaints.append(said.text)

    def look(self, request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws") and not request.url.startswith(self.address):
            self.complaints.append(f"asked another host: {request.url}")

    def to(self, view: str):
        self.page.goto(f"{self.address}/#/{view}")
        self.page.locator("main .view > div").wait_for()
        return self.page


@pytest.fixture
def visit(browser):
    """Open a view: `visit(server, "check", locale="ja-JP")` gives the page. No error may be left on its console."""
    visits: list[Visit] = []

    def open_view(server: MadeServer, view: str = "check", **context):
        visits.append(Visit(browser, server.address, **context))
        page = visits[-1].to(view)
        page.complaints = visits[-1].complaints
        return page

    yield open_view
    for each in visits:
        each.context.close()
    assert [said for each in visits for said in each.complaints] == []


def generate(page) -> None:
    page.get_by_role("button", name="Generate").click()
    page.locator("article").first.wait_for()


def loaded(image) -> bool:
    image.scroll_into_view_if_needed()
    return image.evaluate("each => each.decode().then(() => each.naturalWidth > 0)")


def choose(page, *files: Path, styles: bool = False) -> None:
    where = "input[type=file][multiple]" if styles else "input[type=file]:not([multiple], [capture])"
    page.locator(where).first.set_input_files(files)


@pytest.fixture
def photo(tmp_path) -> Path:
    return paint(tmp_path / "photo.png", 3, (320, 240))


# ---- Generate


def test_generate_shows_each_picture_beside_what_the_model_and_people_say(server, visit):
    page = visit(server)
    generate(page)
    articles = page.locator("article")
    assert articles.count() == 2
    known = [each for each in server.site.runs[0].pictures if each.split == "val"]
    for place in range(2):
        article = articles.nth(place)
        assert loaded(article.locator(".picture img"))
        assert article.locator(".said > li").count() == 5
        best, stars = max(zip(known[place].sentences, known[place].stars, strict=True), key=lambda each: each[1] or 0)
        reference = article.locator(".data-says li").first
        expect(reference.locator(".line")).to_have_text(best)
        expect(reference.locator(".stars")).to_contain_text(f"★ {stars}")
    first = articles.first.locator(".said > li").first
    expect(first).to_contain_text("−1.25 per token")
    expect(first).to_contain_text("new")
    expect(articles.first.locator(".said > li").nth(1)).to_contain_text("a copy")
    expect(page.locator("#live")).to_have_text("2 more pictures.")


def test_more_goes_on_to_the_last_picture(server, visit):
    page = visit(server)
    generate(page)
    page.get_by_role("button", name="More").click()
    expect(page.locator("article")).to_have_count(4)  # all of val
    expect(page.get_by_text("That was the last picture.")).to_be_visible()
    expect(page.get_by_role("button", name="More")).to_be_hidden()
    sources = page.locator("article .picture img").evaluate_all("all => all.map(each => each.src)")
    assert len(set(sources)) == 4


def test_n_brings_more_unless_it_is_switched_off(server, visit):
    page = visit(server)
    generate(page)
    page.get_by_label("The key N brings more").uncheck()
    page.keyboard.press("n")
    page.wait_for_timeout(300)
    expect(page.locator("article")).to_have_count(2)
    page.get_by_label("The key N brings more").check()
    page.keyboard.press("n")
    expect(page.locator("article")).to_have_count(4)


def test_mismatch_shows_the_training_picture_that_lends(server, visit):
    page = visit(server)
    page.get_by_role("radio", name="Training").check()
    page.get_by_role("radio", name="Mismatch").check()
    generate(page)
    donor = page.locator("article .donor").first
    expect(donor).to_contain_text("said of")
    expect(donor).to_contain_text("distance 1.10")
    assert loaded(donor.locator("img"))
    expect(page.locator("article").first).to_have_accessible_name("Picture 1 of 8")


def test_a_thumb_is_saved_shown_again_and_taken_back(server, visit):
    page = visit(server)
    generate(page)
    row = page.locator("article").first.locator(".said > li").first
    text = row.locator(".line").inner_text()
    up, down = row.get_by_role("button", name=f"Funny: {text}", exact=True), row.get_by_role("button", name="Not funny")

    def saved() -> list[int]:
        lines = (server.folder / "ratings.jsonl").read_text(encoding="utf-8").splitlines()
        return [each["star"] for each in map(json.loads, lines) if each["boke"] == text]

    up.click()
    expect(up).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#live")).to_have_text("Saved.")
    assert saved() == [1]
    page.reload()
    generate(page)
    expect(up).to_have_attribute("aria-pressed", "true")
    down.click()
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(up).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#live")).to_have_text("Saved.")
    assert saved() == [-1]
    down.click()
    expect(page.locator("#live")).to_have_text("Taken back.")
    expect(down).to_have_attribute("aria-pressed", "false")
    assert saved() in ([], [0])


def test_a_thumb_that_could_not_be_saved_is_not_shown(server, visit):
    page = visit(server)
    generate(page)
    page.route("**/api/rate", lambda route: route.fulfill(status=500, json={"detail": "the disk is full"}))
    thumb = page.locator(".rate button").first
    thumb.click()
    expect(page.get_by_role("alert").filter(visible=True)).to_have_text("the disk is full")
    expect(thumb).to_have_attribute("aria-pressed", "false")
    page.complaints.clear()  # the browser itself notes a 500


# ---- Playground


def test_a_photo_gets_captions_and_boke_with_the_settings_of_the_sliders(server, visit, photo):
    page = visit(server, "playground")
    choose(page, photo)
    temperature = page.get_by_label("Temperature")
    temperature.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page.locator("output").first).to_have_text("1.00")
    page.get_by_label("How many lines").fill("3")
    page.get_by_role("button", name="What do you say?").click()
    result = page.locator("article")
    expect(result).to_contain_text("a moon over a field, said with 5")
    assert result.locator("ol.said").first.locator("li").count() == 3
    assert loaded(result.locator(".frame img"))
    asked = server.voices.asked[-1][1]
    assert (asked.n, asked.temperature, asked.beam, asked.seed) == (3, 1.0, 5, 0)

    page.get_by_role("button", name="Again, other lines").click()
    expect(page.locator("article")).to_have_count(2)
    assert server.voices.asked[-1][1].seed == 1
    expect(page.locator("article").first).to_contain_text("seed 1")
    page.get_by_role("button", name="Remove").first.click()
    expect(page.locator("article")).to_have_count(1)
    expect(page.locator("article")).to_contain_text("seed 0")


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_photo_is_pasted_or_dropped(server, visit, photo, way):
    page = visit(server, "playground")
    page.evaluate(
        """([bytes, way]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "pasted.png", { type: "image/png" }));
            const event = way === "paste"
                ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
                : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
            document.querySelector(way === "paste" ? "body" : ".drop").dispatchEvent(event);
        }""",
        [list(photo.read_bytes()), way],
    )
    assert loaded(page.locator(".drop img"))
    page.get_by_role("button", name="What do you say?").click()
    expect(page.locator("article")).to_have_accessible_name("Lines for pasted.png")


def test_what_is_no_picture_is_refused_in_words(server, visit, tmp_path):
    page = visit(server, "playground")
    alert = page.get_by_role("alert").filter(visible=True)
    page.get_by_role("button", name="What do you say?").click()
    expect(alert).to_have_text("A photo is wanted first.")
    (tmp_path / "notes.txt").write_text("milk, bread")
    choose(page, tmp_path / "notes.txt")
    expect(alert).to_contain_text("That is not a picture.")
    (tmp_path / "large.png").write_bytes(bytes(21 << 20))
    choose(page, tmp_path / "large.png")
    expect(alert).to_contain_text("large.png is too large; 20 MB are the most.")
    (tmp_path / "wrong.png").write_text("milk, bread")
    choose(page, tmp_path / "wrong.png")
    page.get_by_role("button", name="What do you say?").click()
    expect(alert).to_contain_text("JPEG, PNG, WebP or GIF")
    page.complaints.clear()  # the browser itself notes a 400


# ---- Studio


def start_style(page, photo: Path) -> None:
    choose(page, photo)
    choose(page, photo, styles=True)
    page.get_by_role("button", name="Start").click()
    page.locator("article.job").first.wait_for()


@pytest.fixture
def calm_server(tmp_path) -> Iterator[MadeServer]:
    """Whose jobs take three seconds: the page looks at them every second."""
    with made_server(tmp_path, steps=20, pause=0.15) as server:
        yield server


def test_a_style_job_is_watched_downloaded_and_there_after_a_reload(calm_server, visit, photo):
    server = calm_server
    page = visit(server, "studio")
    page.get_by_role("radio", name="A sketch").check()
    page.get_by_role("radio", name="Much").check()
    page.evaluate("""() => {
        window.seen = new Set();
        new MutationObserver(() => {
            for (const each of document.querySelectorAll("article.job img")) window.seen.add(each.src);
        }).observe(document, { subtree: true, childList: true, attributes: true });
    }""")
    start_style(page, photo)
    job = page.locator("article.job")
    download = job.get_by_role("link", name="Download")
    download.wait_for()
    assert len(page.evaluate("[...window.seen].filter(each => each.includes('/picture'))")) >= 2  # it changed
    expect(job.get_by_role("heading")).to_have_text("Painting")
    expect(page.locator("#live")).to_have_text("The picture is done.")
    with page.expect_download() as event:
        download.click()
    content = Path(event.value.path()).read_bytes()
    assert content == next(iter(server.site.studio.jobs.values())).picture().read_bytes()
    assert Image.open(io.BytesIO(content)).size == (320, 240)

    page.reload()
    hung = page.locator(".gallery > li")
    expect(hung).to_have_count(1)
    assert loaded(hung.locator("img"))
    hung.get_by_text("Settings and command").click()
    expect(hung.locator("dl")).to_contain_text("style weight")
    expect(hung.locator("code")).to_contain_text("imgnn style content.png style1.png")
    expect(hung.locator("code")).to_contain_text("--style-weight=400")
    expect(hung.locator("code")).to_contain_text("--iterations=20")
    hung.get_by_role("button", name="Remove").click()
    expect(hung).to_have_count(0)
    assert server.site.studio.jobs == {}


@pytest.fixture
def slow_server(tmp_path) -> Iterator[MadeServer]:
    """Whose jobs take a minute."""
    with made_server(tmp_path, steps=600, pause=0.1) as server:
        yield server


def test_jobs_wait_for_their_turn_survive_a_reload_and_are_cancelled(slow_server, visit, photo):
    page = visit(slow_server, "studio")
    start_style(page, photo)
    expect(page.locator("article.job").first).to_contain_text("in the making")
    page.get_by_role("radio", name="Dream on it").check()
    page.get_by_role("button", name="Start").click()
    expect(page.locator("article.job")).to_have_count(2)
    expect(page.locator("article.job").first).to_contain_text("Dream, waiting")

    page.reload()
    dream, painting = page.locator("article.job").first, page.locator("article.job").nth(1)
    expect(dream).to_contain_text("number 1 in the queue")
    dream.get_by_role("button", name="Cancel").click()
    expect(dream).to_contain_text("Dream, stopped early")
    under_way = re.compile("[1-9]")  # per cent of 600 steps: there is a picture so far
    expect(painting.locator("progress, [role=progressbar]")).to_have_attribute("aria-valuenow", under_way)
    painting.get_by_role("button", name="Cancel").click()
    expect(painting).to_contain_text("Painting, stopped early")
    assert loaded(painting.locator(".frame img"))  # the work so far


def test_a_job_that_fails_says_why(server, visit, photo):
    page = visit(server, "studio")
    page.get_by_text("More settings").click()
    page.get_by_label("Seed").fill("13")
    start_style(page, photo)
    expect(page.locator("article.job")).to_contain_text("13 brings bad luck")
    expect(page.locator("article.job").get_by_role("heading")).to_have_text("Painting, failed")


# ---- Data


def test_data_is_drawn_and_told_as_tables(server, visit):
    page = visit(server, "data")
    expect(page.locator(".big")).to_contain_text("12")  # pictures
    counts = page.locator("table").first
    expect(counts.get_by_role("row", name="Training")).to_contain_text("8")
    expect(page.locator("svg.chart path.train")).to_have_count(2)
    expect(page.locator("svg.chart path.floor")).to_have_count(1)
    section = page.locator(".chart-of", has=page.get_by_role("heading", name="Average loss"))
    section.get_by_text("As a table").click()
    expect(section.get_by_role("row").nth(1)).to_have_text("16.970")  # epoch 1, 6.77 + 0.2


# ---- The page


@pytest.mark.parametrize("locale", ["en-GB", "ja-JP"])
def test_nothing_is_wider_than_a_phone(server, visit, photo, locale):
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    page = visit(server, "check", locale=locale, **phone)
    page.locator("button.main").first.click()
    page.locator("article").first.wait_for()
    for view in VIEWS:
        page.locator(f".views a[href='#/{view}']").click()
        expect(page.locator(f".views a[href='#/{view}']")).to_have_attribute("aria-current", "page")
        page.locator("main .view > div").wait_for()
        if view == "playground":
            choose(page, photo)
            page.locator("button.main").first.click()
            page.locator("article").wait_for()
        if view == "studio":
            for each in page.locator("summary").all():
                each.click()
        if view == "data":
            page.locator("svg.chart").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360, view
        small = page.locator("button, .views a, summary, .choices label").evaluate_all(
            "all => all.filter(each => each.checkVisibility() && each.getBoundingClientRect().height < 32)"
            ".map(each => each.outerHTML)"
        )
        assert small == []  # a finger finds them


def test_a_keyboard_is_enough(server, visit):
    page = visit(server)

    def tab_to(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
                return
        raise AssertionError(f"Tab does not reach {selector}")

    tab_to(".skip")
    page.keyboard.press("Enter")
    tab_to("form .main")
    page.keyboard.press("Enter")
    page.locator("article").first.wait_for()
    page.keyboard.press("n")
    expect(page.locator("article")).to_have_count(4)
    expect(page.locator("article").nth(2)).to_be_focused()
    tab_to(".rate button")
    page.keyboard.press("Space")
    expect(page.locator("article").nth(2).locator(".rate button").first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#live")).to_have_text("Saved.")
    page.keyboard.press("Space")
    expect(page.locator("#live")).to_have_text("Taken back.")


def test_another_view_takes_the_focus_to_its_heading(server, visit):
    page = visit(server)
    page.get_by_role("link", name="Data").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("What it was raised on")
    assert page.title() == "Data · imgnn"
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("What has it learned?")


def test_what_was_made_in_a_view_is_still_there_when_one_comes_back(server, visit):
    page = visit(server)
    generate(page)
    page.get_by_role("link", name="Data").click()
    expect(page.locator("article")).to_have_count(0)
    page.get_by_role("button", name="日本語").click()
    page.get_by_role("link", name="確かめる").click()
    expect(page.locator("article")).to_have_count(2)
    expect(page.locator(".said .chip").first).to_have_text("新作")


def test_the_link_to_the_content_stays_in_the_view(server, visit):
    page = visit(server, "studio")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_have_text("Paint and dream")


def brightness(page) -> float:
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))
    return float(np.median(pixels))


def test_light_and_dark_follow_the_system_until_one_is_chosen(server, visit):
    page = visit(server, color_scheme="dark")
    assert brightness(page) < 60
    page.emulate_media(color_scheme="light")
    assert brightness(page) > 230
    page.get_by_role("button", name="Switch between light and dark").click()
    assert brightness(page) < 60
    page.reload()
    page.locator("main .view > div").wait_for()
    assert brightness(page) < 60


def test_the_language_is_the_browsers_until_one_is_chosen(server, visit):
    page = visit(server, locale="ja-JP")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    page.get_by_role("button", name="ボケて").click()
    page.locator("article").first.wait_for()
    expect(page.locator(".said .chip").first).to_have_text("新作")
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator(".said .chip").first).to_have_text("new")  # results stay, in the other language
    assert page.title() == "Generate · imgnn"
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("What has it learned?")
    # What is said keeps its own language, for the voice that reads it out.
    generate(page)
    languages = dict(page.locator(".line").evaluate_all("all => all.map(each => [each.textContent, each.lang])"))
    assert {text: "en" if text.isascii() else "ja" for text in languages} == languages


def test_both_languages_have_every_word(server, visit):
    page = visit(server)
    words = page.evaluate("import('/page/words.js').then(module => module.WORDS)")

    def holes(text) -> set[str]:
        texts = text.values() if isinstance(text, dict) else [text]
        return {hole.split("}")[0] for each in texts for hole in each.split("{")[1:]}

    assert words["en"].keys() == words["ja"].keys()
    assert [key for key in words["en"] if not holes(words["ja"][key]) <= holes(words["en"][key]) | {"n"}] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_reference_of_the_api_is_readable(server, visit, scheme, width):
    page = visit(server, color_scheme=scheme, viewport={"width": width, "height": 740})
    page.locator("footer a").click()
    page.get_by_role("heading", name="The API").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    violations = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in violations if each["impact"] != "moderate"] == []
    page.get_by_role("link", name="GenerateRequest").first.click()
    expect(page.get_by_role("heading", name="GenerateRequest")).to_be_in_viewport()
    page.get_by_role("link", name="imgnn").click()
    page.get_by_role("heading", level=1).wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(server, visit, photo, scheme):
    page = visit(server, "studio", color_scheme=scheme)
    start_style(page, photo)
    page.get_by_role("link", name="Download").wait_for()
    found = {}
    for view in VIEWS:
        page.goto(f"{server.address}/#/{view}")
        page.locator("main .view > div").wait_for()
        if view == "check":
            generate(page)
        if view == "playground":
            choose(page, photo)
            page.locator("button.main").first.click()
            page.locator("article").wait_for()
        if view == "studio":
            page.locator(".gallery > li, article.job").first.wait_for()
        if view == "data":
            page.locator("svg.chart").first.wait_for()
        page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
        page.evaluate("Promise.all(document.getAnimations().map(each => each.finished.catch(() => 0)))")
        violations = axe.Axe().run(page).response["violations"]
        found[view] = [
            (each["id"], each["nodes"][0]["html"]) for each in violations if each["impact"] in ("serious", "critical")
        ]
    assert found == {view: [] for view in VIEWS}


# ---- The server is not ready, not open, or not there


@pytest.fixture
def packaged_server(tmp_path) -> Iterator[MadeServer]:
    """Of `imgnn serve` without a model."""
    networks = {kind: ["mini", "random"] for kind in ("style", "dream")}
    with made_server(tmp_path, models=[packaged_model()], networks=networks) as server:
        yield server


def test_with_the_model_that_came_with_imgnn_one_s_own_photo_comes_first(packaged_server, visit, photo):
    page = visit(packaged_server, "")
    expect(page.get_by_role("heading", level=1)).to_have_text("Try a photo of yours")
    expect(page.locator(".views a[aria-current]")).to_have_text("Playground")
    assert page.locator("input[name=play-mode]").evaluate_all("all => all.map(each => each.value)") == [
        "mismatch",
        "model",
    ]
    choose(page, photo)
    page.get_by_role("button", name="What do you say?").click()
    article = page.locator("article")
    expect(article.locator(".donor").first).to_contain_text("said of photo 12")
    expect(article.locator(".donor img, .chip")).to_have_count(0)  # neither its picture nor what is new is known
    expect(article).to_contain_text("a moon over a field")
    page.get_by_role("link", name="Studio").click()
    assert page.locator("select[name=network]").first.input_value() == "mini"
    page.get_by_role("link", name="imgnn", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Try a photo of yours")
    expect(page.locator("article")).to_have_count(1)


@pytest.mark.parametrize(
    ("view", "english", "japanese"),
    [
        ("check", "There is nothing to look at here", "ここで見られる写真がありません"),
        ("data", "There is nothing to count here", "数えられるデータがありません"),
    ],
)
def test_with_it_empty_views_say_why_and_what_fills_them(packaged_server, visit, view, english, japanese):
    page = visit(packaged_server, view)
    expect(page.get_by_text(english)).to_be_visible()
    expect(page.locator("code")).to_contain_text("imgnn train caption captions.jsonl -o captions_run")
    expect(page.locator("code")).to_contain_text("imgnn serve --model captions_run")
    page.get_by_role("button", name="日本語").click()
    expect(page.get_by_text(japanese)).to_be_visible()
    page.get_by_role("link", name="付属のモデルで写真を試す").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("あなたの写真で")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("view", ["check", "data"])
def test_with_it_the_empty_views_are_readable(packaged_server, visit, view, width, scheme):
    page = visit(packaged_server, view, color_scheme=scheme, viewport={"width": width, "height": 740})
    page.locator(".panel").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    violations = axe.Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in violations if each["impact"] != "moderate"] == []


def test_the_page_waits_while_models_load(tmp_path, visit):
    with made_server(tmp_path, loading=2.0) as server:
        page = visit(server)
        expect(page.get_by_text("The models are being loaded.")).to_be_visible()
        expect(page.get_by_role("button", name="Generate")).to_be_visible()
        generate(page)


def test_a_photo_that_was_chosen_in_the_studio_stays_when_the_models_are_there(tmp_path, visit, photo):
    with made_server(tmp_path, loading=2.0) as server:
        page = visit(server, "studio")
        choose(page, photo)
        assert server.site.status == "loading"
        with page.expect_response(lambda answer: answer.url.endswith("/state") and answer.json()["status"] == "ready"):
            pass
        assert loaded(page.locator(".drop img").first)
        page.get_by_role("link", name="Generate").click()
        generate(page)


def test_a_server_that_goes_is_noticed_and_found_again(tmp_path, visit):
    with contextlib.ExitStack() as first:
        server = first.enter_context(made_server(tmp_path))
        page = visit(server)
        port = urlsplit(server.address).port
    page.get_by_role("button", name="Generate").click()
    banner = page.locator("#banner")
    expect(banner).to_contain_text("The server does not answer.")
    with made_server(tmp_path, port=port):
        expect(banner).to_be_hidden()
        generate(page)
    page.complaints.clear()  # the browser itself notes refused connections


def test_a_token_is_asked_for(tmp_path, visit):
    with made_server(tmp_path, token="open-sesame") as server:
        page = visit(server)
        dialog = page.get_by_role("dialog", name="This page wants a token")
        dialog.get_by_label("Token").fill("sesame")
        dialog.get_by_role("button", name="Enter").click()
        expect(dialog.get_by_role("alert")).to_have_text("That is not it.")
        dialog.get_by_label("Token").fill("open-sesame")
        page.keyboard.press("Enter")
        expect(dialog).to_be_hidden()
        generate(page)
        page.reload()  # the cookie stands for it
        generate(page)
        page.complaints.clear()  # the browser itself notes a 401
