"""The workbench's page: what `archrouter ui` serves on this machine's loopback interface."""
