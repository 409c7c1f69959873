"""Who asks, and from where: with --multi-user the host knows its users by a header of their requests.

A job keeps none of those headers; `taps.handle_prompt` writes into it whose request it was.
"""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import folder_paths
from aiohttp import web
from comfy.cli_args import args

from ..server import prompt_server

if TYPE_CHECKING:
    from server import PromptServer

ROUTES = "/guidance_geometry/"  # below which this pack answers; the host serves all below /api too
JSON = "application/json"
FOREIGN = "This address answers its own pages and scripts, not pages of other sites."
NO_JSON = "Send JSON, with the header Content-Type: application/json."

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


@web.middleware
async def guarding_our_routes(request: web.Request, handler) -> web.StreamResponse:
    """Let no page of another site ask us; what is sent to us must be JSON, which such a page cannot send unasked."""
    resource = request.match_info.route.resource
    if resource is None or not resource.canonical.removeprefix("/api").startswith(ROUTES):
        return await handler(request)
    if is_foreign(request):
        return web.json_response({"error": FOREIGN}, status=403)
    sends = request.method == "POST" or request.body_exists
    if sends and request.content_type != JSON:
        return web.json_response({"error": NO_JSON}, status=415)
    return await handler(request)


def is_foreign(request: web.Request) -> bool:
    """Whether a page of another site asks; the host looks at that only where it is called localhost."""
    origin, headers = request.headers.get("Origin"), request.headers
    if origin is None or args.enable_cors_header in ("*", origin) or headers.get("Sec-Fetch-Site") == "same-origin":
        return False
    return origin.partition("://")[2].lower() != request.host.lower()


def user_who_asks() -> str:
    """The user whose request is answered now."""
    server, request = prompt_server(), ASKING.get()
    if not args.multi_user or server is None or request is None:
        return NOBODY if args.multi_user else ONLY_USER
    return user_of(server, request)


def user_of(server: PromptServer, request: web.Request) -> str:
    """The user of a request; without --multi-user there is one."""
    try:
        return server.user_manager.get_request_user_id(request)
    except KeyError:
        return NOBODY


def folder_of(user: str) -> Path | None:
    """The folder of a user, links followed; None for one who has none below the host's folder of users."""
    root = Path(folder_paths.get_user_directory()).resolve()
    public = getattr(folder_paths, "get_public_user_directory", lambda name: str(root / name))  # not of older hosts
    given = public(user) if user and "\0" not in user else None
    folder = Path(given).resolve() if given else root
    return folder if folder != root and folder.is_relative_to(root) else None


def require_known(user: str) -> str:
    """The user, whom the host knows.  Raises 401 for any other."""
    if user == NOBODY:
        raise web.HTTPUnauthorized()
    return user


def is_heard(server: PromptServer) -> bool:
    """Whether a browser is connected that the running job's events go to.

    Without a client id they would go to all browsers, and so to all users.
    """
    if server.client_id is None:
        return bool(server.sockets) and not args.multi_user
    return isinstance(server.client_id, str) and server.client_id in server.sockets
