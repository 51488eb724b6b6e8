import asyncio
import socket

import pytest

from imgnn.data.addresses import BlockedAddress, Proxies, Resolver, is_public, parse_url


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),  # carriers' own
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::7f00:1", False),  # NAT64 of 127.0.0.1
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("::127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b:1::7f00:1", False),
    ],
)
def test_private_networks_are_known(address, public):
    assert is_public(address) is public


def answers(monkeypatch, *found):
    """Names lead to these addresses, one after the other."""
    left = list(found)

    def ask(host, port, *rest, **more):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (left.pop(0) if len(left) > 1 else left[0], port))]

    monkeypatch.setattr(socket, "getaddrinfo", ask)


def test_a_name_that_leads_into_a_private_network_is_refused(monkeypatch):
    answers(monkeypatch, "192.168.0.7")
    with pytest.raises(BlockedAddress, match=r"intra\.example is at 192\.168\.0\.7"):
        asyncio.run(Resolver().resolve("intra.example", 80))


def test_a_name_server_that_changes_its_mind_is_not_heard(monkeypatch):
    answers(monkeypatch, "8.8.8.8", "127.0.0.1")

    async def twice():
        resolver = Resolver()
        return [(await resolver.resolve("h.example", 80))[0]["host"] for _ in range(2)]

    assert asyncio.run(twice()) == ["8.8.8.8", "8.8.8.8"]


def test_the_proxy_of_the_environment_may_be_private(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://proxy.lan:3128")
    monkeypatch.setenv("no_proxy", "here.example")
    answers(monkeypatch, "10.0.0.1")
    proxies = Proxies()
    assert proxies.of(parse_url("http://a.example/1.jpg")) == "http://proxy.lan:3128"
    assert proxies.of(parse_url("http://here.example/1.jpg")) is None
    resolver = Resolver(trusted=proxies.hosts())
    assert asyncio.run(resolver.resolve("proxy.lan", 3128))[0]["host"] == "10.0.0.1"
