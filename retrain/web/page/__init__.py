"""The page: what the API says, for people. HTML from the server, made whole without JavaScript; htmx swaps in what
changes. Everything is below `/ui/`, so that no endpoint of an event source is in its way.

A view is one template and one short route, whose words come from the functions that the API's come from.
"""

from __future__ import annotations

from retrain.web.page.application import create_page

__all__ = ["create_page"]
