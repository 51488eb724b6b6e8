"""What each route gives, and what it refuses in words."""

import io
import json
import re
import time

import numpy as np
import pytest
from PIL import Image

from imgnn import __version__
from imgnn.errors import InputError, WeightsError
from imgnn.images.files import load_image
from imgnn.training.run_folder import packaged_model
from tests.web.made_server import PAINTED, Spoken, paint

VAL = list(range(PAINTED - 4, PAINTED))  # the made run's pictures for validation


def upload(data, name="photo.jpg"):
    return {"picture": (name, data, "image/jpeg")}


# What there is -------------------------------------------------------------------------------------------------


def test_state_tells_models_modes_and_limits(client):
    state = client.get("/api/state").json()
    assert (state["version"], state["status"], state["problem"], state["token"]) == (__version__, "ready", None, False)
    assert [model["kind"] for model in state["models"]] == ["boke", "caption"]
    assert state["models"][0] == {
        "kind": "boke",
        "name": "boke_run",
        "network": "googlenet",
        "tokenizer": "chars",
        "packaged": False,
        "pictures": {"train": 8, "val": 4},
    }
    assert state["modes"] == ["model", "mismatch", "retrieve"]
    assert (state["captions"], state["limits"]["picture_bytes"]) == (True, 20 * 1024 * 1024)
    assert state["networks"] == {"style": ["squeezenet-v1.1", "googlenet"], "dream": ["googlenet"]}


def test_a_run_of_captions_alone_lends_first(start):
    with start(kinds=("caption",)) as client:
        assert client.get("/api/state").json()["modes"] == ["mismatch", "model", "retrieve"]


def test_the_model_that_came_with_imgnn_speaks_of_uploads_and_knows_no_pictures(start, photo):
    with start(models=[packaged_model()]) as client:
        state = client.get("/api/state").json()
        assert state["models"] == [
            {
                "kind": "caption",
                "name": "captions-mini",
                "network": "mini",
                "tokenizer": "ptb",
                "packaged": True,
                "pictures": {"train": 0, "val": 0},
            }
        ]
        assert (state["modes"], state["captions"]) == (["mismatch", "model"], True)
        for split in ("train", "val"):
            made = client.post("/api/generate", json={"split": split}).json()
            assert made == {"items": [], "more": None, "total": 0, "gone": 0}
        played = client.post("/api/playground", files=upload(photo), data={"n": 2}).json()
        assert (len(played["captions"]), [line["mode"] for line in played["boke"]]) == (1, ["mismatch"] * 2)
        assert {line["donor"]["image"] for line in played["boke"]} == {None}
        refused = client.post("/api/playground", files=upload(photo), data={"mode": "retrieve"})
        told = "the model captions-mini keeps no sentences of its pictures: no mode retrieve"
        assert (refused.status_code, refused.json()["detail"]) == (409, told)
        data = client.get("/api/data").json()
        assert (data["train"], data["val"], data["epochs"]) == ({"boke": 0, "images": 0},) * 2 + ([],)
        rating = {"picture": None, "text": "x", "mode": "mismatch", "value": 1}
        assert client.post("/api/rate", json=rating).json() == {"liked": 1, "disliked": 0}
        assert client.post("/api/rate", json={**rating, "picture": 0}).status_code == 404


def test_while_the_models_load_the_page_is_there_and_they_are_asked_again_later(start, photo):
    with start(loading=1.0) as client:
        assert client.get("/api/state").json()["status"] == "loading"
        for asked in (client.post("/api/generate", json={}), client.post("/api/playground", files=upload(photo))):
            assert (asked.status_code, asked.json()["detail"]) == (503, "loading")
            assert asked.headers["Retry-After"] == "2"
        deadline = time.monotonic() + 10
        while client.get("/api/state").json()["status"] == "loading" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert client.post("/api/generate", json={}).status_code == 200


def test_models_that_cannot_be_loaded_are_told_and_the_rest_works(start):
    def refuse(*_):
        raise WeightsError("best.npz does not fit itself", hint="train it again")

    with start(load=refuse) as client:
        deadline = time.monotonic() + 10
        while (state := client.get("/api/state").json())["status"] == "loading" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert (state["status"], state["problem"]) == (
            "failed",
            "best.npz does not fit itself (Try: train it again)",
        )
        assert client.post("/api/generate", json={}).json()["detail"] == state["problem"]
        assert client.get("/api/data").status_code == 200


@pytest.mark.parametrize("error", [InputError, WeightsError, OSError])
def test_why_they_cannot_is_told_without_paths(start, tmp_path, error):
    def refuse(runs):
        raise error(f"cannot read {runs[0].folder}/best.npz, nor {tmp_path}/x.keras")

    with start(load=refuse) as client:
        deadline = time.monotonic() + 10
        while (state := client.get("/api/state").json())["status"] == "loading" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert state["problem"].endswith("cannot read boke_run/best.npz, nor x.keras")


def test_data_counts_what_the_run_knows(client):
    data = client.get("/api/data").json()
    # Picture number n has 1 + n % 3 boke; 0..7 are for training.
    assert (data["train"], data["val"]) == ({"boke": 15, "images": 8}, {"boke": 9, "images": 4})
    assert data["boke_per_image"] == [
        {"label": "1", "train": 3, "val": 1},
        {"label": "2", "train": 3, "val": 1},
        {"label": "3", "train": 2, "val": 2},
    ]
    assert sum(bar["train"] for bar in data["lengths"]) == 15
    assert [bar["label"] for bar in data["stars"]] == ["0", "1-9", "10-99", "100-999", "unknown"]
    assert data["stars"][-1] == {"label": "unknown", "train": 1, "val": 0}
    assert data["average_loss"][0] == pytest.approx(6.97)
    assert [data["epochs"][0][name] for name in ("epoch", "floor")] == [1, 0.6]


# Pictures ------------------------------------------------------------------------------------------------------


def test_a_known_picture_comes_small_and_encoded_anew(start, tmp_path):
    with start() as client:
        large = tmp_path / "made" / "boke_run" / "pictures" / "3.jpg"
        paint(large, 3, (1600, 1200))
        exif = Image.Exif()
        exif[0x010E] = "where I live"
        Image.open(large).save(large, exif=exif)
        answer = client.get("/api/pictures/3")
        shown = Image.open(io.BytesIO(answer.content))
        assert (answer.headers["Content-Type"], shown.format, shown.size) == ("image/jpeg", "JPEG", (800, 600))
        assert b"where I live" not in answer.content
        again = client.get("/api/pictures/3", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        paint(large, 4, (1600, 1200))
        changed = client.get("/api/pictures/3", headers={"If-None-Match": answer.headers["ETag"]})
        assert (changed.status_code, changed.headers["ETag"] != answer.headers["ETag"]) == (200, True)


@pytest.mark.parametrize("id", ["24", "99999", "-1", "1e3", "..%2fstate", "%2e%2e%2fconfig.json", "0x1", "3.jpg"])
def test_only_numbers_of_known_pictures_are_pictures(client, id):
    """The made runs know 24 pictures together: 0 to 23."""
    assert client.get(f"/api/pictures/{id}").status_code in (404, 422)


def test_a_picture_whose_file_is_gone_is_404_without_its_path(start, tmp_path):
    with start() as client:
        (tmp_path / "made" / "boke_run" / "pictures" / "3.jpg").unlink()
        answer = client.get("/api/pictures/3")
        assert answer.status_code == 404
        assert str(tmp_path) not in answer.text


def test_a_known_file_that_is_no_picture_is_not_given(start, tmp_path):
    with start() as client:
        (tmp_path / "made" / "boke_run" / "pictures" / "3.jpg").write_text("root:x:0:0")
        answer = client.get("/api/pictures/3")
        assert answer.status_code == 404
        assert "root" not in answer.text and str(tmp_path) not in answer.text


# Sentences -----------------------------------------------------------------------------------------------------


def test_generate_gives_boke_beside_the_best_references(client):
    made = client.post("/api/generate", json={"count": 3, "n": 4, "split": "val"}).json()
    assert [item["id"] for item in made["items"]] == VAL[:3]
    assert (made["more"], made["total"], made["gone"]) == (3, 4, 0)
    first = made["items"][0]
    assert [line["mode"] for line in first["boke"]] == ["model"] * 4
    stars = [reference["stars"] for reference in first["references"]]
    assert stars == sorted(stars, reverse=True) == [120, 13, 7]
    assert (first["image"], first["width"], first["height"]) == ("/api/pictures/8", 480, 360)


def test_more_goes_on_to_the_end(client):
    made = client.post("/api/generate", json={"count": 12, "offset": 3, "n": 1}).json()
    assert ([item["id"] for item in made["items"]], made["more"]) == (VAL[3:], None)
    past = client.post("/api/generate", json={"offset": 1000}).json()
    assert (past["items"], past["more"]) == ([], None)


def test_a_borrowed_boke_names_its_donor_with_a_picture(client):
    made = client.post("/api/generate", json={"count": 1, "n": 2, "mode": "mismatch"}).json()
    donor = made["items"][0]["boke"][0]["donor"]
    assert set(donor) == {"name", "distance", "image"}
    assert "/" not in donor["name"]
    assert client.get(donor["image"]).headers["Content-Type"] == "image/jpeg"


def test_settings_reach_the_model(client):
    asked = {"mode": "mismatch", "n": 2, "temperature": 1.3, "top_p": 0.5, "distance": "middle", "contrast": 0.25}
    client.post("/api/generate", json={**asked, "seed": 7, "count": 1, "split": "train"})
    files, settings = client.server.voices.asked[-1]
    assert {name: getattr(settings, name) for name in (*asked, "seed")} == {**asked, "seed": 7}
    assert [file.name for file in files] == ["0.jpg"]


def test_pictures_whose_files_are_gone_are_passed_over(start, tmp_path):
    with start() as client:
        (tmp_path / "made" / "boke_run" / "pictures" / "8.jpg").unlink()
        made = client.post("/api/generate", json={"count": 2, "n": 1}).json()
        assert ([item["id"] for item in made["items"]], made["gone"], made["more"]) == ([9, 10], 1, 3)


def test_a_picture_that_goes_while_it_is_looked_at_is_told_without_its_path(start, tmp_path, monkeypatch):
    def gone(files, settings):
        for file in files:
            yield Spoken(file, error=InputError(f"cannot read {file}: No such file"))

    with start() as client:
        monkeypatch.setattr(client.server.voices, "boke", gone)
        (item,) = client.post("/api/generate", json={"count": 1}).json()["items"]
        assert (item["boke"], item["note"]) == ([], "cannot read pictures/8.jpg: No such file")


def test_a_mode_that_the_run_is_not_able_to_is_refused(start, tmp_path):
    with start() as client:
        (tmp_path / "made" / "boke_run" / "pictures.npz").unlink()
    with start() as client:
        assert client.get("/api/state").json()["modes"] == ["model"]
        asked = client.post("/api/generate", json={"mode": "mismatch"})
        assert asked.status_code == 409
        assert "boke_run keeps no features of its pictures" in asked.json()["detail"]


def test_playground_gives_captions_and_boke_for_an_upload(client, photo):
    answer = client.post("/api/playground", files=upload(photo), data={"n": 3, "mode": "model", "beam": 7})
    played = answer.json()
    assert len(played["boke"]) == 3
    assert played["captions"] == [{"text": "a moon over a field, said with 7", "log_prob": -6.4, "per_token": -0.8}]


def test_an_upload_is_looked_at_as_decoded_and_deleted_after(client, photo):
    client.post("/api/playground", files=upload(photo + b"<script>alert(1)</script>", "../../etc/x.php"))
    (file,), _ = client.server.voices.asked[-1]
    assert (file.name, file.exists(), file.parent.exists()) == ("picture.png", False, False)


def spy_on_boke(client, monkeypatch, look):
    """Look at the file of an upload, too, whenever a model is asked for boke."""
    own = client.server.voices.boke

    def spied(files, settings, **uploaded):
        look(files[0])
        return own(files, settings, **uploaded)

    monkeypatch.setattr(client.server.voices, "boke", spied)


def test_an_upload_keeps_its_pixels_and_loses_all_else(client, random, monkeypatch):
    seen = []
    pixels = random.integers(0, 256, (30, 40, 3), dtype="uint8")
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    Image.fromarray(pixels).save(stream, "PNG", exif=exif)
    spy_on_boke(client, monkeypatch, lambda file: seen.append(file.read_bytes()))
    assert client.post("/api/playground", files=upload(stream.getvalue())).status_code == 200
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(seen[0]))), pixels)
    assert b"where I live" not in seen[0]


def test_a_large_upload_is_kept_small(client, monkeypatch):
    stream, seen = io.BytesIO(), []
    Image.new("RGB", (5000, 3000), "teal").save(stream, "JPEG")
    spy_on_boke(client, monkeypatch, lambda file: seen.append(load_image(file).shape))
    assert client.post("/api/playground", files=upload(stream.getvalue())).status_code == 200
    assert seen == [(1229, 2048, 3)]  # 3000 * 2048 / 5000 = 1228.8


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"n": 0}, "n: "),
        ({"n": 11}, "n: "),
        ({"count": 13}, "count: "),
        ({"offset": -1}, "offset: "),
        ({"temperature": 0}, "temperature: "),
        ({"temperature": "hot"}, "temperature: "),
        ({"top_p": 1.5}, "top_p: "),
        ({"beam": 21}, "beam: "),
        ({"split": "test"}, "split: "),
        ({"mode": "sing"}, "mode: "),
        ({"seed": 2**31}, "seed: "),
        ({"ng": "/etc/passwd"}, "ng: "),
        ([], ""),
    ],
    ids=str,
)
def test_what_is_out_of_its_range_is_422_with_the_name_in_front(client, body, told):
    answer = client.post("/api/generate", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(told)


@pytest.mark.parametrize(
    "body", ['{"temperature": NaN}', '{"temperature": 1e999}', "{", "[" * 5000, "\udcff"], ids=repr
)
def test_what_is_no_json_is_422(client, body):
    answer = client.post(
        "/api/generate", data=body.encode("utf-8", "surrogateescape"), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"detail"}


def test_too_many_that_wait_are_told_to_come_again(start, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from imgnn.web import voices

    monkeypatch.setattr(voices, "WAITING", 2)
    with start(seconds=0.5) as client, ThreadPoolExecutor(6) as crowd:
        answers = list(crowd.map(lambda _: client.post("/api/generate", json={"count": 1, "n": 1}), range(6)))
        codes = sorted(answer.status_code for answer in answers)
        assert codes[0] == 200 and codes[-1] == 503
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert (refused.json()["detail"], refused.headers["Retry-After"]) == ("too many wait already", "5")
        assert client.post("/api/generate", json={"count": 1, "n": 1}).status_code == 200, "the queue is empty again"


def test_an_answer_that_takes_too_long_is_given_up_and_its_work_with_it(start, monkeypatch):
    from imgnn.web import voices

    monkeypatch.setattr(voices, "PATIENCE", 0.3)
    with start(seconds=0.5) as client:
        answer = client.post("/api/generate", json={"count": 4, "n": 1})
        assert (answer.status_code, answer.json()["detail"]) == (503, "no answer within 0 seconds")
        while client.server.site.worker.waiting:
            time.sleep(0.05)
        assert client.server.voices.spoken < 4


def test_the_page_answers_while_the_models_work(start):
    from concurrent.futures import ThreadPoolExecutor

    with start(seconds=3.0) as client, ThreadPoolExecutor(1) as other:
        working = other.submit(client.post, "/api/generate", json={"count": 1, "n": 1})
        time.sleep(0.2)
        began = time.monotonic()
        assert client.get("/api/state").status_code == 200
        assert time.monotonic() - began < 1.5
        assert working.result().status_code == 200


# Ratings -------------------------------------------------------------------------------------------------------


def test_a_rating_is_kept_shown_again_and_taken_back(start, tmp_path):
    with start() as client:
        file = tmp_path / "made" / "page" / "ratings.jsonl"
        item = client.post("/api/generate", json={"count": 1, "n": 2}).json()["items"][0]
        text = item["boke"][1]["text"]
        rating = {"picture": item["id"], "text": text, "mode": "model", "value": 1}
        assert client.post("/api/rate", json=rating).json() == {"liked": 1, "disliked": 0}
        kept = json.loads(file.read_text())
        picture = tmp_path / "made" / "boke_run" / "pictures" / "8.jpg"
        assert {name: kept[name] for name in ("boke", "star", "images", "mode", "model")} == {
            "boke": text,
            "star": 1,
            "images": [{"path": str(picture)}],
            "mode": "model",
            "model": "boke_run",
        }
        again = client.post("/api/generate", json={"count": 1, "n": 2}).json()["items"][0]
        assert [line["rating"] for line in again["boke"]] == [0, 1]
        assert client.post("/api/rate", json={**rating, "value": -1}).json() == {"liked": 0, "disliked": 1}
        assert len(file.read_text().splitlines()) == 1
    with start() as client:  # it survives a restart
        again = client.post("/api/generate", json={"count": 1, "n": 2}).json()["items"][0]
        assert [line["rating"] for line in again["boke"]] == [0, -1]
        assert client.post("/api/rate", json={**rating, "value": 0}).json() == {"liked": 0, "disliked": 0}
        assert file.read_text() == ""


def test_a_rating_that_cannot_be_kept_is_told_without_its_path(start):
    with start() as client:
        client.server.site.ratings.path = client.server.folder / "gone" / "ratings.jsonl"
        answer = client.post("/api/rate", json={"picture": 0, "text": "x", "mode": "model", "value": 1})
        assert answer.status_code == 409
        assert answer.json()["detail"] == "cannot write page/gone/ratings.jsonl: No such file or directory"


def test_a_rated_upload_has_no_picture(start, tmp_path):
    with start() as client:
        rating = {"picture": None, "text": "お前もか", "mode": "retrieve", "value": 1}
        assert client.post("/api/rate", json=rating).json() == {"liked": 1, "disliked": 0}
        assert json.loads((tmp_path / "made" / "page" / "ratings.jsonl").read_text())["images"] == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"picture": 99}, 404),
        ({"picture": -1}, 422),
        ({"picture": "../../etc"}, 422),
        ({"value": 2}, 422),
        ({"value": 100_000}, 422),
        ({"text": ""}, 422),
        ({"text": "x" * 501}, 422),
        ({"mode": None}, 422),
        ({"path": "/etc/passwd"}, 422),
    ],
    ids=str,
)
def test_ratings_of_what_is_not_there_are_refused(client, changes, code):
    rating = {"picture": 1, "text": "x", "mode": "model", "value": 1}
    assert client.post("/api/rate", json={**rating, **changes}).status_code == code


# The page and the reference ------------------------------------------------------------------------------------


def test_the_page_s_files_are_given_by_name_with_their_types(client):
    page = client.get("/")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert client.get("/page/page.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert client.get("/page/page.css").headers["Content-Type"] == "text/css; charset=utf-8"
    again = client.get("/", headers={"If-None-Match": page.headers["ETag"]})
    assert (again.status_code, page.headers["Cache-Control"]) == (304, "no-cache")


@pytest.mark.parametrize(
    "path", ["../api.py", "..%2fapi.py", "%2e%2e/api.py", "....//api.py", "/etc/passwd", "x.js", "..%5capi.py", "%00"]
)
def test_nothing_else_is(client, path):
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(client.server.address).netloc, timeout=10)
    connection.putrequest("GET", f"/page/{path}")  # as it stands; requests would tidy it
    connection.endheaders()
    assert connection.getresponse().status == 404
    connection.close()


def test_the_reference_has_every_route_and_nothing_from_elsewhere(client):
    page = client.get("/api/docs").text
    document = client.get("/api/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"<code>{method.upper()} {path}</code>" in page
    assert "GenerateRequest" in page
    assert "<code>temperature</code></dt><dd><span>number, ≥ 0.05, ≤ 2, default 0.8</span> More dares more." in page
    assert "&#x27;train&#x27; | &#x27;val&#x27;, default &#x27;val&#x27;" in page
    places, links = (set(re.findall(found, page)) for found in (r'id="(.+?)"', r'href="#(.+?)"'))
    assert links <= places and len(links) > 30
    for style in re.findall(r'rel="stylesheet" href="(.+?)"', page):
        assert client.get(style).headers["Content-Type"].startswith("text/css")
    assert "<script" not in page and "http" not in page and " style=" not in page


def test_every_route_says_in_its_description_how_it_may_refuse(client):
    document = client.get("/api/openapi.json").json()
    assert len(document["paths"]) == 10
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            codes = set(route["responses"])
            assert {"400", "401"} <= codes, path
            if method == "post":
                assert {"403", "413", "422", "429"} <= codes, path
            assert route["description"], path
            for code, answer in route["responses"].items():
                if code >= "400":
                    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Problem"}


def test_an_error_of_ours_shows_no_traceback(client, monkeypatch, photo):
    def fail(*_):
        raise RuntimeError("secret at /home/me/imgnn.py")

    monkeypatch.setattr(client.server.voices, "boke", fail)
    for answer in (client.post("/api/generate", json={}), client.post("/api/playground", files=upload(photo))):
        assert answer.status_code == 500
        assert answer.json() == {"detail": "the server failed at this; its terminal tells more"}
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_failure_of_a_job_is_its_one_line(client, monkeypatch):
    def fail(*_):
        raise InputError(f"{client.server.site.runs[0].folder} does not know its pictures", hint="--donors FOLDER")

    monkeypatch.setattr(client.server.voices, "boke", fail)
    answer = client.post("/api/generate", json={})
    assert answer.status_code == 409
    assert answer.json() == {"detail": "boke_run does not know its pictures"}, "no path, no option"
