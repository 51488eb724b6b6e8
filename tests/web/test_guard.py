"""What must not get in: other names, other sites, strangers, crowds, floods."""

import http.client
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from imgnn.web import guard
from imgnn.web import server as module
from imgnn.web.guard import Buckets, Gate, Hosts, Refused, is_loopback, without_paths

RATING = {"picture": 0, "text": "x", "mode": "model", "value": 0}


def port_of(client):
    return urlsplit(client.server.address).port


# Names (DNS rebinding) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT"])
def test_this_machine_s_own_names_come_in(client, name):
    host = name.replace("PORT", str(port_of(client)))
    assert client.get("/api/state", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:PORT",
        "localhost.evil.example:PORT",
        "127.0.0.1.evil.example:PORT",
        "127.0.0.1:1",
        "127.0.0.1",
        "evil.example@127.0.0.1:PORT",
        "127.0.0.1:PORT@evil.example",
        "127.0.0.1:PORT/",
        "127.0.0.1:PORT#",
        "127.0.0.1:PORTx",
        "192.168.0.7:PORT",
        "0.0.0.0:PORT",
        "[::1",
        "",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/state", "/api/pictures/0"])
def test_any_other_name_does_not(client, host, path):
    answer = client.get(path, headers={"Host": host.replace("PORT", str(port_of(client)))})
    assert answer.status_code == 400
    assert b"boke_run" not in answer.content


def test_two_names_do_not(client):
    with socket.create_connection(("127.0.0.1", port_of(client))) as wire:
        own = f"127.0.0.1:{port_of(client)}"
        wire.sendall(f"GET /api/state HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n".encode())
        assert wire.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_gate_refuses_two_names_and_none_whatever_the_server_makes_of_them():
    gate = Gate(Hosts("127.0.0.1", 8000))
    for names in ([b"127.0.0.1:8000", b"evil.example"], [b"127.0.0.1:8000"] * 2, []):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", name) for name in names]}
        with pytest.raises(Refused):
            gate.check(scope)


def test_a_server_for_everybody_goes_by_bare_addresses_and_the_machine_s_name():
    """A name of another site can be made to point here; a bare address cannot be another site's."""
    hosts, own = Hosts("0.0.0.0", 8000), socket.gethostname()
    for host in ("192.168.0.7:8000", "[fe80::1]:8000", "localhost:8000", f"{own}:8000", f"{own}.local:8000"):
        assert host in hosts
    for host in ("evil.example:8000", "192.168.0.7:80", "192.168.0.7"):
        assert host not in hosts
    assert "192.168.0.7" in Hosts("0.0.0.0", 80)
    named = Hosts("studio.home", 8000)
    assert "studio.home:8000" in named
    assert "192.168.0.7:8000" not in named


@pytest.mark.parametrize(
    ("host", "own"),
    [
        *((host, True) for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "", "192.168.0.7", "localhost.evil.example")),
    ],
)
def test_only_loopback_needs_no_token(host, own):
    assert is_loopback(host) == own


# Other sites (CSRF) --------------------------------------------------------------------------------------------

CHANGES = [
    ("POST", "/api/generate"),
    ("POST", "/api/playground"),
    ("POST", "/api/rate"),
    ("POST", "/api/studio"),
    ("POST", "/api/session"),
    ("DELETE", "/api/studio/0123456789abcdef"),
]


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "what"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1:PORT.evil.example"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
def test_another_site_changes_nothing(client, method, path, headers):
    headers = {name: value.replace("PORT", str(port_of(client))) for name, value in headers.items()}
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        answer = client.ask(method, path, headers={**headers, "Content-Type": kind}, data=b"{}")
        assert (answer.status_code, answer.json()["detail"]) == (403, "another site may not ask for this")


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_our_own_page_and_programs_may(client, name):
    origin = f"http://{name}:{port_of(client)}"
    own = {"Origin": origin, "Host": origin.removeprefix("http://"), "Sec-Fetch-Site": "same-origin"}
    for headers in (own, {}, {"Sec-Fetch-Site": "none"}):
        assert client.post("/api/rate", json=RATING, headers=headers).status_code == 200


def test_no_other_site_is_invited_by_cors(client):
    headers = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for method in ("OPTIONS", "GET"):
        answer = client.ask(method, "/api/rate", headers=headers)
        assert answer.status_code == 405
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_json_has_to_say_that_it_is(client):
    """A form of another site can send any text, but not this type."""
    answer = client.post("/api/rate", data=b'{"picture":0,"text":"x","mode":"model","value":1}')
    assert answer.status_code == 422
    headers = {"Content-Type": "text/plain"}
    assert client.post("/api/generate", data=b"{}", headers=headers).status_code == 422


# Strangers (the token) -----------------------------------------------------------------------------------------

TOKEN = "correct-horse-battery-staple"


def test_without_the_token_nothing_is_given(start):
    with start(token=TOKEN) as client:
        document = ["/api/state", "/api/data", "/api/pictures/0", "/api/studio", "/api/docs", "/api/openapi.json"]
        for path in document:
            answer = client.get(path)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
            assert b"boke_run" not in answer.content
        for method, path in CHANGES:
            assert client.ask(method, path).status_code in (401, 422), path
        assert client.post("/api/session", json={"token": "x"}).status_code == 401
        assert client.get("/").status_code == 200, "the page itself asks for the token"


def test_the_token_comes_as_a_header(start):
    with start(token=TOKEN) as client:
        assert client.get("/api/state", headers={"Authorization": f"Bearer {TOKEN}"}).json()["token"] is True
        for wrong in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer ", "", "Basic eDp5", "Bearer \u00fc"):
            headers = {"Authorization": wrong.encode("utf-8")}
            assert client.get("/api/state", headers=headers).status_code == 401
        assert client.get(f"/api/state?token={TOKEN}").status_code == 401, "addresses are kept in histories"


@pytest.mark.parametrize("way", ["address", "session"])
def test_the_token_becomes_a_cookie_that_no_script_reads(start, way):
    with start(token=TOKEN) as client:
        if way == "address":
            answer = client.get(f"/?token={TOKEN}")
            assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        else:
            answer = client.post("/api/session", json={"token": TOKEN})
            assert (answer.status_code, answer.content) == (204, b"")
        cookie = answer.headers["Set-Cookie"]
        assert cookie == f"imgnn-{port_of(client)}={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
        assert client.get("/api/state", headers={"Cookie": cookie.split(";")[0]}).status_code == 200
        assert client.get("/api/state", headers={"Cookie": cookie.split(";")[0] + "x"}).status_code == 401
        assert client.get("/api/state", headers={"Cookie": f"token={TOKEN}; \x01=;;"}).status_code in (400, 401)


@pytest.mark.parametrize("query", ["?token=x", "?token=%FF", "?token=&token=x"])
def test_a_wrong_token_in_the_address_brings_no_cookie(start, query):
    with start(token=TOKEN) as client:
        answer = client.get(f"/{query}")
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)


def test_how_long_a_wrong_token_takes_tells_nothing(monkeypatch):
    """The comparison is hmac's, whose time does not depend on how much is right."""
    asked = []
    monkeypatch.setattr(guard.hmac, "compare_digest", lambda one, other: bool(asked.append((one, other))))
    Gate(Hosts("127.0.0.1", 80), TOKEN).is_token("c")
    assert asked == [(b"c", TOKEN.encode())]


# What every answer carries -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/page/none", "/api/state", "/api/pictures/0", "/api/none"])
@pytest.mark.parametrize("host", [None, "evil.example"])
def test_every_answer_carries_the_headers(client, path, host):
    headers = client.get(path, headers={"Host": host} if host else {}).headers
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Opener-Policy"] == headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "geolocation=()" in headers["Permissions-Policy"]
    assert "Server" not in headers


def test_what_changes_is_not_cached(client):
    assert client.get("/api/state").headers["Cache-Control"] == "no-store"


# Crowds (rate) -------------------------------------------------------------------------------------------------


def test_a_client_that_asks_too_often_is_told_when_to_come_again(start):
    with start(rate=3) as client:
        answers = [client.post("/api/rate", json=RATING) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
        assert client.get("/api/state").status_code == 200, "looking is free"
        assert client.post("/api/session", json={"token": "guess"}).status_code == 429, "and guessing is not"


def test_a_bucket_fills_at_its_rate():
    buckets = Buckets(60)  # one a second
    assert [buckets.wait("one", 0.0) for _ in range(60)] == [0.0] * 60
    assert buckets.wait("one", 0.0) == pytest.approx(1.0)
    assert buckets.wait("other", 0.0) == 0.0
    assert buckets.wait("one", 0.5) == pytest.approx(0.5)
    assert buckets.wait("one", 1.0) == 0.0
    assert buckets.wait("one", 1.0) == pytest.approx(1.0)


def test_clients_that_left_are_forgotten(monkeypatch):
    monkeypatch.setattr(guard, "MOST_CLIENTS", 10)
    buckets = Buckets(60)
    for number in range(100):
        buckets.wait(f"client {number}", float(number))
    assert len(buckets.left) <= 12


# Floods (sizes) ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/api/generate", 16 << 10),
        ("/api/rate", 16 << 10),
        ("/api/session", 16 << 10),
        ("/api/playground", (20 << 20) + (64 << 10)),
        ("/api/studio", (100 << 20) + (64 << 10)),
    ],
)
def test_a_body_that_says_it_is_too_large_is_not_read(client, path, limit):
    connection = http.client.HTTPConnection(urlsplit(client.server.address).netloc, timeout=10)
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", str(limit + 1))
    connection.endheaders()  # and not a byte more
    with closing(connection):
        answer = connection.getresponse()
        assert (answer.status, b"is larger than" in answer.read()) == (413, True)


@pytest.mark.parametrize(("path", "kind"), [("/api/rate", "json"), ("/api/playground", "form")])
def test_a_body_that_does_not_say_is_read_to_the_limit_and_no_further(client, path, kind, monkeypatch):
    monkeypatch.setitem(guard.UPLOADS, "/api/playground", 1 << 20)
    read = 0

    def flood():
        nonlocal read
        if kind == "form":
            yield b'--b\r\nContent-Disposition: form-data; name="picture"; filename="x.jpg"\r\n\r\n'
        for _ in range(2000):  # 128 MB
            read += 1 << 16
            yield b" " * (1 << 16)

    types = {"json": "application/json", "form": "multipart/form-data; boundary=b"}
    try:
        answer = client.post(path, data=flood(), headers={"Content-Type": types[kind]})
        assert (answer.status_code, "larger than" in answer.json()["detail"]) == (413, True)
    except requests.ConnectionError:
        pass  # it hung up before the client looked for an answer
    assert read < 40 << 20, "of 128 MB; some are on their way when it hangs up"
    assert client.get("/api/state").status_code == 200


def test_a_body_that_never_ends_is_given_up(client, monkeypatch):
    monkeypatch.setattr(guard, "BODY_TIME", 0.5)
    with socket.create_connection(("127.0.0.1", port_of(client)), timeout=10) as wire:
        head = f"POST /api/rate HTTP/1.1\r\nHost: 127.0.0.1:{port_of(client)}\r\nContent-Type: application/json\r\n"
        wire.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        began = time.monotonic()
        assert wire.recv(100).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 5


def test_headers_without_end_are_refused(client):
    with socket.create_connection(("127.0.0.1", port_of(client)), timeout=10) as wire:
        wire.sendall(f"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1:{port_of(client)}\r\nX: ".encode() + b"x" * 200_000)
        try:
            wire.sendall(b"\r\n\r\n")
            answer = wire.recv(100)
        except ConnectionError:  # it hung up before all was sent
            answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert client.get("/api/state").status_code == 200


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("said", [b"", b"GET /api/state HT"])
def test_a_connection_that_brings_no_request_is_closed(start, monkeypatch, said, before):
    monkeypatch.setattr(module, "IDLE", 1)
    with start() as client:
        head = f"GET /api/state HTTP/1.1\r\nHost: 127.0.0.1:{port_of(client)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", port_of(client)), timeout=5) as wire:
            began = time.monotonic()
            if before:
                wire.sendall(head)
                assert wire.recv(65_536).startswith(b"HTTP/1.1 200 ")
            time.sleep(0.3)
            wire.sendall(said)
            while wire.recv(65_536):
                pass
            assert 0.5 < time.monotonic() - began < 4


def test_one_that_works_is_not(start, monkeypatch):
    monkeypatch.setattr(module, "IDLE", 0.3)
    with start(seconds=1.5) as client, requests.Session() as session:
        address = f"{client.server.address}/api/generate"
        for _ in range(2):
            assert session.post(address, json={"count": 1, "n": 1}, timeout=20).status_code == 200


def test_a_crowd_of_silent_ones_keeps_nobody_out_for_long(start, monkeypatch):
    monkeypatch.setattr(module, "IDLE", 1)
    with start() as client, ExitStack() as crowd:
        for _ in range(module.CONNECTIONS + 20):
            crowd.enter_context(socket.create_connection(("127.0.0.1", port_of(client))))
        assert client.get("/api/state").status_code == 503
        time.sleep(2.5)
        assert client.get("/api/state").status_code == 200


# What gets out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot write /home/me/page/ratings.jsonl: No space left", "cannot write ratings.jsonl: No space left"),
        ("there is no folder /home/me/page", "there is no folder page"),
        ("'/home/me/x.png' and (/var/x.npz)", "'x.png' and (x.npz)"),
        (r"cannot read C:\Users\me\x.png", "cannot read x.png"),
        ("cannot write /my pictures/page/x.png: full", "cannot write page/x.png: full"),
        ("pip install 'imgnn[web]', 3 / 4, and/or a/b.jpg, https://example.org/a/b", None),
        ("full/0a1b.jpg of 12/31", None),
    ],
)
def test_where_things_are_is_not_told(text, told):
    assert without_paths(text, [Path("/my pictures/page"), Path()]) == (told or text)


def test_web_sockets_are_not_spoken(client):
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    assert client.get("/api/state", headers=headers).status_code in (200, 400)
    assert "websocket" not in client.get("/api/state", headers=headers).headers.get("Upgrade", "")
