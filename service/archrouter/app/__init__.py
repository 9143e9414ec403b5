"""The composition root: wiring, start-up order, signals and graceful shutdown."""

from archrouter.app.service import serve

__all__ = ["serve"]
