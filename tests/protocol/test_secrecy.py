"""A secret does not show itself."""

import copy
import logging
import pickle
import traceback

import pytest

from greenroom.protocol.secrecy import Secret, is_secret_name

VALUE = "sk-do-not-show"


def test_a_secret_is_told_only_on_demand() -> None:
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", f"{[secret]}", "%s" % secret):  # noqa: UP031
        assert VALUE not in shown
    record = logging.LogRecord("x", logging.INFO, "x", 1, "got %s and %r", (secret, secret), None)
    assert VALUE not in record.getMessage()


def test_a_secret_is_not_in_a_traceback() -> None:
    secret = Secret(VALUE)
    try:
        raise ValueError(secret)
    except ValueError as error:
        lines = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    assert VALUE not in "".join(lines)


def test_a_secret_does_not_leave_the_process() -> None:
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled"):
            leave(Secret(VALUE))


def test_secrets_are_compared_by_value() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert not Secret("")
    assert Secret("x")


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("OPENAI_API_KEY", True),
        ("my_token", True),
        ("AWS_SECRET_ACCESS", True),
        ("DB_PASSWORD", False),
        ("GOOGLE_APPLICATION_CREDENTIALS", False),
        ("PATH", False),
        ("HOME", False),
        ("CODEX_HOME", False),
        ("PYTHON_KEYRING_BACKEND", False),
        ("KEYRING_PROPERTY_KEYRING_KEY", True),
    ],
)
def test_names_tell_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret
