import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from config.serving import UNREADABLE, is_readable, readable_content_type

READABLE = [
    "",
    "application/json",
    "text/html; charset=UTF-8",
    "multipart/form-data; boundary=x",
    "application/json; charset*=utf-8''utf-8",
]
UNREADABLES = [
    "application/json; charset*=bogus''x",
    "a/b; x*=nope''y",
    "application/json; charset=rot13",
    "text/html; charset=zlib",
    "text/html; charset=utf-8\0",
    "x; charset=utf-16",
]


def request_behind(value, method="POST"):
    """Return the request that Django builds behind the wrapper."""
    environ = RequestFactory()._base_environ(
        REQUEST_METHOD=method, CONTENT_TYPE=value, QUERY_STRING="a=%C3%A9", CONTENT_LENGTH="0"
    )
    built = []
    readable_content_type(lambda env, _start: built.append(WSGIRequest(env)) or [])(
        environ, lambda *_: None
    )
    return built[0]


@pytest.mark.parametrize("value", READABLE)
def test_leaves_a_readable_header_alone(value):
    assert request_behind(value).META["CONTENT_TYPE"] == value


@pytest.mark.parametrize("value", UNREADABLES)
def test_replaces_an_unreadable_one(value):
    assert not is_readable(value)
    request = request_behind(value, "GET")
    assert request.META["CONTENT_TYPE"] == UNREADABLE
    assert request.GET["a"] == "é"


@given(
    st.text(st.characters(max_codepoint=255), max_size=60).map("application/json; ".__add__)
    | st.text("abcharset=*'\";%0 utf-8", max_size=40).map("a/b;".__add__)
)
def test_django_builds_a_request_from_any_header(value):
    request = request_behind(value)
    assert request.GET["a"]
    assert request.content_type
