"""Checks of the engine's files and of what Triton says of the loaded model."""

import sys

from engine.built import read_engine
from engine.errors import StepFailedError
from engine.model_config import PARAMETER_ENGINE_DIRECTORY
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from archrouter.bundles.engine_config import LOGITS_DTYPE
from archrouter.bundles.manifest import ENGINE_FOLDER, Engine
from archrouter.inference.tensors import PARAMETER_MODEL_DIRECTORY, PARAMETER_MODEL_VERSION, TOKENS_PER_BLOCK
from first_gpu_run.checks import Check, Finding
from first_gpu_run.host import Host, NotCheckedError, given
from first_gpu_run.image_checks import tensors_of

_OF_THE_BUNDLE = {PARAMETER_MODEL_VERSION, PARAMETER_ENGINE_DIRECTORY, PARAMETER_MODEL_DIRECTORY}
_TAIL_LINES = 5


def _engine_config(host: Host) -> Finding:
    """Read the engine's config.json with the layout that was only read about, and compare it with the manifest."""
    bundle = given(host.bundle, "--bundle")
    stated = bundle.manifest.engine
    if stated is None:
        msg = "a bundle with an engine; this one is for the CPU"
        raise NotCheckedError(msg)
    try:
        built = read_engine(bundle.directory / ENGINE_FOLDER)
    except StepFailedError as error:
        return Finding(is_as_expected=False, saw=str(error))
    found = Engine.model_validate(
        {
            **stated.model_dump(),
            "tensorrt_llm_version": built.version,
            "max_batch_size": built.build_config.max_batch_size,
            "max_num_tokens": built.build_config.max_num_tokens,
            "max_seq_len": built.build_config.max_seq_len,
            "vocab_size": built.pretrained_config.vocab_size,
        }
    )
    plugins = built.build_config.plugin_config
    can_serve = (
        built.build_config.gather_generation_logits
        and plugins.use_paged_context_fmha
        and plugins.tokens_per_block == TOKENS_PER_BLOCK
        and built.pretrained_config.logits_dtype == LOGITS_DTYPE
    )
    return Finding(is_as_expected=found == stated and can_serve, saw=str(built))


def _load(host: Host) -> Finding:
    wire, bundle = host.served()
    if not wire.is_ready():
        msg = f"model {host.model} to be ready at {host.endpoint}"
        raise NotCheckedError(msg)
    served = wire.config().parameters[PARAMETER_MODEL_VERSION].string_value
    return Finding(
        is_as_expected=served == bundle.profile.model_version, saw=f"ready, model_version {served or 'absent'}"
    )


def _model_config(host: Host) -> Finding:
    """Compare what Triton made of the config with the checked-in file."""
    served = given(host.wire, "--endpoint").config()
    path = host.model_repository / host.model / "config.pbtxt"
    if not path.is_file():
        msg = f"{path}, the checked-in config of the served model"
        raise NotCheckedError(msg)
    ours = text_format.Parse(path.read_text("utf-8"), ModelConfig())
    differences = [
        what
        for what, found, wanted in (
            ("inputs", tensors_of(served.input), tensors_of(ours.input)),
            ("outputs", tensors_of(served.output), tensors_of(ours.output)),
            ("max_batch_size", served.max_batch_size, ours.max_batch_size),
            ("decoupled", served.model_transaction_policy.decoupled, ours.model_transaction_policy.decoupled),
            ("max_queue_size", _queue(served), _queue(ours)),
            ("parameters", _parameters(served), _parameters(ours)),
        )
        if found != wanted
    ]
    saw = f"{', '.join(differences)} differ" if differences else "tensors, limits and parameters agree"
    return Finding(is_as_expected=not differences, saw=saw)


def _queue(config: ModelConfig) -> int:
    return int(config.dynamic_batching.default_queue_policy.max_queue_size)


def _parameters(config: ModelConfig) -> dict[str, str]:
    return {key: value.string_value for key, value in config.parameters.items() if key not in _OF_THE_BUNDLE}


def _golden(host: Host) -> Finding:
    """Run the verification program: route agreement and probabilities against transformers."""
    _, bundle = host.served()
    checkpoint = given(host.checkpoint, "--checkpoint")
    lines: list[str] = []
    command = (
        *(sys.executable, "-m", "engine.verify", "--endpoint", str(host.endpoint), "--model", host.model),
        *("--bundle", str(bundle.directory), "--checkpoint", str(checkpoint)),
    )
    code = host.runner.run(command, lines.append)
    tail = " | ".join(line.strip() for line in lines[-_TAIL_LINES:] if line.strip())
    if code not in (0, 1):
        msg = f"engine.verify to run; it ended with exit code {code}: {tail}"
        raise NotCheckedError(msg)
    return Finding(is_as_expected=code == 0, saw=tail)


def _answer_form(host: Host) -> Finding:
    """Let the engine itself answer the sample questions: the manifest's form was read from the CPU conversion."""
    _, bundle = host.served()
    probe = given(host.probe, "--endpoint")()
    stated = bundle.prompt_format.skeleton
    form = "none" if probe.skeleton is None else probe.skeleton.render("x")
    return Finding(
        is_as_expected=probe.is_trustworthy and probe.skeleton == stated,
        saw=f"{form} in {probe.agreement:.0%} of {probe.answer_count} answers; the manifest has {stated.render('x')}",
    )


ENGINE_CHECKS = (
    Check("engine-config", "config.json has the layout read about, and says what the manifest says", _engine_config),
    Check("load", "Triton loads the rendered config.pbtxt and carries the bundle's model_version", _load),
    Check("model-config", "Triton's config equals the checked-in one but for the bundle's values", _model_config),
    Check(
        "answer-form", "the engine writes its answers in the form that the conversion for the CPU showed", _answer_form
    ),
    Check("golden", "routes agree with transformers in bfloat16, probabilities within the threshold", _golden),
)
