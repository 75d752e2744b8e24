import stat

import pytest

from bacalhau.api_token import is_token, load_or_create_token
from storage.errors import UserError


def test_a_token_is_drawn_once_and_is_ours_alone(tmp_path):
    path = tmp_path / "home" / "api-token"
    token = load_or_create_token(path)
    assert is_token(token)
    assert load_or_create_token(path) == token != load_or_create_token(tmp_path / "other")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_token_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "api-token"
    load_or_create_token(path)
    path.chmod(0o644)
    with pytest.raises(UserError, match=r"token file is open to other users; run `chmod 600"):
        load_or_create_token(path)


@pytest.mark.parametrize("text", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n"])
def test_a_file_that_holds_no_token_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "api-token"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(UserError, match="64 hex digits"):
        load_or_create_token(path)
    assert path.read_text() == text
