"""What a model is shown is an image of a kind and size that servers take, under its right name."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model import image
from greenroom.workers.model.image import ImageError, checked_url, data_url

PNG = b"\x89PNG\r\n\x1a\n"
KINDS = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\x0a\x00\x00\x00WEBP",
}


@pytest.mark.parametrize("kind", KINDS)
@given(rest=st.binary(max_size=40))
def test_an_image_goes_by_what_it_holds(kind: str, rest: bytes) -> None:
    data = KINDS[kind] + rest
    url = f"data:{kind};base64,{base64.b64encode(data).decode()}"
    assert data_url(data) == url
    assert checked_url(url.replace(kind, "image/x-wrong")) == url


@pytest.mark.parametrize("url", ["https://a.example/b.png", "http://127.0.0.1/x", "HTTPS://a"])
def test_an_address_of_the_web_is_passed_on(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "b.png", "file:///etc/passwd", "data:,x", "data:text/plain;base64,aGk=", "data:image/png,abc"),
        *(
            "data:image/png;base64,",
            "data:image/png;base64,####",
            "data:image/png;base64,aGk=",
            "data:image/png;base64,é",
        ),
    ],
)
def test_nothing_else_is(url: str) -> None:
    with pytest.raises(ImageError):
        checked_url(url)


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "LARGEST", len(PNG))
    url = data_url(PNG)
    assert checked_url(url) == url
    with pytest.raises(ImageError, match="larger than"):
        data_url(PNG + b"x")
    with pytest.raises(ImageError, match="larger than"):
        checked_url(url[:-4] + base64.b64encode(b"x" * 6).decode())


@given(st.binary())
def test_bytes_without_a_signature_are_no_image(data: bytes) -> None:
    if not data.startswith(tuple(KINDS.values())):
        with pytest.raises(ImageError):
            data_url(b"x" + data)
