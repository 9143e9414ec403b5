# The service. Two targets:
#   service   the default: talks to a Triton elsewhere
#   embedded  with the CPU's Triton and the compact router inside: one container that needs nothing else
# From the repository's root:
#   docker build --file deploy/docker/service.Dockerfile --tag archrouter .
#   docker build --file deploy/docker/service.Dockerfile --target embedded --tag archrouter:embedded .

# Bookworm has glibc 2.36, the embedded Triton needs 2.35; this Python has the shared library that Triton's stub loads.
ARG PYTHON_IMAGE=python:3.12.14-slim-bookworm@sha256:782412e85d0f0984994c290652577d4018aff08145c85b262bb63dc0c7522254

FROM ${PYTHON_IMAGE} AS python

# One virtual environment for each target, without a pip of its own; at the path where it will run, because its scripts
# name it.
FROM python AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY clients/python clients/python
COPY service service
RUN python -m venv --without-pip /opt/archrouter/venv \
 && python -m pip --python /opt/archrouter/venv install --no-cache-dir --disable-pip-version-check \
      --constraint constraints.txt ./clients/python ".[otel]"

FROM build AS build-embedded
RUN python -m pip --python /opt/archrouter/venv install --no-cache-dir --disable-pip-version-check \
      --constraint constraints.txt ./clients/python ".[embedded,otel]"

# Nothing in here installs anything, and nothing in here is writable for who runs it.
FROM python AS runtime
RUN python -m pip uninstall --yes pip \
 && groupadd --system --gid 10001 archrouter \
 && useradd --system --uid 10001 --gid archrouter --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin archrouter
WORKDIR /opt/archrouter
ENV PATH=/opt/archrouter/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    ARCHROUTER_SERVER_LISTEN=0.0.0.0:50051 \
    ARCHROUTER_METRICS_LISTEN=0.0.0.0:9464 \
    ARCHROUTER_POLICIES_DIRECTORY=/etc/archrouter/policies
EXPOSE 50051 9464
USER 10001:10001
# The start period is for an engine that still loads: the service serves once Triton does.
HEALTHCHECK --interval=15s --timeout=5s --start-period=240s --retries=3 CMD ["archrouter", "health"]
ENTRYPOINT ["archrouter"]
CMD ["serve"]

FROM runtime AS embedded
COPY --from=build-embedded /opt/archrouter/venv venv
COPY model_repository/compact_router model_repository/compact_router
ENV ARCHROUTER_EMBEDDED_ENABLED=true \
    ARCHROUTER_EMBEDDED_MODEL_REPOSITORY=/opt/archrouter/model_repository

FROM runtime AS service
COPY --from=build /opt/archrouter/venv venv
