"""A dashboard to mount into an ASGI application, or to serve by `journey dashboard`.

    app.mount("/journey", dashboard(journey, auth=basic_auth("ops", password)))

Needs the extra `dashboard`. Pages are made on the server and kept up to date by server-sent
events; nothing is loaded from elsewhere.
"""

from journey_async.dashboard.app import dashboard
from journey_async.dashboard.security import basic_auth, token_auth

__all__ = ["basic_auth", "dashboard", "token_auth"]
