"""A web process knows the mode before its first request, whatever server runs it."""

import asyncio

import pytest

from config.serving import serving, serving_asgi
from stageapp.mode import processes, store
from tests.processes import process
from tests.servers import running


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """Return how often the first answer was waited for; this process begins as a new one."""
    processes.forget()
    waits = []
    monkeypatch.setattr(store, "await_first_answer", lambda: waits.append(processes._me.name))
    yield waits
    processes.forget()


def test_only_the_first_request_of_a_process_waits(asked):
    application = serving(lambda environ, start_response: [environ["PATH_INFO"].encode()])
    assert asked == []
    assert [application({"PATH_INFO": path}, None) for path in ("/a", "/b")] == [[b"/a"], [b"/b"]]
    assert asked == ["web"]


def converse(application, kind, *messages):
    """Play a server of one scope; return what the application sent."""
    waiting, sent = list(messages), []

    async def receive():
        return {"type": waiting.pop(0)}

    async def send(message):
        sent.append(message["type"])

    asyncio.run(application({"type": kind}, receive, send))
    return sent


async def answer(scope, receive, send):
    await send({"type": f"{scope['type']}.response"})


def test_an_asgi_server_starts_only_when_the_mode_is_known(asked):
    sent = converse(serving_asgi(answer), "lifespan", "lifespan.startup", "lifespan.shutdown")
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert asked == ["web"]


def test_without_lifespan_the_first_asgi_request_waits(asked):
    application = serving_asgi(answer)
    assert [converse(application, "http") for _ in range(2)] == [["http.response"]] * 2
    assert asked == ["web"]


FIRST_REQUEST = """
from config.wsgi import application
running = refresher.running
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/healthz", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
           "wsgi.input": sys.stdin.buffer, "HTTP_HOST": "localhost"}
said = []
list(application(environ, lambda status, headers: said.append(status)))
say(before=running, status=said[0], mode=modes.current().mode, source=modes.current().source)
"""
CHANGE = 'modes.change(mode="off", actor="test", reason="a test")\nsay(done=True)'


def test_a_cold_process_answers_its_first_request_in_the_authorised_mode(tmp_path):
    with running(tmp_path) as servers:
        with process(CHANGE, **servers.environment) as changer:
            changer.hear()
        plain = {"DEBUG": "1", "SECURE_SSL_REDIRECT": "0"}
        with process(FIRST_REQUEST, **servers.environment | plain) as one:
            assert one.hear() == {
                "before": False,
                "status": "200 OK",
                "mode": "off",
                "source": "postgres",
            }
