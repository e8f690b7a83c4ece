"""Who may look, and whether it was really they who pressed the button."""

import base64
import hmac
import inspect
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import quote, unquote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Auth = Callable[[Request], object | Awaitable[object]]

TOKEN_COOKIE = "journey_dashboard"
CSRF_COOKIE = "journey_csrf"
CSRF_FIELD = "csrf"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def basic_auth(username: str, password: str) -> Auth:
    """Lets in who knows a name and a password (HTTP Basic; use it over TLS)."""
    wanted = f"{username}:{password}".encode()

    def auth(request: Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            known = base64.b64decode(given, validate=True) if scheme.lower() == "basic" else b""
        except ValueError:
            known = b""
        if hmac.compare_digest(known, wanted):
            return True
        raise HTTPException(401, headers={"WWW-Authenticate": 'Basic realm="journey"'})

    return auth


def token_auth(token: str) -> Auth:
    """Lets in who comes with `?token=…` once; a cookie remembers it."""
    if not token:
        raise ValueError("token_auth wants a token that nobody guesses, not an empty one")

    def auth(request: Request) -> bool:
        remembered = unquote(request.cookies.get(TOKEN_COOKIE) or "")
        given = request.query_params.get("token") or remembered
        if not hmac.compare_digest(given.encode(), token.encode()):
            return False
        request.state.remember = quote(token, safe="")  # which holds all that a cookie may
        return True

    return auth


class Guard:
    """ASGI middleware: nothing is answered to whom `auth` does not let in.

    A request that changes something must show the token of the form it comes from, and come from
    this very site.
    """

    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = Request(scope, receive)
        try:
            await self._check(request)
        except HTTPException as error:
            refusal = PlainTextResponse(error.detail, error.status_code, error.headers)
            return await refusal(scope, receive, send)
        cookies = _cookies(request)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message["headers"], *headers, *cookies]
            await send(message)

        await self._app(scope, receive, send_guarded)

    async def _check(self, request: Request) -> None:
        """Raises HTTPException for a request that is not to be answered."""
        answer = self._auth(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if not answer:
            raise HTTPException(403, "You may not look at this.")
        if request.method not in ("GET", "HEAD") and not _is_same_site(request):
            raise HTTPException(403, "This request came from another site.")


def csrf_token(request: Request) -> str:
    """What a form of this browser has to carry."""
    token: str = request.state.csrf
    return token


async def check_csrf(request: Request) -> None:
    """Refuse a form that does not carry the token of this browser."""
    given = str((await request.form()).get(CSRF_FIELD, ""))
    known = request.cookies.get(CSRF_COOKIE, "")
    if not known or not hmac.compare_digest(given.encode(), known.encode()):
        raise HTTPException(403, "This form is too old. Load the page again.")


def _is_same_site(request: Request) -> bool:
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("Host")


def _cookies(request: Request) -> list[tuple[bytes, bytes]]:
    """The cookies that the browser has yet to get."""
    known = request.cookies.get(CSRF_COOKIE)
    request.state.csrf = known or secrets.token_urlsafe(32)
    response = Response()
    path = request.scope.get("root_path") or "/"
    secure = request.url.scheme == "https"

    def add(name: str, value: str) -> None:
        response.set_cookie(name, value, path=path, httponly=True, samesite="strict", secure=secure)

    if known is None:
        add(CSRF_COOKIE, request.state.csrf)
    remembered = getattr(request.state, "remember", None)
    if remembered is not None and request.cookies.get(TOKEN_COOKIE) != remembered:
        add(TOKEN_COOKIE, remembered)
    return [header for header in response.raw_headers if header[0] == b"set-cookie"]
