# Triton with TensorRT-LLM, for one engine on one GPU. The engine's bundle and its model repository are mounted, not
# copied: they are several GB, and fit one GPU model and one release of the base image.
#   docker build --file deploy/docker/triton.Dockerfile --tag archrouter-triton deploy/docker

# The image that built the engine, and no other: an engine loads in the TensorRT it was compiled with. Pin its digest
# on your registry: --build-arg TRITON_IMAGE=…@sha256:…
ARG TRITON_IMAGE=nvcr.io/nvidia/tritonserver:26.07-trtllm-python-py3
ARG PROBE_IMAGE=ghcr.io/grpc-ecosystem/grpc-health-probe:v0.4.57

FROM ${PROBE_IMAGE} AS probe

FROM ${TRITON_IMAGE}
# HTTP is off, so health is asked over gRPC.
COPY --from=probe /ko-app/grpc-health-probe /usr/local/bin/grpc-health-probe
RUN groupadd --gid 10001 triton \
 && useradd --uid 10001 --gid triton --create-home --shell /usr/sbin/nologin triton
EXPOSE 8001 8002
USER 10001:10001
# An engine takes up to 1.5 minutes to load; Triton answers when every model is ready.
HEALTHCHECK --interval=15s --timeout=5s --start-period=180s --retries=3 \
  CMD ["grpc-health-probe", "-addr=127.0.0.1:8001", "-connect-timeout=2s", "-rpc-timeout=2s"]
# The base image's entry point stays: it checks the driver and then becomes this command.
CMD ["tritonserver", \
  "--model-repository=/models", \
  "--disable-auto-complete-config", \
  "--allow-http=false", \
  "--allow-metrics=true", \
  "--exit-timeout-secs=20"]
