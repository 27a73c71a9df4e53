"""The built-in recipes about network peers, each on the live kernel: whom they are about, and who is almost that."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from raqib.recipes.load import load_builtin
from tests.e2e.conftest import AgentProcess, Event
from tests.e2e.peers import visit


class Visit(NamedTuple):
    """A recipe, the peer that it shall see, and one that is like it and shall not be seen by any recipe of its kind."""

    recipe: str
    peer: str
    near_miss: str


VISITS = [
    Visit("adult_domain_access", "tcp/www.pornhub.com/443", "tcp/www.essex.ac.uk/443"),
    Visit("gambling_domain_access", "tcp/m.bet365.com/443", "tcp/alphabet.com/443"),
    Visit("piracy_domain_access", "udp/thepiratebay.org/443", "udp/torrent.ubuntu.com/443"),
    Visit("tracking_domain_access", "tcp/stats.g.doubleclick.net/443", "tcp/api.segment.io/443"),
    Visit("general_new_domains", "tcp/update.example.cfd/80", "tcp/update.example.org/80"),
    Visit("badware_domain_access", "tcp/x.appsync-api.eu-west-1.avsvmcloud.com/443", "tcp/vmcloud.com/443"),
    Visit("threat_domain_access", "tcp/pool.supportxmr.com/3333", "udp/pool.ntp.org/123"),
    Visit("phishing_domains", "tcp/github.rustfoundation.dev/443", "tcp/rustfoundation.org/443"),
    Visit("fake_domain_access", "tcp/files.pypihosted.org/443", "tcp/files.pythonhosted.org/443"),
    Visit("algorithmic_domains", "udp/kqxwzvbjtrpfgd.com/8080", "udp/d3a7xk9qzv1wtb.cloudfront.net/8080"),
    Visit("dyndns_domain_access", "tcp/qwerty.duckdns.org/4444", "tcp/duckduckgo.com/443"),
    Visit("vpnlike_domain_access", "tcp/tunnel.us.ngrok.io/443", "tcp/deb.torproject.org/443"),
    Visit("plaintext_communication", "tcp/pastebin.com/443", "tcp/notpastebin.com/443"),
    Visit("cloud_metadata_access", "tcp/169.254.169.254/80", "udp/169.254.169.254/53"),
    Visit("encrypted_dns_port", "tcp/127.0.0.9/853", "udp/127.0.0.9/53"),
    Visit("encrypted_dns_provider", "tcp/dns.google/443", "tcp/www.google.com/443"),
]


def test_every_recipe_is_proven() -> None:
    about_peers = {spec.name for spec in load_builtin().recipes if spec.network is not None and spec.enabled}
    assert about_peers == {visit.recipe for visit in VISITS}


@pytest.mark.parametrize("one", VISITS, ids=lambda one: one.recipe)
def test_live(library_agent: AgentProcess, one: Visit) -> None:
    cgroup = library_agent.cgroup
    assert cgroup is not None
    quiet = visit(cgroup, one.near_miss)
    loud = visit(cgroup, one.peer)

    def of(process: int) -> list[Event]:
        return [event for event in library_agent.events if event.get("process", {}).get("pid") == process]

    library_agent.read(lambda events: any(event["metadata"]["name"] == one.recipe for event in of(loud)), 20)
    [event] = [event for event in of(loud) if event["metadata"]["name"] == one.recipe]
    kind, peer, port = one.peer.split("/")
    flow = event["flow"]
    assert ("network_peer", kind, int(port)) == (event["event_type"], flow["proto"], flow["remote"]["port"])
    assert peer in (flow["remote"]["address"], flow["remote"].get("name"))
    kinds = event["metadata"]["kind"]
    assert [] == [event["metadata"]["name"] for event in of(quiet) if event["metadata"]["kind"] == kinds]
