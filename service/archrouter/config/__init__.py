"""The configuration: every key, its default, unit and range, a group a module.

A value comes from a flag, else from the environment, else from the configuration file, else from its default here.
``docs/configuration.md`` is generated from this module.
"""

from archrouter.config.deciding import LimitsSettings, PoliciesSettings, RoutingSettings, ShadowSettings
from archrouter.config.listening import AuthSettings, ServerSettings
from archrouter.config.observing import DecisionLogSettings, LoggingSettings, MetricsSettings, TracingSettings
from archrouter.config.serving import EmbeddedSettings, TritonSettings
from archrouter.config.values import Section, split_address

__all__ = [
    "CLIENT_TOKEN_ENV",
    "ENV_PREFIX",
    "AuthSettings",
    "DecisionLogSettings",
    "EmbeddedSettings",
    "LimitsSettings",
    "LoggingSettings",
    "MetricsSettings",
    "PoliciesSettings",
    "RoutingSettings",
    "ServerSettings",
    "Settings",
    "ShadowSettings",
    "TracingSettings",
    "TritonSettings",
    "split_address",
]

ENV_PREFIX = "ARCHROUTER_"

CLIENT_TOKEN_ENV = "ARCHROUTER_TOKEN"  # noqa: S105  # the name of the variable
"""Holds the token that commands send; no setting of the service, though it begins like one."""


class Settings(Section):
    """All of the configuration."""

    server: ServerSettings = ServerSettings()
    policies: PoliciesSettings = PoliciesSettings()
    limits: LimitsSettings = LimitsSettings()
    routing: RoutingSettings = RoutingSettings()
    shadow: ShadowSettings = ShadowSettings()
    triton: TritonSettings = TritonSettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    auth: AuthSettings = AuthSettings()
    metrics: MetricsSettings = MetricsSettings()
    logging: LoggingSettings = LoggingSettings()
    tracing: TracingSettings = TracingSettings()
    decision_log: DecisionLogSettings = DecisionLogSettings()
