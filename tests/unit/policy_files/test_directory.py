"""`PolicyDirectory`: every usable set of a directory, and a reason for every file that has none."""

from pathlib import Path

from archrouter.application.ports import PolicyLoad, RejectedSource
from archrouter.domain.findings import Finding, Severity
from archrouter.policy_files.directory import PolicyDirectory, read_policy_file

_TEXT = (
    "policy_set: {}\n"
    "fallback: [small]\n"
    "models: {{small: {{model: vendor/small}}}}\n"
    "routes: [{{id: code, description: Writing code, models: [small]}}]\n"
)


def _write(directory: Path, **policy_sets: str) -> None:
    for name, policy_set_id in policy_sets.items():
        (directory / f"{name}.yaml").write_text(_TEXT.format(policy_set_id), encoding="utf-8")


def test_load_accepts_every_good_file_in_the_order_of_names(tmp_path: Path) -> None:
    """Each file gives its set under the file's name; suites and other files are not touched."""
    _write(tmp_path, b="one", a="two", a_test="three")
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")

    load = PolicyDirectory(tmp_path).load()

    assert [("a.yaml", "two"), ("b.yaml", "one")] == [(s.source, s.policy_set.id) for s in load.accepted]
    assert () == load.rejected


def test_load_rejects_each_bad_file_and_keeps_the_good_ones(tmp_path: Path) -> None:
    """One bad file, be it unreadable, not text or not a policy set, never takes a good one with it."""
    _write(tmp_path, good="good", broken="Broken!")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.yaml").mkdir()

    load = PolicyDirectory(tmp_path).load()

    assert ["good.yaml"] == [sourced.source for sourced in load.accepted]
    assert ["binary.yaml", "broken.yaml", "folder.yaml"] == [rejected.source for rejected in load.rejected]
    assert [("", 1, 1), ("policy_set", 1, 13), ("", 0, 0)] == [
        (finding.field_path, finding.line, finding.column) for r in load.rejected for finding in r.findings
    ]


def test_load_rejects_the_second_file_of_a_policy_set_and_names_the_first(tmp_path: Path) -> None:
    """Two files of one set: the first by name serves, the other is told which one it collides with, and where."""
    _write(tmp_path, a="same", b="same", c="other")

    load = PolicyDirectory(tmp_path).load()

    message = "'same' is already the policy set of 'a.yaml'; give this one another name"
    assert ["a.yaml", "c.yaml"] == [sourced.source for sourced in load.accepted]
    assert (RejectedSource("b.yaml", (Finding(Severity.ERROR, "policy_set", message, 1, 13),)),) == load.rejected


def test_load_keeps_a_set_whose_file_only_has_warnings(tmp_path: Path) -> None:
    """A warning is no reason to refuse a set."""
    text = _TEXT.format("warned").replace("{small:", "{unused: {model: vendor/unused}, small:")
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")

    load = PolicyDirectory(tmp_path).load()

    assert ["warned"] == [sourced.policy_set.id for sourced in load.accepted]
    assert () == load.rejected


def test_load_of_missing_directory_rejects_the_directory(tmp_path: Path) -> None:
    """A directory that is not there is a rejected source with a remedy, not a crash and not an empty success."""
    load = PolicyDirectory(tmp_path / "policies").load()

    message = "the policy directory cannot be listed: No such file or directory; create it, or set policies.directory"
    finding = Finding(Severity.ERROR, "", message)
    assert PolicyLoad((), (RejectedSource("policies", (finding,)),), complete=False) == load


def test_load_sees_what_has_changed_since_the_last_time(tmp_path: Path) -> None:
    """Nothing is remembered between two loads."""
    source = PolicyDirectory(tmp_path)
    _write(tmp_path, a="old")
    before = source.load()
    _write(tmp_path, a="new")

    after = source.load()

    assert [["old"], ["new"]] == [[one.policy_set.id for one in load.accepted] for load in (before, after)]


def test_load_of_a_folder_without_policy_files_rejects_the_folder(tmp_path: Path) -> None:
    """A folder whose content could not be mounted is empty; nobody has taken every policy away on purpose."""
    _write(tmp_path, a_test="a suite")

    load = PolicyDirectory(tmp_path).load()

    message = "the policy directory holds no policy file; write one, or set policies.directory"
    finding = Finding(Severity.ERROR, "", message)
    assert PolicyLoad((), (RejectedSource(tmp_path.name, (finding,)),), complete=False) == load


def test_load_follows_the_links_of_a_mounted_configmap(tmp_path: Path) -> None:
    """Kubernetes mounts files as links into a hidden folder that it swaps; each is read once, under its own name."""
    (tmp_path / "..2026").mkdir()
    _write(tmp_path / "..2026", a="mounted")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")

    load = PolicyDirectory(tmp_path).load()

    assert [("a.yaml", "mounted")] == [(sourced.source, sourced.policy_set.id) for sourced in load.accepted]
    assert () == load.rejected


def test_read_policy_file_gives_document_of_the_text(tmp_path: Path) -> None:
    """A single file can be read with the places of its fields, as `archrouter check` needs it."""
    _write(tmp_path, a="single")

    document = read_policy_file(tmp_path / "a.yaml")

    (located,) = document.places.locate([Finding(Severity.WARNING, "routes[0].id", "is odd")])
    assert document.content is not None
    assert ("routes[0].id", 4, 15) == (located.field_path, located.line, located.column)
