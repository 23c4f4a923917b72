"""The platform's HTTP door: the API with its OpenAPI, health and metrics. Hot paths are raw ASGI, the rest FastAPI."""

from retrain.web.door import Door
from retrain.web.server import Server, bind

__all__ = ["Door", "Server", "bind"]
