"""`s3://bucket/key` as a signed HTTP request (AWS Signature Version 4). Pure: the clock is a parameter.

So an S3 object is downloaded like any other URL, with the same limits, checks and resumption. Source: Amazon S3 API
Reference, "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote, urlsplit

from storage.errors import UserError
from storage.s3_credentials import S3Keys, S3Settings

NO_BODY: Final = hashlib.sha256(b"").hexdigest()
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A GET."""

    url: str
    headers: Mapping[str, str]


def split_s3(text: str, *, where: str) -> tuple[str, str]:
    """Return (bucket, key) of an s3 URL; the key is taken as it stands, percent signs and all, as the AWS tools do.

    Raises:
        UserError: no such thing.
    """
    bucket, _, key = text.partition("://")[2].partition("/")
    if not _BUCKET.fullmatch(bucket) or not key or key.endswith("/"):
        raise UserError("is not the URL of an object", where=where, fix="write it like s3://bucket/folder/file")
    return bucket, key


def object_url(bucket: str, key: str, settings: S3Settings) -> str:
    """Return the HTTP URL of an object: the bucket as part of the host on Amazon's servers, of the path on others.

    Raises:
        UserError: the endpoint or region that is set is none.
    """
    path = quote(key, safe="/~")
    if settings.endpoint is not None:
        if not re.fullmatch(r"https?://[^/?#@]+/?", settings.endpoint):
            raise UserError("is not like https://host", where="AWS_ENDPOINT_URL_S3", fix="correct it, or unset it")
        return f"{settings.endpoint.rstrip('/')}/{bucket}/{path}"
    if not _REGION.fullmatch(settings.region):
        raise UserError(f"{settings.region[:40]!r} is not a region", where="AWS_REGION", fix="correct it, or unset it")
    host = f"s3.{settings.region}.amazonaws.com"
    # A certificate for *.s3.… does not cover a bucket with dots in its name.
    return f"https://{host}/{bucket}/{path}" if "." in bucket else f"https://{bucket}.{host}/{path}"


def object_request(url: str, settings: S3Settings, now: datetime) -> HttpRequest:
    """Return the request for an object's HTTP URL, signed if there are keys."""
    if settings.keys is None:
        return HttpRequest(url=url, headers={})
    headers = {"x-amz-content-sha256": NO_BODY}
    if settings.keys.token is not None:
        headers["x-amz-security-token"] = settings.keys.token
    return HttpRequest(url=url, headers=sign(url, headers, settings.keys, settings.region, now))


def sign(url: str, headers: Mapping[str, str], keys: S3Keys, region: str, now: datetime) -> dict[str, str]:
    """Return the headers with those that sign a GET of `url` without a body or a query.

    url: its path percent-encoded; headers: names in lower case, without Host; now: in UTC.
    """
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}[parts.scheme]
    host = parts.netloc.removesuffix(f":{default}").lower()
    signed = {**headers, "host": host, "x-amz-date": stamp}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    canonical = "\n".join(("GET", parts.path, "", lines, names, headers.get("x-amz-content-sha256", NO_BODY)))
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = hmac.digest(_key(keys.secret_key, scope), text.encode(), "sha256").hex()
    credential = f"Credential={keys.access_key}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 {credential},SignedHeaders={names},Signature={signature}"
    return {**headers, "x-amz-date": stamp, "authorization": authorization}


def _key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
