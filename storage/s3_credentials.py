"""Keys, region and endpoint for S3, where the AWS tools look for them: environment variables, then the shared files.

Reads files of the user's home and nothing of the network: no metadata service, no single sign-on, no roles. Who uses
those has `aws configure export-credentials --format env`.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from storage.errors import UserError

DEFAULT_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Keys:
    """Who asks."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    """Of a session, if it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """How S3 is asked."""

    keys: S3Keys | None = None
    """None: as anybody, which public buckets allow."""
    region: str = DEFAULT_REGION
    endpoint: str | None = None
    """URL of another server than Amazon's."""


def find_s3_settings(environment: Mapping[str, str]) -> S3Settings:
    """Return what the environment and the files that it names say.

    Raises:
        UserError: a file or the named profile cannot be read, or half of a key pair is set.
    """
    named = environment.get("AWS_PROFILE")
    home = Path(environment.get("HOME", "/nonexistent"))
    credentials = _section(
        environment.get("AWS_SHARED_CREDENTIALS_FILE"), home / ".aws/credentials", named or "default"
    )
    profile = "default" if named in (None, "default") else f"profile {named}"
    config = _section(environment.get("AWS_CONFIG_FILE"), home / ".aws/config", profile)
    if named is not None and not credentials and not config:
        raise UserError(f"there is no profile {named!r}", where="AWS_PROFILE", fix="name another, or unset it")
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or config.get("region")
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return S3Settings(
        keys=_keys_of_environment(environment) or _keys(credentials) or _keys(config),
        region=region or DEFAULT_REGION,
        endpoint=endpoint or config.get("endpoint_url") or None,
    )


def _keys_of_environment(environment: Mapping[str, str]) -> S3Keys | None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    return _keys({name.lower(): environment[name] for name in names if environment.get(name)})


def _keys(values: Mapping[str, str]) -> S3Keys | None:
    access, secret = values.get("aws_access_key_id"), values.get("aws_secret_access_key")
    if (access is None) != (secret is None):
        lacking = "AWS_SECRET_ACCESS_KEY" if secret is None else "AWS_ACCESS_KEY_ID"
        raise UserError("only half of the key pair is set", where=lacking, fix="set both, or neither")
    if access is None or secret is None:
        return None
    return S3Keys(access_key=access, secret_key=secret, token=values.get("aws_session_token"))


def _section(named: str | None, usual: Path, name: str) -> dict[str, str]:
    path = usual if named is None else Path(named).expanduser()
    parser = configparser.RawConfigParser()
    try:
        with path.open(encoding="utf-8") as file:
            parser.read_file(file)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeError, configparser.Error) as error:
        # What configparser says may quote a line with a key in it.
        raise UserError("cannot be read", where=str(path), fix="correct the file, or set AWS_… variables") from error
    return dict(parser[name]) if parser.has_section(name) else {}
