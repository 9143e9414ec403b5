"""A folder that changes as that of a mounted ConfigMap or Secret does."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def mount_config_map(folder: Path, files: Mapping[str, str | bytes], mode: int = 0o644) -> None:
    """Write a volume, or swap what is in it, as kubelet does.

    A folder with a time stamp, a link ``..data`` to it that a rename replaces, links of the files' names that never
    change, and the removal of the folder before (kubernetes/kubernetes, pkg/volume/util/atomic_writer.go).
    """
    before = (folder / "..data").resolve() if (folder / "..data").exists() else None
    stamp = Path(tempfile.mkdtemp(prefix="..2026_11_29_10_00_00.", dir=folder))
    for name, content in files.items():
        (stamp / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (stamp / name).chmod(mode)
    (folder / "..data_tmp").symlink_to(stamp.name)
    (folder / "..data_tmp").replace(folder / "..data")
    for name in files:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    if before is not None:
        shutil.rmtree(before)
