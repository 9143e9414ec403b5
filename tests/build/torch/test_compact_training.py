"""The recipe of the compact router end to end, on a made-up corpus of three sets and for a few steps.

The committed model takes an hour of two cores and sources that are not part of this repository; this is the same code.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from compact_model.digest import file_digests
from compact_model.router import CompactRouter
from compact_router.average import average
from compact_router.batches import BatchMaker
from compact_router.learner import Learner
from compact_router.material import make_sampler, read_material
from compact_router.neighbours import Neighbours
from compact_router.parallel import Workers
from compact_router.plan import LIMITS, Plan
from compact_router.pretrained import embed, text_reader
from compact_router.train import draw_views
from data.augment.settings import Overlap

ROOT = Path(__file__).parents[3]
MODEL_DIRECTORY = ROOT / "model_repository" / "compact_router"
FOLDERS = (MODEL_DIRECTORY / "1", ROOT / "build")

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, FOLDERS)), "HF_HUB_OFFLINE": "1"}
SETS = {
    "alpha": {"garden": ("plant", "prune"), "kitchen": ("cook", "bake")},
    "beta": {"bank": ("pay", "save"), "road": ("drive", "park")},
    "gamma": {"music": ("sing", "dance"), "sport": ("run", "swim")},
    "delta": {"law": ("sue", "appeal"), "school": ("learn", "teach")},
}
TRANSLATED = [
    (goods, name, word)
    for goods in ("shoes", "coats", "hats", "boots")
    for name, word in (("buy", "achetez-moi des"), ("mend", "réparez-moi des"))
]
SHORT = ("--steps", "3", "--views", "2", "--turns", "4")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a corpus in the format of the project's own; two of its sets are trained on."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "splits.toml").write_text(
        "".join(
            f'[{split}]\nsets = {json.dumps(names)}\nreason = "made up"\n'
            for split, names in (("test", ["gamma"]), ("dev", ["delta"]), ("train", ["alpha", "beta"]))
        )
    )
    (folder / "languages.yaml").write_text("{}\n")
    for name, domains in SETS.items():
        routes = {
            f"{domain}_{action}": f"to {action} in the {domain}" for domain in domains for action in domains[domain]
        }
        policies = {
            "policy_set": name,
            "description": name,
            "domains": [
                {
                    "domain": domain,
                    "actions": [{"action": each, "description": routes[f"{domain}_{each}"]} for each in actions],
                }
                for domain, actions in domains.items()
            ],
        }
        conversations = [
            {"id": f"{route.replace('_', '-')}-{n}", "messages": [{"user": f"please {text}, {n}", "route": route}]}
            for route, text in routes.items()
            for n in range(3)
        ]
        texts = {route: f"the wish {text}" for route, text in routes.items()}
        for suffix, document in (
            ("policies", policies),
            ("conversations", {"policy_set": name, "conversations": conversations}),
            ("wordings", texts),
        ):
            (folder / f"{name}.{suffix}.yaml").write_text(json.dumps(document))
    return folder


def write_services(folder: Path) -> Path:
    """Write services of two routes each, one of them held out."""
    folder.mkdir()
    services = [
        {
            "set": f"shop-{number}",
            "about": "a shop",
            "held_out": goods == "boots",
            "domains": [
                {
                    "name": f"{goods}",
                    "whole": [f"all about {goods}"],
                    "actions": [
                        {
                            "name": name,
                            "texts": [f"to {name} {goods}"],
                            "asks": [f"please {name} my {goods}"],
                            "offers": [["hello", f"Shall I {name} the {goods}?"]],
                        }
                        for name in ("buy", "mend")
                    ],
                }
            ],
            "other": [f"who invented {goods}?"],
        }
        for number, goods in enumerate(("shoes", "coats", "hats", "boots"))
    ]
    (folder / "shops.yaml").write_text(json.dumps(services))
    translations = {f"please {name} my {goods}": f"{word} {goods} s'il vous plaît" for goods, name, word in TRANSLATED}
    translations |= {f"to {name} {goods}": f"qui veut : {word} {goods}" for goods, name, word in TRANSLATED}
    for part in ("languages", "languages/held_out"):
        (folder / part).mkdir()
        (folder / part / "fr.yaml").write_text(json.dumps(translations))
    return folder


def write_benchmark(folder: Path) -> Path:
    """Write a benchmark of a request bare and with a lead-in."""
    (folder / "policies").mkdir(parents=True)
    routes = [
        {"name": name, "domain": "", "action": name, "description": f"to {name}"} for name in ("swim", "sail", "dive")
    ]
    (folder / "policies" / "water.json").write_text(json.dumps({"policy_set": "water", "routes": routes}))
    lines = [
        {
            "id": setting,
            "setting": setting,
            "policy_set": "water",
            "messages": [{"role": "user", "content": text}],
            "labels": [{"turn": 0, "route": "swim"}],
            "sources": sources,
        }
        for setting, text, sources in (("bare", "I swim", []), ("lead_in", "Hello! I swim", ["bare"]))
    ]
    (folder / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def run(*arguments: str) -> str:
    """Run a build program and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert 0 == result.returncode, result.stderr
    return result.stdout


def test_the_recipe_makes_a_model_that_serves(corpus: Path, tmp_path: Path) -> None:
    """Train with a fold held out, export, calibrate on that fold, stamp: the folder loads and scores."""
    in_corpus = ("--corpus", str(corpus), "--services", str(write_services(tmp_path / "services")))
    options = (*in_corpus, "--fold", "0", "--rivals", *SHORT, "--measured-views", "8")
    printed = run("compact_router.train", str(tmp_path / "fold"), *options)
    model = tmp_path / "model"
    (model / "1").mkdir(parents=True)
    shutil.copy(MODEL_DIRECTORY / "config.pbtxt", model)
    given = ("--model-directory", str(model))

    checkpoint = str(tmp_path / "fold" / "checkpoint.pt")
    drawn = run("compact_router.measure", checkpoint, "--dev-split", *in_corpus, "--output", str(tmp_path / "fold"))
    kinds = run("compact_router.measure", checkpoint, "--benchmark", str(write_benchmark(tmp_path / "benchmark")))

    run("compact_router.export", checkpoint, *given)
    calibrated = run("compact_router.calibrate", str(tmp_path / "fold"), *given)
    version = run("compact_router.stamp", *given).strip()
    run("compact_router.curve", str(tmp_path / "fold" / "curve.jsonl"), str(tmp_path / "curve.svg"))
    router = CompactRouter.load(model / "1", intra_op_thread_count=1, candidate_cache_capacity=8)
    candidate = json.dumps({"id": "a", "domain": "", "action": "a", "description": "to cook"}).encode()
    scores = router.score(b'[{"role": "user", "content": "cook"}]', [candidate])

    figures = [json.loads(line) for line in printed.splitlines()[-3:]]
    assert ["as_written", "new_domains", "new_conversations"] == [each.pop("part") for each in figures]
    assert all({"joint reader", "bi-encoder", "late interaction"} == set(each) for each in figures)
    assert ["dev_sets", "dev_as_written"] == [json.loads(line)["part"] for line in drawn.splitlines()[-2:]]
    assert ["bare", "lead_in", "all"] == [json.loads(line)["setting"] for line in kinds.splitlines()[-3:]]
    assert calibrated.startswith("temperature ")
    assert "dev_sets: " in calibrated
    assert version in (model / "config.pbtxt").read_text()
    assert (2,) == scores.logits.shape
    assert (tmp_path / "curve.svg").stat().st_size > 0


def test_an_encoder_of_other_languages_is_taught_and_served_beside_the_first(corpus: Path, tmp_path: Path) -> None:
    """Map, vectors, conversations: what is exported reads French, and the files of the first stay as they are."""
    in_corpus = ("--corpus", str(corpus), "--services", str(write_services(tmp_path / "services")))
    model = tmp_path / "model"
    given = ("--model-directory", str(model))
    trained, grafted, taught = (str(tmp_path / name / "checkpoint.pt") for name in ("trained", "grafted", "taught"))
    run("compact_router.train", str(tmp_path / "trained"), *in_corpus, *SHORT)
    run("compact_router.export", trained, *given)
    before = file_digests(model / "1")

    run("compact_router.graft", trained, str(tmp_path / "grafted"), *in_corpus[2:], "--steps", "2", "--workers", "1")
    options = ("--encoder", "e5", "--trained-layers", "12", "--teacher", trained, "--start", grafted)
    run("compact_router.train", str(tmp_path / "taught"), *in_corpus, *SHORT, *options)
    run("compact_router.export", taught, *given)
    (model / "1" / "router.json").write_text((MODEL_DIRECTORY / "1" / "router.json").read_text())
    measured = run("compact_router.measure", str(model), "--dev-split", *in_corpus, "--output", str(tmp_path / "parts"))
    calibrated = run("compact_router.calibrate", str(tmp_path / "parts"), *given)

    router = CompactRouter.load(model / "1", intra_op_thread_count=1, candidate_cache_capacity=8)
    candidate = json.dumps({"id": "a", "domain": "", "action": "a", "description": "to cook"}).encode()
    french = "réparez-moi des chaussures s'il vous plaît"
    scores = router.score(json.dumps([{"role": "user", "content": french}]).encode(), [candidate])
    added = file_digests(model / "1").items() - before.items()
    assert {"other_languages/encoder.onnx", "other_languages/tokenizer.json", "router.json"} == {
        name for name, _ in added
    }
    assert len(text_reader("e5").candidate(french)) == scores.prompt_token_count
    assert "dev_other_languages" == json.loads(measured.splitlines()[-1])["part"]
    assert "dev_other_languages: " in calibrated


def weights_after(corpus: Path, steps: list[str], folder: Path) -> dict[str, torch.Tensor]:
    """Train three steps, with a checkpoint and a new learner wherever ``steps`` says so."""
    plan = Plan(steps=3, views=2, turns=4)
    material = read_material(None, corpus, services=None)
    sampler = make_sampler(material, Neighbours(material, Overlap(), embed))
    maker, workers = BatchMaker(text_reader(), LIMITS), Workers(0, 1)
    learner = Learner(plan, workers, with_rivals=False)
    for what in steps:
        if what == "step":
            learner.step(maker.make(draw_views(sampler, plan, learner.step_count, workers)))
        else:
            learner.save(folder / "checkpoint.pt")
            learner = Learner(plan, workers, with_rivals=False)
            learner.resume(folder / "checkpoint.pt")
    weights: dict[str, torch.Tensor] = learner.router.state_dict()
    return weights


def test_an_interrupted_run_ends_with_the_same_weights(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seed and step decide what is drawn, and a checkpoint holds the rest; two runs differ by no bit.

    Nothing is remembered of the frozen layers here: in its last bits that depends on what a text was batched with when
    it was first seen.
    """
    torch.set_num_threads(1)
    monkeypatch.setattr("compact_router.learner.LOWER_STATE_CAPACITY", 0)

    whole = weights_after(corpus, ["step", "step", "step"], tmp_path)
    resumed = weights_after(corpus, ["step", "interrupt", "step", "step"], tmp_path)

    assert [] == [name for name, weight in whole.items() if not torch.equal(weight, resumed[name])]


def test_the_mean_of_checkpoints_is_the_mean_of_their_weights() -> None:
    """Every weight counts alike, and keeps its type."""
    documents = [{"router": {"w": torch.tensor([1.0, 2.0])}}, {"router": {"w": torch.tensor([3.0, 2.0])}}]

    mean = average(documents)["router"]["w"]

    assert [2.0, 2.0] == mean.tolist()
    assert torch.float32 == mean.dtype


def test_an_older_checkpoint_lacks_what_starts_as_zero_and_is_averaged_as_that() -> None:
    """Anything else that one of them lacks is of another network."""
    older, newer = {"w": torch.ones(2)}, {"w": torch.zeros(2), "encoder.weight_of": torch.full((2,), 3.0)}

    mean = average([{"router": older}, {"router": newer}])["router"]

    assert {"w": [0.5, 0.5], "encoder.weight_of": [1.5, 1.5]} == {name: each.tolist() for name, each in mean.items()}
    with pytest.raises(KeyError):
        average([{"router": older}, {"router": {"w": torch.ones(2), "x": torch.ones(2)}}])


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    """Going on under other settings would give weights that no settings describe."""
    workers = Workers(0, 1)
    Learner(Plan(steps=3), workers, with_rivals=False).save(tmp_path / "checkpoint.pt")

    with pytest.raises(ValueError, match="was made under another plan"):
        Learner(Plan(steps=4), workers, with_rivals=False).resume(tmp_path / "checkpoint.pt")
