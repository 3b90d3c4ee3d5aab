"""The environment of commands: the variables that the policy allows, without secrets of Greenroom."""

import os

from greenroom.config.settings import Settings
from greenroom.config.tables.environment import shell_environment
from greenroom.config.tables.sandbox import allows_network
from greenroom.runtime.process.spawn import OWN_VARIABLES


def command_environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of a command under these settings."""
    environment = shell_environment(settings.shell_environment_policy, os.environ)
    for name in withheld_variables(settings):
        environment.pop(name, None)
    if not allows_network(settings.sandbox_policy):
        environment["CODEX_SANDBOX_NETWORK_DISABLED"] = "1"
    return environment


def withheld_variables(settings: Settings) -> frozenset[str]:
    """Return names that no policy passes on to commands."""
    return settings.provider.credential_variables | OWN_VARIABLES.keys()
