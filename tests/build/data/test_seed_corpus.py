"""The seed corpus: what its cards say is so, and what is in the tree is what the sources give."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from data.__main__ import main
from data.agreement import read_reading
from data.augment.settings import DEFAULT_FILE, read_settings
from data.corpus_cards import PUBLIC_SPLITS, Split
from data.leakage import find_leaks
from data.record_files import read_records, read_wordings
from data.records import assistant, user
from data.seed_corpus import BENCHMARK, SOURCES, read_splits
from data.source_files import LANGUAGES_FOLDER, SourceError, read_source_wordings, read_sources

from archrouter.domain.policy_lint import lint_policy_set
from archrouter.evaluation.dataset import read_dataset


@pytest.fixture(scope="module")
def splits() -> dict[str, Split]:
    """Read the sources once."""
    return {split.name: split for split in read_splits(SOURCES)}


def test_the_committed_benchmark_and_cards_are_what_the_sources_give(capsys: pytest.CaptureFixture[str]) -> None:
    """If this fails, run ``python -m data corpus`` with ``build`` on the path."""
    status = main(["corpus", "--check", "--json"])

    assert [] == json.loads(capsys.readouterr().out)["changed_files"]
    assert 0 == status


@pytest.mark.parametrize("name", ["test", "dev"])
def test_the_committed_benchmark_runs_under_eval(name: str, splits: dict[str, Split]) -> None:
    """Its reader takes the folder, every conversation of it."""
    assert len(splits[name].records) == len(read_dataset(BENCHMARK / name).conversations)


def test_no_domain_is_in_two_splits(splits: dict[str, Split]) -> None:
    """A benchmark of known domains would not show whether a router generalises."""
    domains = [{route.domain for record in split.records for route in record.routes} for split in splits.values()]

    assert sum(map(len, domains)) == len(set().union(*domains))


def test_no_text_is_in_two_splits(splits: dict[str, Split]) -> None:
    """Neither the same nor nearly the same."""
    train, dev, test = (splits[name].records for name in ("train", "dev", "test"))

    assert [] == find_leaks(train, (*dev, *test), 0.85)
    assert [] == find_leaks(dev, test, 0.85)


def test_every_route_has_a_second_wording(splits: dict[str, Split]) -> None:
    """Another text, so that robustness to words can be measured on all of them."""
    for split in splits.values():
        for record in split.records:
            assert list(split.wordings[record.policy_set]) == [route.id for route in record.routes]
            assert all(route.description not in split.wordings[record.policy_set][route.id] for route in record.routes)


def test_every_domain_has_a_sentence_that_covers_it(splits: dict[str, Split]) -> None:
    """Policy sets of domains alone are made from these."""
    for split in splits.values():
        for record in {record.policy_set: record for record in split.records}.values():
            sentences = yaml.safe_load((SOURCES / f"{record.policy_set}.domains.yaml").read_text(encoding="utf-8"))
            assert {route.domain for route in record.routes} == set(sentences)
            assert all(isinstance(sentence, str) and sentence.strip() for sentence in sentences.values())


def test_no_policy_set_is_hard_to_route_by_its_wording(splits: dict[str, Split]) -> None:
    """No two descriptions of a set nearly coincide, by the project's own linter."""
    for split in splits.values():
        for record in {record.policy_set: record for record in split.records}.values():
            likeness = [
                found for found in lint_policy_set(record.as_policy_set()) if "tells the two apart" in found.message
            ]
            assert [] == likeness


def test_every_split_has_each_kind_of_turn(splits: dict[str, Split]) -> None:
    """Actions, whole domains, no match, several turns, several languages."""
    for split in splits.values():
        routes = [record.route(label) for record in split.records for _, label in record.labels]
        assert {True, False} == {route.covers_domain for route in routes if route is not None}
        assert 0.15 < sum(route is None for route in routes) / len(routes) < 0.25
        in_dialogues = sum(len(record.labels) for record in split.records if len(record.user_texts) > 1)
        assert 0.4 < in_dialogues / len(routes)
        if split.name in PUBLIC_SPLITS:
            assert 0.35 < sum(len(record.user_texts) > 1 for record in split.records) / len(split.records)
        assert len({record.provenance.language for record in split.records}) > 8


def test_the_configuration_of_augmentation_names_what_there_is(splits: dict[str, Split]) -> None:
    """A stand-in or an overlap that is misspelt would protect no label."""
    overlap = read_settings(DEFAULT_FILE).overlap
    routes = {
        record.policy_set: {route.id for route in record.routes}
        for split in splits.values()
        for record in split.records
    }

    public = {record.policy_set for name in PUBLIC_SPLITS for record in splits[name].records}
    assert public <= set().union(overlap.apart, overlap.with_all, *overlap.groups) <= set(routes)
    assert public <= set(overlap.stand_ins) <= set(routes)
    assert all(group <= routes[name] for name, groups in overlap.stand_ins.items() for group in groups)


def test_turns_on_which_the_readings_differ_have_lost_their_label(splits: dict[str, Split]) -> None:
    """And all others that were read twice have the label of both readings."""
    first, second = (read_reading(SOURCES / "second_reading" / f"{name}.tsv") for name in ("first", "second"))
    labels = {
        (record.id, turn): label
        for split in splits.values()
        for record in split.records
        for turn, label in record.labels
    }

    assert {key: label if second[key] == label else None for key, label in first.items()} == {
        key: labels.get(key) for key in first
    }


def test_conversations_in_other_languages_are_of_the_train_split_alone(splits: dict[str, Split]) -> None:
    """About as many in each of fourteen languages, and every label is a route's."""
    languages = {path.stem for path in (SOURCES / LANGUAGES_FOLDER).glob("*.yaml")}
    read = [
        (split.name, record)
        for split in splits.values()
        for record in split.records
        if record.provenance.origin.startswith(f"{LANGUAGES_FOLDER}/")
    ]

    assert {"train"} == {split for split, _ in read}
    assert 14 == len(languages)
    for language in languages:
        records = [record for _, record in read if record.provenance.language == language]
        assert 100 <= sum(len(record.labels) for record in records)
        assert any(len(record.user_texts) > 1 for record in records)
        assert any(label == "other" for record in records for _, label in record.labels)


def test_a_language_adds_conversations_to_policy_sets(sources: Path) -> None:
    """A message stands by its route; several make a list, with what the assistant says between."""
    (sources / LANGUAGES_FOLDER).mkdir()
    (sources / LANGUAGES_FOLDER / "fr.yaml").write_text(
        "home-life:\n- device_control: Allume !\n- - kitchen: Une question\n  - assistant: Oui ?\n  - other: Merci\n"
    )

    single, several = (record for record in read_sources(sources)["home-life"] if record.provenance.language == "fr")

    assert ("home-life/in-fr-1", "languages/fr.yaml") == (single.id, single.provenance.origin)
    assert (user("Allume !", "device_control"),) == single.turns
    assert (user("Une question", "kitchen"), assistant("Oui ?"), user("Merci", "other")) == several.turns


def test_descriptions_in_other_languages_are_further_wordings(sources: Path) -> None:
    """Of all routes of a policy set, after the English one."""
    folder = sources / LANGUAGES_FOLDER / "wordings"
    folder.mkdir(parents=True)
    records = read_sources(sources)
    english = read_source_wordings(sources, records)["shop-support"]
    (folder / "nl.yaml").write_text(json.dumps({"shop-support": dict.fromkeys(english, "Bestellen")}))

    wordings = read_source_wordings(sources, records)["shop-support"]

    assert {route: [*texts, "Bestellen"] for route, texts in english.items()} == wordings
    (folder / "nl.yaml").write_text("shop-support: {orders: Bestellen}")
    with pytest.raises(
        SourceError, match=r"nl\.yaml: must give another wording for each .* of policy set shop-support"
    ):
        read_source_wordings(sources, records)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("homelife: [{kitchen: Bonjour}]", "'homelife' is no policy set; the sets are home-life, media-room"),
        ("home-life: [{kitchen: Bonjour, other: Salut}]", "home-life.0"),
        ("home-life: [{kitchen: ''}]", "home-life.0"),
    ],
)
def test_a_wrong_file_of_a_language_is_refused(text: str, expected: str, sources: Path) -> None:
    """With its path and what is wrong."""
    (sources / LANGUAGES_FOLDER).mkdir()
    (sources / LANGUAGES_FOLDER / "fr.yaml").write_text(text)

    with pytest.raises(SourceError, match=rf"fr\.yaml: {expected}"):
        read_sources(sources)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Copy the smallest sources that work: one policy set in each split."""
    directory = tmp_path / "sources"
    directory.mkdir()
    for name in ("media-room", "shop-support", "home-life"):
        for suffix in ("policies", "conversations", "wordings"):
            shutil.copy(SOURCES / f"{name}.{suffix}.yaml", directory)
    (directory / "languages.yaml").write_text("de: [media-room/tatort]\n")
    (directory / "splits.toml").write_text(
        "".join(
            f'[{split}]\nsets = ["{name}"]\nreason = "a test"\n'
            for split, name in (("test", "media-room"), ("dev", "shop-support"), ("train", "home-life"))
        )
    )
    return directory


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("media-room.policies.yaml", "policy_set: media-room", "policy_set: x", "policy_set is 'x'"),
        ("media-room.policies.yaml", "  - domain: screen", "  - domains: screen", "domains.0.domain: Field required"),
        (
            "media-room.conversations.yaml",
            "route: screen_pick",
            "route: screen_pick\n        assistant: x",
            "either 'user' or 'assistant'",
        ),
        ("media-room.conversations.yaml", "    route: ", "    rout: ", "rout: Extra inputs"),
        ("media-room.wordings.yaml", "screen: ", "scren: ", "another wording for each of the routes"),
        ("media-room.policies.yaml", "policy_set: ", "policy_set: [", "is no YAML"),
        ("languages.yaml", "tatort", "tatrot", "no labelled conversation 'media-room/tatrot'"),
        ("languages.yaml", "de: [media-room/tatort]", "- de", "must give a list"),
        ("splits.toml", "media-room", "mediaroom", "'media-room' must be the name of a policy set in exactly one"),
        ("splits.toml", "reason", "why", "is no plan of the splits"),
    ],
)
def test_a_wrong_source_is_refused_with_its_file(
    file: str, old: str, new: str, expected: str, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command says what and where, and exits with 2."""
    path = sources / file
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    status = main(["corpus", "--sources", str(sources), "--benchmark", str(sources / "out"), "--check"])

    error = capsys.readouterr().err
    assert 2 == status
    assert expected in error


def test_a_source_that_is_missing_is_named(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each policy set has three files."""
    (sources / "media-room.wordings.yaml").unlink()

    status = main(["corpus", "--sources", str(sources), "--benchmark", str(sources / "out")])

    assert 2 == status
    assert "media-room.wordings.yaml: cannot be read: No such file" in capsys.readouterr().err


def test_a_label_on_the_assistants_message_is_refused(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the user's turns are routed."""
    path = sources / "media-room.conversations.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("- assistant: ", "- route: other\n        assistant: ", 1), encoding="utf-8")

    status = main(["corpus", "--sources", str(sources), "--benchmark", str(sources / "out")])

    assert 2 == status
    assert "an assistant's has none" in capsys.readouterr().err


def test_a_corpus_that_is_too_small_is_refused(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It promises a number of policies."""
    status = main(["corpus", "--sources", str(sources), "--benchmark", str(sources / "out")])

    assert 2 == status
    assert "the corpus has 58 policies; it promises at least 250" in capsys.readouterr().err


def test_two_splits_with_one_domain_are_refused(sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that says the same in two policy sets would hide that a domain was trained on."""
    for kind in ("policies", "conversations", "wordings"):
        path = sources / f"media-room.{kind}.yaml"
        text = path.read_text(encoding="utf-8").replace("domain: screen", "domain: kitchen")
        path.write_text(text.replace("screen_", "kitchen_").replace("screen:", "kitchen:"), encoding="utf-8")
    path = sources / "media-room.conversations.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("route: screen", "route: kitchen"), encoding="utf-8")

    status = main(["corpus", "--sources", str(sources), "--benchmark", str(sources / "out")])

    assert 2 == status
    assert "domain 'kitchen' is in the splits test and train" in capsys.readouterr().err


def test_a_second_reading_is_reported_in_the_card(tmp_path: Path) -> None:
    """For all turns and for each policy set."""
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources)
    shutil.rmtree(sources / "second_reading", ignore_errors=True)
    (sources / "second_reading").mkdir()
    for name, route in (("first", "k8s"), ("second", "ci")):
        lines = ("conversation\tturn\troute", "ops-desk/a\t0\tk8s", f"ops-desk/b\t2\t{route}", "media-room/a\t0\t")
        (sources / "second_reading" / f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    main(["corpus", "--sources", str(sources), "--benchmark", str(tmp_path / "out")])

    text = (sources / "README.md").read_text(encoding="utf-8")
    assert "| all | 3 | 2 (66.7%) | 0.000 |" in text
    assert "| media-room | 1 | 1 (100.0%) | 1.000 |" in text


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """An empty folder holds no sources."""
    (tmp_path / "languages.yaml").write_text("{}")

    with pytest.raises(SourceError, match=r"no \*\.policies\.yaml"):
        read_sources(tmp_path)


def test_the_train_split_is_written_on_demand(
    tmp_path: Path, splits: dict[str, Split], capsys: pytest.CaptureFixture[str]
) -> None:
    """As a folder of records with the second wordings."""
    benchmark = tmp_path / "benchmark"

    main(["corpus", "--benchmark", str(benchmark), "--train", str(tmp_path / "train"), "--json"])

    counted = json.loads(capsys.readouterr().out)["splits"]["train"]["labelled_turns"]
    records = read_records(tmp_path / "train")
    assert splits["train"].records == records
    assert sum(len(record.labels) for record in records) == counted
    assert set(read_wordings(tmp_path / "train", records)) == {record.policy_set for record in records}


def test_stale_files_are_found_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file without a source would stay in the benchmark for ever."""
    main(["corpus", "--benchmark", str(tmp_path)])
    (tmp_path / "test" / "old.jsonl").touch()
    capsys.readouterr()

    status = main(["corpus", "--benchmark", str(tmp_path), "--check"])
    found = capsys.readouterr().out
    main(["corpus", "--benchmark", str(tmp_path)])

    assert 1 == status
    assert "old.jsonl differs from the sources" in found
    assert not (tmp_path / "test" / "old.jsonl").exists()
