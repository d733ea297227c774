"""The cookie of a session: for this site alone, out of reach of scripts, and over TLS only where there is TLS."""

from aiohttp import web

CSRF_HEADER = "X-CSRF-Token"
_NAME = "llmp_session"


def session_token(request: web.Request) -> str | None:
    """What the browser shows of its session."""
    return request.cookies.get(_NAME) if "Cookie" in request.headers else None


def begin(response: web.StreamResponse, token: str, *, seconds: int, secure: bool) -> None:
    response.set_cookie(_NAME, token, max_age=seconds, httponly=True, samesite="Lax", secure=secure, path="/")


def end(response: web.StreamResponse) -> None:
    response.del_cookie(_NAME, path="/", httponly=True, samesite="Lax")
