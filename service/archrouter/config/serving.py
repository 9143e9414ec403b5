"""Settings of the inference servers."""

from pydantic import Field

from archrouter.config.values import AddressOrNone, Section


class TritonSettings(Section):
    """The inference server."""

    endpoint: str = Field("127.0.0.1:8001", description="HOST:PORT of Triton's gRPC; unused with embedded.enabled.")
    compact_model: str = Field("compact_router", description="Triton model of the compact tier.")
    compact_endpoint: AddressOrNone = Field(
        "", description="The same for the compact tier where another Triton serves it; empty takes triton.endpoint."
    )
    engine_model: str = Field("tensorrt_llm", description="Triton model of the engine tier.")
    bundle_directory: str = Field("", description="Prompt bundle of the engine tier, which does not start without.")
    endpoints_file: str = Field(
        "",
        description="YAML file of endpoints, read again on SIGHUP, instead of endpoint and bundle_directory; or empty.",
    )
    max_concurrent_requests: int = Field(
        32, ge=1, description="Requests in flight to one Triton; more wait their turn."
    )
    deadline_margin_s: float = Field(
        0.001, ge=0, description="Seconds of the caller's deadline kept for the way back from Triton."
    )
    warm_up_timeout_s: float = Field(30.0, gt=0, description="Seconds for the warm-up call that makes the model ready.")
    health_interval_s: float = Field(
        0.25, gt=0, description="Seconds between two looks at a model's health, and between two tries to bring it back."
    )
    probe_timeout_s: float = Field(
        0.5, gt=0, description="Seconds that Triton has to answer a look; one that does not, nor any call, is lost."
    )
    max_failures: int = Field(
        5,
        ge=1,
        description="Calls in a row that a model may fail; then it gets none until a probe call succeeds.",
    )
    fair_timeout_s: float = Field(
        1.0,
        ge=0,
        description="A call without an answer counts as the model's failure if it had so many seconds; with less, the "
        "caller's deadline was short.",
    )
    doubt_budget_share: float = Field(
        0.5, ge=0, le=1, description="Share of its time that a call waits while nobody knows whether Triton is lost."
    )


class EmbeddedSettings(Section):
    """Triton as a child process on this machine's CPU."""

    enabled: bool = Field(default=False, description="Start the Triton server of the nvidia-pytriton wheel.")
    model_repository: str = Field("model_repository", description="Model repository it loads from.")
    engine_model: str = Field("reference_lm", description="Model of the engine tier on the CPU.")
    start_timeout_s: float = Field(120.0, gt=0, description="Seconds for it to become ready.")
    restart_delay_s: float = Field(
        0.1,
        ge=0,
        description="It is started again at once when it ends; seconds before a second start in a row, doubled for "
        "each further one.",
    )
