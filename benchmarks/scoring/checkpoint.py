"""A random Qwen2 of 98 million parameters, its tokenizer, and the bundle around both. Needs the extra ``build``."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from benchmarks.scoring.recipe import END_TOKEN, PAD_TOKEN, SPECIAL_TOKENS, Recipe, prompt_template
from benchmarks.scoring.workload import Topics, make_conversation, make_policy_set, read_topics
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Config, Qwen2ForCausalLM

from archrouter.bundles.checkpoint import read_checkpoint
from archrouter.bundles.manifest import MODEL_FOLDER
from archrouter.bundles.writer import (
    BundlePlan,
    atomic_directory,
    convert_for_cpu,
    write_manifest,
    write_prompt_files,
)
from archrouter.domain.answer import AnswerSkeleton
from archrouter.domain.dialect import Dialect

_CORPUS_SEED_COUNT = 40
_CORPUS_TURN_COUNT = 12

# Qwen2's own pre-tokenizer (huggingface/transformers, models/qwen2/tokenization_qwen2.py, PRETOKENIZE_REGEX).
_QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# ChatML as Qwen2's own template writes it, for the one user message that a router prompt is.
_CHAT_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n{{ messages[0]['content'] }}<|im_end|>\n"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_bundle(recipe: Recipe, bundle: Path) -> None:
    """Make the model and everything the engine tier reads beside it; about two minutes on two cores.

    Args:
        recipe: What to make.
        bundle: A folder that does not exist yet; it appears whole or not at all.

    Raises:
        BundleError: When the folder exists, or the conversion fails.
    """
    topics = read_topics()
    with tempfile.TemporaryDirectory() as scratch, atomic_directory(bundle) as directory:
        checkpoint = Path(scratch) / bundle.name
        _write_checkpoint(recipe, topics, checkpoint)
        plan = BundlePlan(
            checkpoint=read_checkpoint(checkpoint),
            prompt_template=prompt_template(),
            dialect=Dialect.CARD,
            max_prompt_token_count=recipe.max_prompt_token_count,
        )
        write_prompt_files(directory, plan)
        convert_for_cpu(checkpoint, directory / MODEL_FOLDER, precision="fp32")
        write_manifest(directory, plan, AnswerSkeleton(), agreement=1.0, probe_count=0)


def _write_checkpoint(recipe: Recipe, topics: Topics, directory: Path) -> None:
    tokenizer = _train_tokenizer(recipe, topics)
    _make_model(recipe, tokenizer).save_pretrained(directory)
    tokenizer.save(str(directory / "tokenizer.json"))
    config = {
        "tokenizer_class": "Qwen2Tokenizer",
        "chat_template": _CHAT_TEMPLATE,
        "eos_token": END_TOKEN,
        "pad_token": PAD_TOKEN,
        "bos_token": None,
        "unk_token": None,
        "model_max_length": recipe.position_count,
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(config, indent=1), "utf-8")


def _train_tokenizer(recipe: Recipe, topics: Topics) -> Tokenizer:
    """Train a byte-level BPE on what the benchmark will say, so that a word is about as many tokens as for Qwen2.5."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(_QWEN2_WORDS), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.token_count, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_corpus(topics), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    return tokenizer


def _corpus(topics: Topics) -> Iterator[str]:
    for seed in range(_CORPUS_SEED_COUNT):
        yield prompt_template()
        for route in make_policy_set(topics, topics.max_route_count, seed=seed).routes:
            yield AnswerSkeleton().render(route.id)
            yield json.dumps([{"name": route.id, "description": route.description}])
        for message in make_conversation(topics, _CORPUS_TURN_COUNT, seed=seed).messages:
            yield json.dumps([{"role": message.role.value, "content": message.content}])


def _make_model(recipe: Recipe, tokenizer: Tokenizer) -> Qwen2ForCausalLM:
    pad_id, end_id = tokenizer.token_to_id(PAD_TOKEN), tokenizer.token_to_id(END_TOKEN)
    torch.manual_seed(recipe.seed)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=recipe.vocabulary_size,
            hidden_size=recipe.hidden_size,
            intermediate_size=recipe.intermediate_size,
            num_hidden_layers=recipe.layer_count,
            num_attention_heads=recipe.query_head_count,
            num_key_value_heads=recipe.key_value_head_count,
            max_position_embeddings=recipe.position_count,
            initializer_range=recipe.weight_deviation,
            tie_word_embeddings=True,
            bos_token_id=pad_id,
            eos_token_id=end_id,
            pad_token_id=pad_id,
        )
    )
    with torch.no_grad():
        model.model.norm.weight.fill_(recipe.logit_gain)
    return model
