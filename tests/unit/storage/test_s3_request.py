"""Requests to S3: the published example, and where keys come from."""

from datetime import UTC, datetime

import pytest

from storage.errors import UserError
from storage.s3_credentials import S3Keys, S3Settings, find_s3_settings
from storage.s3_request import NO_BODY, object_request, object_url, sign, split_s3

# Amazon S3 API Reference, "Signature Calculations for the Authorization Header", example "GET Object".
KEYS = S3Keys(access_key="AKIAIOSFODNN7EXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")  # noqa: S106  published
SIGNATURE = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"


def test_the_published_example():
    headers = {"range": "bytes=0-9", "x-amz-content-sha256": NO_BODY}
    url, now = "https://examplebucket.s3.amazonaws.com/test.txt", datetime(2013, 5, 24, tzinfo=UTC)
    signed = sign(url, headers, KEYS, "us-east-1", now)
    assert signed["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        f"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature={SIGNATURE}"
    )
    assert SIGNATURE not in sign(url, headers, KEYS, "us-east-2", now)["authorization"]


def test_a_public_object_is_asked_for_as_anybody():
    assert dict(object_request("https://b.s3.us-east-1.amazonaws.com/k", S3Settings(), datetime.now(UTC)).headers) == {}


def test_a_session_token_is_sent_and_signed():
    keys = S3Keys(access_key="A", secret_key="S", token="T")  # noqa: S106
    request = object_request("https://h/b/k", S3Settings(keys=keys), datetime.now(UTC))
    assert request.headers["x-amz-security-token"] == "T"
    assert "x-amz-date;x-amz-security-token," in request.headers["authorization"]
    assert "'S'" not in repr(keys)
    assert "'T'" not in repr(keys)


@pytest.mark.parametrize(
    ("bucket", "key", "settings", "url"),
    [
        ("data", "a/b.csv", S3Settings(), "https://data.s3.us-east-1.amazonaws.com/a/b.csv"),
        ("data", "a", S3Settings(region="eu-west-1"), "https://data.s3.eu-west-1.amazonaws.com/a"),
        ("my.data", "a", S3Settings(), "https://s3.us-east-1.amazonaws.com/my.data/a"),
        ("data", "a", S3Settings(endpoint="http://127.0.0.1:9000/"), "http://127.0.0.1:9000/data/a"),
        (
            "data",
            "a b+c?=&%20ü~",
            S3Settings(),
            "https://data.s3.us-east-1.amazonaws.com/a%20b%2Bc%3F%3D%26%2520%C3%BC~",
        ),
    ],
)
def test_where_an_object_is(bucket, key, settings, url):
    assert object_url(bucket, key, settings) == url


@pytest.mark.parametrize("text", ["s3://b", "s3://bucket", "s3://bucket/", "s3://bucket/folder/", "s3://Bucket/k",
                                  "s3://bucket:80/k", "s3:///k"])  # fmt: skip
def test_what_is_no_object(text):
    with pytest.raises(UserError, match="is not the URL of an object"):
        split_s3(text, where="-i")


ELSEWHERE = [{"region": "evil.example/"}, {"endpoint": "file:///x"}, {"endpoint": "https://u@h"},
             {"endpoint": "https://h/path?x"}]  # fmt: skip


@pytest.mark.parametrize("settings", ELSEWHERE)
def test_settings_that_lead_elsewhere(settings):
    with pytest.raises(UserError):
        object_url("bucket", "key", S3Settings(**settings))


def home(tmp_path, credentials="", config=""):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(credentials)
    (tmp_path / ".aws/config").write_text(config)
    return {"HOME": str(tmp_path)}


FILE = """[default]
aws_access_key_id = FILE
aws_secret_access_key = s1
[work]
aws_access_key_id = WORK
aws_secret_access_key = s2
aws_session_token = t2
"""


def test_where_settings_come_from(tmp_path):
    config = (
        "[default]\nregion = eu-north-1\n[profile work]\nregion = eu-south-1\nendpoint_url = https://s3.work.example\n"
    )
    base = home(tmp_path, FILE, config)
    found = find_s3_settings(base)
    assert (found.keys.access_key, found.region, found.endpoint) == ("FILE", "eu-north-1", None)
    found = find_s3_settings(base | {"AWS_PROFILE": "work"})
    assert (found.keys.access_key, found.keys.token) == ("WORK", "t2")
    assert (found.region, found.endpoint) == ("eu-south-1", "https://s3.work.example")
    variables = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_REGION": "us-west-2"}
    found = find_s3_settings(base | variables | {"AWS_ENDPOINT_URL_S3": "http://e", "AWS_ENDPOINT_URL": "http://f"})
    assert (found.keys.access_key, found.region, found.endpoint) == ("ENV", "us-west-2", "http://e")


def test_nothing_is_set(tmp_path):
    assert find_s3_settings({"HOME": str(tmp_path)}) == find_s3_settings({}) == S3Settings()


def test_settings_that_cannot_be_used(tmp_path):
    base = home(tmp_path, "aws_secret_access_key = hidden\n")
    with pytest.raises(UserError, match="cannot be read") as caught:
        find_s3_settings(base)
    assert "hidden" not in str(caught.value)
    with pytest.raises(UserError, match="no profile 'gone'"):
        find_s3_settings({"HOME": "/nonexistent", "AWS_PROFILE": "gone"})
    with pytest.raises(UserError, match="only half of the key pair"):
        find_s3_settings({"AWS_ACCESS_KEY_ID": "A"})
