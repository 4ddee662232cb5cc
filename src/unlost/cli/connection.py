"""The service that a command talks to: where it is, how it is asked, and what its refusals say."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from cyclopts import Parameter

from unlost.cli.failures import Failed, WrongUsage

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    import httpx

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"


class NoService(Failed):
    """Nothing answered, or the connection broke; a later try may succeed."""


class Refused(Failed):
    """The service answered with a refusal.  `retry_after` is in seconds, None if not given."""

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Connection:
    """How to reach the service."""

    url: Annotated[str, Parameter(env_var="UNLOST_URL", help="where the service is")] = DEFAULT_URL
    api_key: Annotated[
        str,
        Parameter(
            env_var="UNLOST_API_KEY", help="its API key, if it wants one", show_default=False
        ),
    ] = ""


HERE = Connection()


class Service:
    """A client of one service.  Its calls may come from several threads.

    They raise NoService where nothing answers, Refused for a 4xx or 5xx, and Failed for what is
    no answer of an unlost service.
    """

    def __init__(self, connection: Connection) -> None:
        """Raises WrongUsage where url or key cannot be used."""
        import httpx

        self.url = _checked_url(connection.url or DEFAULT_URL)
        headers = {"accept": "application/json", "user-agent": "unlost"}
        if connection.api_key:
            headers["authorization"] = f"Bearer {_checked_key(connection.api_key)}"
        # The environment's proxies must not see what goes to this machine, nor its .netrc
        # replace the key.
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(60, connect=5),
            trust_env=False,
            verify=_trust(self.url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self._client.close()

    def get(
        self, path: str, query: Mapping[str, str | int] | None = None, patience: float = 60
    ) -> bytes:
        """The body of the answer to a GET; `patience` is how many seconds it may take."""
        return self._ask("GET", path, query=query, patience=patience).content

    def post(
        self, path: str, body: bytes | None = None, content_type: str = "application/json"
    ) -> bytes:
        """The body of the answer to a POST."""
        return self._ask("POST", path, body=body, content_type=content_type).content

    def delete(self, path: str, body: bytes | None = None) -> None:
        """DELETE."""
        self._ask("DELETE", path, body=body)

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
        patience: float = 60,
    ) -> httpx.Response:
        with self._explained():
            answer = self._client.request(
                method,
                self.url + path,
                params=query,
                content=body,
                headers={} if body is None else {"content-type": content_type},
                timeout=patience,
            )
        _check(answer, self.url)
        return answer

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except httpx.ConnectError as error:
            raise NoService(f"no service at {self.url} ({error})") from error
        except httpx.TimeoutException as error:
            raise NoService(f"{self.url} did not answer in time") from error
        except httpx.TransportError as error:
            raise NoService(f"the connection to {self.url} broke ({error})") from error
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise Failed(f"cannot talk to {self.url} ({error})") from error


def task_path(prefix: str, task_id: str, suffix: str = "") -> str:
    """The path of one task; any id works.  Raises WrongUsage for an empty one."""
    if not task_id:
        raise WrongUsage("a task id cannot be empty")
    return f"{prefix}/{quote(task_id, safe='', errors='replace')}{suffix}"


def read(answer: bytes, kind: type[T]) -> T:
    """An answer as the value it must be; raises Failed if it is none of an unlost service."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failed(f"this is not the answer of an unlost service ({error})") from error


def _checked_url(url: str) -> str:
    if not _is_address(url):
        raise WrongUsage(f"--url must be like {DEFAULT_URL}, not {url!r}")
    return url.rstrip("/")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    plain = url.isprintable() and " " not in url and not parts.query and not parts.fragment
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def _checked_key(key: str) -> str:
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise WrongUsage("--api-key must be printable ASCII without spaces")
    return key


def _trust(url: str) -> bool | ssl.SSLContext:
    """The system's certificates, loaded only where they matter."""
    import ssl

    if url.startswith("https:"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _check(answer: httpx.Response, url: str) -> None:
    if answer.is_success:
        return
    if answer.is_redirect:
        raise Failed(f"{url} sends us on to {answer.headers.get('location', 'nowhere')}")
    wait = answer.headers.get("retry-after", "")
    seconds = float(wait) if wait.isascii() and wait.isdecimal() else None
    raise Refused(_reason(answer), answer.status_code, seconds)


def _reason(answer: httpx.Response) -> str:
    """What a refusal says, in one line."""
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"{answer.url} answered {answer.status_code} {answer.reason_phrase}"
    parts = [problem.detail or problem.title or answer.reason_phrase]
    parts += [f"{item.pointer or item.parameter}: {item.detail}" for item in problem.errors]
    return f"{'; '.join(parts)} ({answer.status_code})"


class _Fault(msgspec.Struct):
    pointer: str = ""
    parameter: str = ""
    detail: str = ""


class _Problem(msgspec.Struct):
    """What is used of an RFC 9457 problem."""

    title: str = ""
    detail: str = ""
    errors: list[_Fault] = []
