"""What calls over HTTP have in common: they follow no redirect, and only this machine is reached without https."""

import urllib.request
from http.client import HTTPMessage
from typing import IO

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that plain http may reach: nobody is between."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """For `urllib`: a redirect could lead away from https, or take a key elsewhere."""

    def redirect_request(  # the library's signature
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        """Follow none; the library then raises HTTPError."""
