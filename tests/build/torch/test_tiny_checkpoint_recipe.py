"""The recipe of the tiny checkpoint makes what is committed. Needs the extra `build`."""

import json
from pathlib import Path
from random import Random

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tiny_checkpoint import artefact
from tiny_checkpoint.__main__ import measure
from tiny_checkpoint.corpus import load_world, make_example
from tiny_checkpoint.evaluate import heldout_examples
from tiny_checkpoint.golden import golden_examples
from tiny_checkpoint.model import make_model, round_to_bfloat16
from tiny_checkpoint.onnx_export import FloatArray, export, store_as_bfloat16
from tiny_checkpoint.successor import SEED, make_successor
from tiny_checkpoint.train import TrainingPlan, batch_loss, make_batch, train
from tokenizers import Tokenizer
from transformers import Qwen2ForCausalLM, Qwen3ForCausalLM

DATA = Path(__file__).parents[3] / "tests" / "data"
CHECKPOINT = DATA / "tiny_checkpoint"
SUCCESSOR = DATA / "tiny_successor"
WORLD = load_world()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Give the committed tokenizer."""
    return Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))


def trained(tokenizer: Tokenizer, plan: TrainingPlan) -> Qwen2ForCausalLM:
    """Train a model from its seed."""
    torch.set_num_threads(1)
    torch.manual_seed(plan.seed)
    model = make_model(tokenizer)
    train(model, tokenizer, WORLD, plan)
    return model


def test_equal_seeds_give_equal_weights(tokenizer: Tokenizer) -> None:
    """Two trainings of three steps agree in every bit."""
    plan = TrainingPlan(step_count=3, batch_size=2)
    first, second = trained(tokenizer, plan), trained(tokenizer, plan)

    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_training_lowers_the_loss(tokenizer: Tokenizer) -> None:
    """Thirty steps halve the loss on examples that were not among them."""
    random = Random(1)  # noqa: S311  # toy data, not a secret
    batch = make_batch(tokenizer, [make_example(WORLD, random, heldout=False) for _ in range(4)])
    torch.manual_seed(0)
    before = batch_loss(make_model(tokenizer), batch).item()

    after = batch_loss(trained(tokenizer, TrainingPlan(step_count=30, batch_size=4)), batch).item()

    assert after < before / 2


def test_the_committed_accuracy_is_measured_again() -> None:
    """Another processor's rounding may turn a few of the 500 examples, no more."""
    measured = json.loads(json.dumps(measure(WORLD, CHECKPOINT)))
    stated = json.loads((CHECKPOINT / "evaluation.json").read_text(encoding="utf-8"))

    assert stated["example_count"] == measured["example_count"]
    assert pytest.approx(stated["accuracy"], abs=0.01) == measured["accuracy"]
    assert pytest.approx(stated["chance"]) == measured["chance"]


def test_transformers_reads_the_committed_directory() -> None:
    """Its tokenizer and chat template give the prompts of the training."""
    artefact.check_with_transformers(CHECKPOINT, WORLD)


def test_the_committed_golden_examples_are_those_of_the_weights(tokenizer: Tokenizer) -> None:
    """Tokens are equal, log-probabilities within the rounding of another processor."""
    committed = [json.loads(line) for line in (CHECKPOINT / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
    model = Qwen2ForCausalLM.from_pretrained(CHECKPOINT, dtype=torch.float32, local_files_only=True).eval()

    found = golden_examples(model, tokenizer, heldout_examples(WORLD, len(committed)))

    for expected, example in zip(committed, json.loads(json.dumps(found)), strict=True):
        for name, candidate in expected["candidates"].items():
            assert candidate["token_ids"] == example["candidates"][name]["token_ids"]
            assert pytest.approx(candidate["log_probs"], abs=1e-4) == example["candidates"][name]["log_probs"]
        assert expected["prompt_token_ids"] == example["prompt_token_ids"]


def test_the_committed_export_holds_the_committed_weights(tmp_path: Path) -> None:
    """Exporting the directory again gives the same initializers, name by name and bit by bit."""
    export(CHECKPOINT, tmp_path)

    expected, found = (
        {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in onnx.load(file).graph.initializer}
        for file in (CHECKPOINT / "onnx" / "model.onnx", tmp_path / "model.onnx")
    )

    assert expected == found


def test_storing_bfloat16_halves_a_graph_and_changes_no_result() -> None:
    """Weights that bfloat16 holds are stored so; others, such as rotary tables, stay float32."""
    random = np.random.default_rng(0)
    exact = torch.from_numpy(random.normal(size=(64, 64)).astype(np.float32)).to(torch.bfloat16).float().numpy()
    inexact = random.normal(size=(64,)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Add", ["y", "b"], ["z"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [3, 64])],
        [numpy_helper.from_array(exact, "w"), numpy_helper.from_array(inexact, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x = random.normal(size=(3, 64)).astype(np.float32)
    before, before_bytes = run(model, x), model.ByteSize()

    store_as_bfloat16(model)

    np.testing.assert_array_equal(before, run(model, x))
    assert {"w.bfloat16": TensorProto.BFLOAT16, "b": TensorProto.FLOAT} == {
        tensor.name: tensor.data_type for tensor in model.graph.initializer
    }
    assert model.ByteSize() < 0.55 * before_bytes


def run(model: onnx.ModelProto, x: FloatArray) -> FloatArray:
    """Run a graph of one input and one output."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0], np.float32)


def test_rounding_to_bfloat16_leaves_nothing_to_round(tokenizer: Tokenizer) -> None:
    """What is evaluated is what the file will hold."""
    torch.manual_seed(0)
    model = make_model(tokenizer)

    round_to_bfloat16(model)

    assert all(torch.equal(weights, weights.bfloat16().float()) for weights in model.parameters())


def test_the_committed_successor_is_what_its_recipe_makes(tokenizer: Tokenizer) -> None:
    """Random weights from a seed, stored as bfloat16."""
    torch.manual_seed(SEED)
    made = make_successor(tokenizer).to(torch.bfloat16)
    committed = Qwen3ForCausalLM.from_pretrained(SUCCESSOR, dtype=torch.bfloat16, local_files_only=True)

    assert all(torch.equal(a, b) for a, b in zip(made.parameters(), committed.parameters(), strict=True))


def test_the_committed_export_of_the_successor_computes_what_torch_does() -> None:
    """Its norms of query and key and its wide heads come through the conversion: the last row of logits is equal."""
    ids = np.arange(5, 45, dtype=np.int64)[None]
    model = Qwen3ForCausalLM.from_pretrained(SUCCESSOR, dtype=torch.float32, local_files_only=True).eval()
    session = ort.InferenceSession(SUCCESSOR / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    past = {
        one.name: np.zeros((1, 2, 0, 32), np.float32) for one in session.get_inputs() if one.name.startswith("past_key")
    }

    (actual,) = session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids), **past})

    with torch.no_grad():
        expected = model(torch.from_numpy(ids)).logits[0, -1].numpy()
    np.testing.assert_allclose(actual[0, -1], expected, atol=1e-4)
