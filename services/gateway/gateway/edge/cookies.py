"""The cookie of a session: for this site alone, out of reach of scripts, and over TLS only where there is TLS."""

from aiohttp import web

CSRF_HEADER = "X-CSRF-Token"
NAME = "llmp_session"


def session_token(request: web.Request) -> str | None:
    """What the browser shows of its session."""
    return request.cookies.get(NAME) if "Cookie" in request.headers else None


def begin(response: web.StreamResponse, token: str, *, seconds: int, secure: bool) -> None:
    response.set_cookie(NAME, token, max_age=seconds, httponly=True, samesite="Strict", secure=secure, path="/")


def end(response: web.StreamResponse, *, secure: bool) -> None:
    response.del_cookie(NAME, path="/", httponly=True, samesite="Strict", secure=secure)
