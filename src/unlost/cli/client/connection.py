"""The service that a command talks to: where it is, how it is asked, and what its refusals say."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from cyclopts import Parameter

from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.text import masked

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    import httpx

T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8080"
LOOK_AT_IT = "its log says more, and `unlost doctor` on its machine"
START_ONE = "start one with `unlost serve`, or name it with --url"


class NoService(Failed):
    """Nothing answered, or the connection broke; a later try may succeed.  `what` happened is
    told without what to do about it."""

    def __init__(self, what: str, advice: str = "") -> None:
        super().__init__(f"{what}; {advice}" if advice else what)
        self.what = what


class Refused(Failed):
    """The service answered with a refusal.  `retry_after` is in seconds, None if not given."""

    def __init__(self, message: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class Exchange(msgspec.Struct, frozen=True):
    """An answer, whoever gave it."""

    status: int
    body: bytes


class NoSuchTask(Failed):
    """No task can have this id."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Connection:
    """How to reach the service."""

    url: Annotated[str, Parameter(env_var="UNLOST_URL", help="where the service is")] = DEFAULT_URL
    api_key: Annotated[
        str,
        Parameter(
            env_var="UNLOST_API_KEY",
            help="its API key, if it wants one, or @FILE that holds it",
            show_default=False,
        ),
    ] = ""


HERE = Connection()


class Service:
    """A client of one service.  Its calls may come from several threads.

    They raise NoService where nothing answers, Refused for a 4xx or 5xx, and Failed for what is
    no answer of an unlost service: any status of success but the one that is to be expected.
    """

    def __init__(
        self, connection: Connection, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`transport` is what brings requests to it, if not HTTP.  Raises WrongUsage where url or
        key cannot be used."""
        # httpx has a command line, which it imports where it can, with click, rich and pygments:
        # a quarter of all the time that a short command takes.
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
        import httpx

        self.url = _checked_url(connection.url or DEFAULT_URL)
        self.shown = masked(self.url)
        headers = {"accept": "application/json", "user-agent": "unlost"}
        if connection.api_key:
            headers["authorization"] = f"Bearer {_checked_key(_read_key(connection.api_key))}"
        # The environment's proxies must not see what goes to this machine, nor its .netrc
        # replace the key.
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(60, connect=5),
            trust_env=False,
            verify=_trust(self.url),
            transport=transport,
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
        return self._ask("GET", path, (200,), query=query, patience=patience).content

    def post(
        self,
        path: str,
        body: bytes,
        content_type: str = "application/json",
        *,
        expected: tuple[int, ...] = (200,),
    ) -> bytes:
        """The body of the answer to a POST, whose status must be an `expected` one."""
        return self._ask("POST", path, expected, body=body, content_type=content_type).content

    def post_lines(self, path: str, lines: bytes) -> tuple[bytes, float | None]:
        """The body of the answer to a POST of NDJSON, and the seconds that it asks to wait."""
        answer = self._ask("POST", path, (200,), body=lines, content_type="application/x-ndjson")
        return answer.content, _retry_after(answer)

    def patch(self, path: str, body: bytes) -> bytes:
        """The body of the answer to a PATCH."""
        return self._ask("PATCH", path, (200,), body=body).content

    def put(self, path: str, body: bytes, query: Mapping[str, str | int] | None = None) -> bytes:
        """The body of the answer to a PUT, which made something or changed it."""
        return self._ask("PUT", path, (200, 201), query=query, body=body).content

    def delete(self, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer to a DELETE: nothing, or what is there if it was done before."""
        return self._ask("DELETE", path, (200, 204), body=body).content

    def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
    ) -> Exchange:
        """The answer to a call, whatever it is."""
        with self._explained():
            answer = self._client.request(method, self.url + path, headers=headers, content=content)
        return Exchange(answer.status_code, answer.content)

    def first_bytes(
        self, path: str, headers: Mapping[str, str], patience: float
    ) -> Exchange | None:
        """The beginning of an answer that has no end; None if nothing comes within `patience`
        seconds."""
        import httpx

        try:
            with (
                self._explained(),
                self._client.stream(
                    "GET", self.url + path, headers=dict(headers), timeout=patience
                ) as answer,
            ):
                first = next(answer.iter_raw(), b"")
                return Exchange(answer.status_code, first)
        except NoService as error:
            if isinstance(error.__cause__, httpx.ReadTimeout):
                return None
            raise

    def _ask(
        self,
        method: str,
        path: str,
        expected: tuple[int, ...],
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
        _check(answer, self.shown, expected)
        return answer

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import httpx

        from unlost.client.core.wire import words

        try:
            yield
        except httpx.ConnectError as error:
            what = f"no service at {self.shown} ({words(error)})"
            raise NoService(what, START_ONE) from error
        except httpx.TimeoutException as error:
            raise NoService(f"{self.shown} did not answer in time", LOOK_AT_IT) from error
        except httpx.TransportError as error:
            what = f"the connection to {self.shown} broke ({words(error)})"
            raise NoService(what, LOOK_AT_IT) from error
        except (httpx.InvalidURL, httpx.HTTPError) as error:
            raise Failed(f"cannot talk to {self.shown} ({words(error)})") from error


def task_path(prefix: str, task_id: str, suffix: str = "") -> str:
    """The path of one task.  Raises WrongUsage for an empty id, and NoSuchTask for one that
    would lead elsewhere."""
    if not task_id:
        raise WrongUsage("a task id cannot be empty")
    if task_id in (".", ".."):
        raise NoSuchTask(f"no task can have the id {task_id}")
    try:
        return f"{prefix}/{quote(task_id, safe='')}{suffix}"
    except UnicodeEncodeError:
        raise NoSuchTask("no task can have this id: it is not UTF-8") from None


def read(answer: bytes, kind: type[T]) -> T:
    """An answer as the value it must be; raises Failed if it is none of an unlost service."""
    try:
        return msgspec.json.decode(answer, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Failed(f"this is not the answer of an unlost service ({error})") from error


def _checked_url(url: str) -> str:
    if not _is_address(url):
        source = _source("--url", "UNLOST_URL", url)
        raise WrongUsage(f"{source} must be like {DEFAULT_URL}, not {masked(url)!r}")
    return url.rstrip("/")


def _source(flag: str, variable: str, value: str) -> str:
    """Where a value came from, by the name that the person used."""
    return variable if os.environ.get(variable) == value else flag


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    plain = url.isprintable() and " " not in url and not parts.query and not parts.fragment
    return plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def _read_key(given: str) -> str:
    """A key, or the one in the file that `@FILE` names: so that no list of processes shows it."""
    if not given.startswith("@"):
        return given
    try:
        key = Path(given[1:]).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8"
        raise WrongUsage(f"the API key's file {given[1:]} cannot be read: {why}") from None
    if not key:
        raise WrongUsage(f"the API key's file {given[1:]} holds no key")
    return key


def _checked_key(key: str) -> str:
    if not (key.isascii() and key.isprintable()) or " " in key:
        source = _source("--api-key", "UNLOST_API_KEY", key)
        raise WrongUsage(f"{source} must be printable ASCII without spaces")
    return key


def _trust(url: str) -> bool | ssl.SSLContext:
    """The system's certificates, loaded only where they matter."""
    import ssl

    if url.startswith("https:"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _check(answer: httpx.Response, url: str, expected: tuple[int, ...]) -> None:
    if answer.status_code in expected:
        return
    if answer.is_success:
        found = f"status {answer.status_code} in place of {expected[-1]}"
        raise Failed(f"this is not the answer of an unlost service ({found})")
    if answer.is_redirect:
        raise Failed(f"{url} sends us on to {answer.headers.get('location', 'nowhere')}")
    raise Refused(_advised(answer), answer.status_code, _retry_after(answer))


def _retry_after(answer: httpx.Response) -> float | None:
    """The seconds that an answer asks to wait, of several the most."""
    given = answer.headers.get_list("retry-after", split_commas=True)
    return max((float(one) for one in given if one.isascii() and one.isdecimal()), default=None)


def _advised(answer: httpx.Response) -> str:
    """What a refusal says, and what to do about it where it is about the key."""
    reason = _reason(answer)
    if answer.status_code == 401:
        given = "authorization" in answer.request.headers
        what = "is the key right?" if given else "it wants a key:"
        return f"{reason}; {what} --api-key or UNLOST_API_KEY gives it"
    if answer.status_code == 403 and b"urn:unlost:problem:forbidden" in answer.content:
        return f"{reason}; `unlost key create` makes one that has it"
    return reason


def _reason(answer: httpx.Response) -> str:
    """What a refusal says, in one line."""
    from unlost.client.errors import Problem

    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return f"{answer.url} answered {answer.status_code} {answer.reason_phrase}"
    title = problem.title or answer.reason_phrase
    return str(msgspec.structs.replace(problem, status=answer.status_code, title=title))
