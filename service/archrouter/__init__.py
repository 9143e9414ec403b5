"""ArchRouter: a gRPC service that picks, by written policies, which model should answer a conversation."""

from importlib.metadata import version

__version__ = version("archrouter")
