"""Where a request comes from: what is believed of it, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.infrastructure import network


@pytest.fixture(autouse=True)
def _networks(settings):
    settings.STAGE_INTERNAL_NETWORKS = ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    "address, found",
    [
        ("10.1.2.3", "internal"),
        ("11.1.2.3", "external"),
        ("fd00::1", "internal"),
        ("fe80::1%eth0", "external"),
        ("::ffff:10.1.2.3", "internal"),
        ("::ffff:11.1.2.3", "external"),
        ("10.1.2.3:5678", "internal"),
        ("[fd00::1]:5678", "internal"),
        ("[fd00::1]", "internal"),
        ("", "external"),
        ("unknown", "external"),
        ("10.1.2", "external"),
        ("10.1.2.3, 10.1.2.3", "external"),
        ("010.1.2.3", "external"),
    ],
)
def test_only_an_address_inside_the_networks_is_internal(address, found):
    assert network.classify(address) == found


def test_a_change_of_the_networks_holds_for_addresses_seen_before(settings):
    assert network.classify("10.1.2.3") == "internal"
    settings.STAGE_INTERNAL_NETWORKS = ["192.168.0.0/16"]
    assert network.classify("10.1.2.3") == "external"


def test_a_network_that_cannot_be_read_makes_nobody_internal(settings):
    settings.STAGE_INTERNAL_NETWORKS = ["10.0.0.1/8", "everybody", "", "fd00::/8"]
    assert network.classify("10.1.2.3") == "external"
    assert network.classify("fd00::1") == "internal"


@pytest.mark.parametrize(
    "forwarded", ["10.0.0.1", "10.0.0.1, 10.0.0.2", "10.0.0.1:80", "for=10.0.0.1"]
)
def test_without_a_trusted_proxy_no_header_changes_the_address(forwarded):
    headers = {
        "HTTP_X_FORWARDED_FOR": forwarded,
        "HTTP_FORWARDED": forwarded,
        "HTTP_X_REAL_IP": forwarded,
    }
    assert network.client_address({"REMOTE_ADDR": "8.8.8.8", **headers}) == "8.8.8.8"


@pytest.mark.parametrize(
    "proxies, forwarded, found",
    [
        (1, "8.8.8.8", "8.8.8.8"),
        (1, "10.0.0.1, 8.8.8.8", "8.8.8.8"),
        (1, "10.0.0.1,10.0.0.1,10.0.0.1, 8.8.8.8 ", "8.8.8.8"),
        (2, "10.0.0.1, 8.8.8.8, 10.0.0.9", "8.8.8.8"),
        (2, "8.8.8.8, 10.0.0.9", "8.8.8.8"),
        (2, "10.0.0.1", ""),
        (1, "", ""),
        (3, "10.0.0.1, 10.0.0.1", ""),
    ],
)
def test_behind_proxies_the_entry_that_the_outermost_of_them_wrote_counts(
    settings, proxies, forwarded, found
):
    settings.STAGE_TRUSTED_PROXIES = proxies
    assert (
        network.client_address({"REMOTE_ADDR": "10.0.0.9", "HTTP_X_FORWARDED_FOR": forwarded})
        == found
    )


def test_a_socket_without_an_address_is_external():
    assert network.classify(network.client_address({"REMOTE_ADDR": ""})) == "external"
    assert network.classify(network.client_address({})) == "external"


@given(st.text(), st.text())
def test_nothing_that_a_client_writes_raises_or_makes_it_internal(spoofed, address):
    assert network.classify(address + "x") == "external"
    meta = {"REMOTE_ADDR": "8.8.8.8", "HTTP_X_FORWARDED_FOR": spoofed}
    assert network.classify(network.client_address(meta)) == "external"
