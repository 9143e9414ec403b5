"""Generate the Python stubs of the API from the protos beside this file.

The ``google/api`` and ``google/rpc`` imports are in ``third_party`` and protoc comes from grpcio-tools, so this needs
no network. The stubs of Go and TypeScript come from ``clients/generate``.
"""

import argparse
import filecmp
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

PROTOS = Path(__file__).resolve().parent
STUBS = PROTOS.parent / "clients" / "python" / "archrouter" / "v1"
PACKAGE = Path("archrouter", "v1")
STUB_PATTERN = "*_pb2*.py*"
"""What generation owns in the stubs' folder; everything else there is written by hand."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Without the program's name; None takes the process's own.

    Returns:
        Exit status: 0, or 1 when ``--check`` found stale stubs.
    """
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        generated = generate(options.protos, Path(scratch))
        stale = stale_stubs(generated, options.stubs)
        if options.check:
            return _report(stale, options.stubs)
        replace_stubs(stale, generated, options.stubs)
    print(f"{len(stale)} of the stubs in {options.stubs.name} changed" + "".join(f"\n  {name}" for name in stale))
    return 0


def generate(protos: Path, output: Path) -> Path:
    """Generate every stub.

    Args:
        protos: Root of the protos.
        output: Empty folder to write under.

    Returns:
        The folder of the package's stubs.

    Raises:
        SystemExit: When the protos do not compile or a plugin is missing; the message says which.
    """
    messages = [_plugin("mypy"), f"--python_out={output}", f"--mypy_out=quiet:{output}"]
    _protoc(protos, messages, "*.proto")
    # Files without a service would give empty modules.
    services = [_plugin("mypy_grpc"), f"--grpc_python_out={output}", f"--mypy_grpc_out=quiet:{output}"]
    _protoc(protos, services, "*_service.proto")
    return output / PACKAGE


def stale_stubs(generated: Path, committed: Path) -> list[str]:
    """Compare two folders of stubs, byte for byte.

    Args:
        generated: What the protos give.
        committed: What the tree holds; need not exist.

    Returns:
        Sorted names of the files that differ or exist on one side only.
    """
    names = {path.name for folder in (generated, committed) for path in folder.glob(STUB_PATTERN)}
    _, differing, one_sided = filecmp.cmpfiles(generated, committed, names, shallow=False)
    return sorted(differing + one_sided)


def replace_stubs(stale: Sequence[str], generated: Path, committed: Path) -> None:
    """Bring stale stubs up to date, and delete those no proto gives any more.

    Args:
        stale: Names of the files to bring up to date.
        generated: What the protos give.
        committed: Folder to write to.
    """
    committed.mkdir(parents=True, exist_ok=True)
    for name in stale:
        if (generated / name).exists():
            shutil.copyfile(generated / name, committed / name)
        else:
            (committed / name).unlink()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protos", type=Path, default=PROTOS, help="root of the protos (default: this folder)")
    parser.add_argument("--stubs", type=Path, default=STUBS, help="folder of the stubs (default: archrouter/v1)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when the stubs are stale")
    return parser


def _report(stale: Sequence[str], committed: Path) -> int:
    tools = " and ".join(f"{name} {version(name)}" for name in ("grpcio-tools", "mypy-protobuf"))
    if not stale:
        print(f"the stubs are what {tools} generate")
        return 0
    print(f"{len(stale)} stubs in {committed} are not what {tools} generate:", file=sys.stderr)
    print("".join(f"  {name}\n" for name in stale) + "run `make proto` and commit the result", file=sys.stderr)
    return 1


def _plugin(name: str) -> str:
    plugin = shutil.which(f"protoc-gen-{name}", path=sysconfig.get_path("scripts"))
    if plugin is None:
        sys.exit(f"protoc-gen-{name} is not installed beside {sys.executable}; install the extra 'dev'")
    return f"--plugin=protoc-gen-{name}={plugin}"


def _protoc(protos: Path, options: Sequence[str], pattern: str) -> None:
    files = sorted(str(path.relative_to(protos)) for path in (protos / PACKAGE).glob(pattern))
    if not files:
        sys.exit(f"{protos / PACKAGE} holds no {pattern}; name the root of the protos with --protos")
    roots = [f"-I{protos}", f"-I{protos / 'third_party' / 'googleapis'}"]
    command = [sys.executable, "-m", "grpc_tools.protoc", *roots, *options, *files]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"protoc failed on the protos in {protos}; its messages are above")


if __name__ == "__main__":
    sys.exit(main())
