"""Asks over HTTP whether something is ready."""

from http.client import HTTPConnection, HTTPException


def answers(port: int, path: str) -> bool:
    """Whether `GET path` on loopback answers 200 within a second. Proxies of the environment play no part."""
    connection = HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
