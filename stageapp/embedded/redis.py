"""The embedded Redis: socket only, every write in its append-only file."""

import signal
from urllib.parse import urlencode, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from stageapp.embedded import programs
from stageapp.embedded.location import Location, own_folder
from stageapp.embedded.server import Server

HANG_SECONDS = 0.3  # a server that is well answers PING in less than a millisecond
APPEND_ONLY_FILE = "appendonly.aof"
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfilename": APPEND_ONLY_FILE,
    "save": "",
    "databases": "64",  # parallel test sessions take one each
    "daemonize": "no",
}


class EmbeddedRedis(Server):
    name = "redis"
    program = "redis-server"
    pid_file = "redis.pid"
    stop_signal = signal.SIGTERM  # flushes the append-only file, as SHUTDOWN does

    def __init__(self, location: Location) -> None:
        super().__init__(location)
        self.data = location.root / "redis"
        self.socket = location.sockets / "redis" / "redis.sock"

    @property
    def url(self) -> str:
        """The URL in redis-py's form."""
        return f"unix://{self.socket}?db=0"

    def answers(self) -> bool:
        """Whether our server answers PING on its private socket (not while it loads its file)."""
        try:
            return self._ping(2)
        except RedisError:
            return False

    def hangs(self) -> bool:
        """Whether the server runs but answers no command; loading its file does not count."""
        try:
            return not self._ping(HANG_SECONDS)
        except BusyLoadingError:
            return False
        except RedisError:  # no answer in time, or so many callers wait that no more are let in
            return self.socket.exists() and self.main_pid() is not None

    def _ping(self, seconds: float) -> bool:
        client = Redis(
            unix_socket_path=str(self.socket), socket_timeout=seconds, retry=Retry(NoBackoff(), 0)
        )
        try:
            return bool(client.ping())
        finally:
            client.close()

    def prepare(self) -> None:
        """Create the data folder."""
        own_folder(self.data)

    def command(self) -> list[str]:
        """Return the command line; paths are relative, as the data folder's name is arbitrary."""
        paths = {"dir": "./", "pidfile": f"./{self.pid_file}", "unixsocket": str(self.socket)}
        options = [
            word for name, value in (SETTINGS | paths).items() for word in (f"--{name}", value)
        ]
        return [str(programs.redis_program()), *options]

    def set_damage_aside(self) -> bool:
        """Rename an unreadable append-only file: everything important is in PostgreSQL."""
        file = self.data / APPEND_ONLY_FILE
        if not file.exists():
            return False
        file.replace(file.with_suffix(".damaged"))
        return True


def broker_url(redis_url: str) -> str:
    """Return the URL in kombu's form: `unix://` becomes `redis+socket://`, others are unchanged."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    options = dict(option.partition("=")[::2] for option in parts.query.split("&") if option)
    return f"redis+socket://{parts.netloc}{parts.path}?{urlencode({'virtual_host': options.get('db', '0')})}"
