import pytest

from storage.public_address import why_not_public

NOT_PUBLIC = {
    "private": ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1",
                "fec0::1"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local": ["169.254.169.254", "fe80::1", "fe80::1%eth0", "febf::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "unspecified": ["0.0.0.1", "0.1.2.3", "::"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.1", "192.88.99.1", "2001::1", "2001:1ff::", "100::1",
                 "64:ff9b:1::1", "::7f00:1", "::ffff:0:7f00:1", "5f00::1", "4000::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarking": ["198.18.0.1", "198.19.255.255"],
    "6to4": ["2002:7f00:1::", "2002::1"],
}  # fmt: skip
PUBLIC = [
    "1.1.1.1", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0",
    "198.17.255.255", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2001:200::", "2003::1", "2a00:1450::1",
]  # fmt: skip


@pytest.mark.parametrize(("word", "address"), [(word, each) for word, all_ in NOT_PUBLIC.items() for each in all_])
def test_what_is_not_on_the_internet(word, address):
    assert why_not_public(address) == word


@pytest.mark.parametrize("address", PUBLIC)
def test_the_neighbours_of_every_block_are(address):
    assert why_not_public(address) == ""


@pytest.mark.parametrize("prefix", ["::ffff:", "64:ff9b::"])
def test_an_address_that_holds_another_is_judged_by_it(prefix):
    assert why_not_public(f"{prefix}127.0.0.1") == "loopback"
    assert why_not_public(f"{prefix}169.254.169.254") == "link-local"
    assert why_not_public(f"{prefix}1.1.1.1") == ""


@pytest.mark.parametrize("text", ["", "host", "1.2.3", "1.2.3.4.5", "0x7f.0.0.1", "127.1", "2130706433"])
def test_only_addresses_are_judged(text):
    with pytest.raises(ValueError, match="IPv4"):
        why_not_public(text)
