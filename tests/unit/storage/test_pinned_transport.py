"""That the address which was checked is the one that is connected to, under the right name."""

import datetime
import ssl

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from storage.errors import UnavailableError, UserError
from storage.pinned_transport import PinnedTransport
from tests.unit.storage.url_server import Page, UrlServer


class Resolver:
    """Gives the next of its answers each time, like the name server of an attacker."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def __call__(self, host, port):
        self.asked.append((host, port))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Wire(httpx.BaseTransport):
    """Answers from where it is sent to, if that is one of `up`."""

    def __init__(self, *up):
        self.up = up
        self.requests = []

    def handle_request(self, request):
        self.requests.append(request)
        if self.up and request.url.host not in self.up:
            raise httpx.ConnectError("refused", request=request)
        return httpx.Response(200, text=request.url.host)


def get(url, resolver, wire, **options):
    options = {"allow_private": False} | options
    with httpx.Client(transport=PinnedTransport(resolve=resolver, below=wire, **options), trust_env=False) as client:
        return client.get(url)


def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_used():
    resolver, wire = Resolver(["1.2.3.4"], ["127.0.0.1"]), Wire()
    response = get("https://data.example:8443/x?y=1", resolver, wire)
    (sent,) = wire.requests
    assert resolver.asked == [("data.example", 8443)]
    assert str(sent.url) == "https://1.2.3.4:8443/x?y=1"
    assert sent.headers["Host"] == "data.example:8443"
    assert sent.extensions["sni_hostname"] == "data.example"
    assert str(response.url) == "https://data.example:8443/x?y=1"


def test_a_second_look_gives_the_attacker_nothing():
    resolver, wire = Resolver(["1.2.3.4"], ["127.0.0.1"]), Wire()
    transport = PinnedTransport(resolve=resolver, below=wire, allow_private=False)
    with httpx.Client(transport=transport, trust_env=False) as client:
        client.get("http://data.example/")
        with pytest.raises(UserError, match=r"data\.example: is not on the public internet: 127\.0\.0\.1 \(loopback\)"):
            client.get("http://data.example/")
    assert len(wire.requests) == 1


def test_only_the_public_ones_of_several_addresses_are_tried_in_turn():
    wire = Wire("5.6.7.8")
    assert get("http://a.example/", Resolver(["10.0.0.1", "1.2.3.4", "fe80::1", "5.6.7.8"]), wire).text == "5.6.7.8"
    assert [request.url.host for request in wire.requests] == ["1.2.3.4", "5.6.7.8"]
    with pytest.raises(httpx.ConnectError):
        get("http://a.example/", Resolver(["1.2.3.4", "1.2.3.5"]), Wire("5.6.7.8"))


def test_private_addresses_when_they_are_allowed():
    assert get("http://a.example/", Resolver(["10.0.0.1"]), Wire(), allow_private=True).text == "10.0.0.1"


def test_addresses_of_version_6_are_written_as_urls_want_them():
    wire = Wire()
    get("http://a.example:81/", Resolver(["2606:4700::1111"]), wire)
    assert str(wire.requests[0].url) == "http://[2606:4700::1111]:81/"


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
def test_a_name_that_nobody_knows(error):
    with pytest.raises(UnavailableError, match=r"a\.example: cannot be resolved to an address"):
        get("http://a.example/", Resolver(error), Wire())


def certificate(tmp_path, name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "cert.pem"
    pem = serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, pem, serialization.NoEncryption())
        + cert.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_the_certificate_is_checked_against_the_name_and_the_name_is_sent(tmp_path):
    path = certificate(tmp_path, "data.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    names = []
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    client_tls = ssl.create_default_context(cafile=str(path))
    with UrlServer(tls) as server:
        server.pages["/x"] = Page(body=b"secret")
        for host, good in (("data.example", True), ("other.example", False)):
            wire = httpx.HTTPTransport(verify=client_tls)
            call = (f"https://{host}:{server.port}/x", Resolver(["127.0.0.1"]), wire)
            if good:
                assert get(*call, allow_private=True).content == b"secret"
            else:
                with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                    get(*call, allow_private=True)
    assert names == ["data.example", "other.example"]
    assert server.asked("Host") == [f"data.example:{server.port}"]
