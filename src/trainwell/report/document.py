"""The HTML document around a page's content."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files

from trainwell.report.markup import text


def render_document(title: str, body: str) -> str:
    """A page that needs nothing but itself.

    Args:
        title: For people; any text.
        body: HTML.
    """
    style = files("trainwell.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style)}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{text(title)} · trainwell</title><style>{style}</style></head>"
        f"<body><main>{body}</main></body></html>"
    )


def _policy(style: str) -> str:
    """Nothing is loaded and nothing runs; only this style is applied."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
