"""Write ``configuration.md``, the reference of every setting, from the code that defines them.

``--check`` writes nothing and fails when the file is not what would be written.
"""

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from archrouter.config import Settings
from archrouter.config_sources import SettingKey, section_type, setting_keys

OUTPUT = Path(__file__).with_name("configuration.md")
INTRODUCTION = """\
# Configuration

<!-- Written by docs/generate_configuration.py from service/archrouter/config; do not edit. -->

Every setting has a default. A value comes from a flag of `archrouter serve`, else from the environment, else from the
file that `--config FILE` names, else from the default here. An unknown name is an error in each of them.
Units are in the names: `_s` is seconds, `_bytes` is bytes, everything else is a count.

Settings are read once, at the start: changing one needs a restart. Policy files are not settings. They are read again
[when they change](policies.md), without a restart; so are certificates, callers and keys ([security](security.md)), and
on SIGHUP the [endpoints file](upgrades.md).

`--embedded` is short for `--embedded-enabled`, `--policies` for `--policies-directory`. Switches are turned off by
`--no-…`. At the start the log line `settings_loaded` says where each value that is not the default comes from.

```yaml
server:
  listen: 0.0.0.0:50051
policies:
  directory: /etc/archrouter/policies
```
"""


def main() -> int:
    """Write the reference, or check it.

    Returns:
        Exit code: 1 when the check found a difference.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    text = configuration_reference()
    if not parser.parse_args().check:
        OUTPUT.write_text(text, encoding="utf-8")
    elif not OUTPUT.is_file() or OUTPUT.read_text(encoding="utf-8") != text:
        print(f"{OUTPUT.name} is out of date; run: python docs/{Path(__file__).name}", file=sys.stderr)
        return 1
    return 0


def configuration_reference() -> str:
    """Write the reference.

    Returns:
        Markdown: a table for each section.
    """
    return "\n".join([INTRODUCTION, *(line for section in Settings.model_fields for line in _section(section))])


def _section(section: str) -> Iterator[str]:
    yield f"## `{section}`"
    yield ""
    yield inspect.getdoc(section_type(section)) or ""
    yield ""
    yield "| key | value | default | meaning | environment | flag |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for key in setting_keys():
        if key.section == section:
            yield _row(key)
    yield ""


def _row(key: SettingKey) -> str:
    default = f"`{key.default}`" if key.default else "empty"
    meaning = str(key.field.description).replace("|", "\\|")
    return f"| `{key.key}` | {key.allowed} | {default} | {meaning} | `{key.env}` | `{key.flag}` |"


if __name__ == "__main__":
    sys.exit(main())
