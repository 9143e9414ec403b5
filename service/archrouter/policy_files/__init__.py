"""Policy files and policy suites: strict YAML to domain objects, and findings that say where and how to correct it."""
