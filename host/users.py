"""Who asks: with --multi-user the host knows its users by a header of their requests, and a job keeps none of those."""

from __future__ import annotations

from contextvars import ContextVar

from aiohttp import web
from comfy.cli_args import args

from .adapter import prompt_server

ASKING: ContextVar[web.Request | None] = ContextVar("asking", default=None)  # the request that is answered now
ONLY_USER = "default"  # the host's name for whoever asks without --multi-user
NOBODY = ""  # whom the host does not know


@web.middleware
async def noting_who_asks(request: web.Request, handler) -> web.StreamResponse:
    """Answer a request while ASKING holds it."""
    before = ASKING.set(request)
    try:
        return await handler(request)
    finally:
        ASKING.reset(before)


def user_who_asks() -> str:
    """The user whose request is answered now."""
    server, request = prompt_server(), ASKING.get()
    if not args.multi_user or server is None or request is None:
        return NOBODY if args.multi_user else ONLY_USER
    return user_of(server, request)


def user_of(server, request: web.Request) -> str:
    """The user of a request; without --multi-user there is one."""
    try:
        return server.user_manager.get_request_user_id(request)
    except KeyError:
        return NOBODY


def known(user: str) -> str:
    """The same user.  Raises 401 for one whom the host does not know."""
    if user == NOBODY:
        raise web.HTTPUnauthorized()
    return user


def is_heard(server) -> bool:
    """Whether a browser is connected that the running job's events go to.

    Without a client id they would go to all browsers, and so to all users.
    """
    if server.client_id is None:
        return bool(server.sockets) and not args.multi_user
    return isinstance(server.client_id, str) and server.client_id in server.sockets
