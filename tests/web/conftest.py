"""A server that runs for a file of tests, and what talks to it."""

import pytest
import requests

from tests.web.made_server import made_server, paint


class Client:
    """Asks a made server: `client.get("/api/state")`."""

    def __init__(self, server):
        self.server = server

    def ask(self, method, path, **options):
        return requests.request(method, self.server.address + path, timeout=20, allow_redirects=False, **options)

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, **options):
        return self.ask("POST", path, **options)

    def delete(self, path, **options):
        return self.ask("DELETE", path, **options)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with made_server(tmp_path_factory.mktemp("made")) as running:
        yield running


@pytest.fixture
def client(server):
    return Client(server)


@pytest.fixture
def start(tmp_path):
    """Start one with options of its own: `with start(token="t") as client`."""
    from contextlib import contextmanager

    @contextmanager
    def started(**options):
        with made_server(tmp_path / "made", **options) as running:
            yield Client(running)

    (tmp_path / "made").mkdir()
    return started


@pytest.fixture(scope="session")
def photo(tmp_path_factory):
    """The bytes of a painted JPEG, 120 wide and 90 high."""
    return paint(tmp_path_factory.mktemp("photo") / "photo.jpg", 3, (120, 90)).read_bytes()
