# Fineline's images: `operator`, `analysis`, `evaluator` (on vLLM's image) and `evaluator-cpu`. Builds with BuildKit,
# podman and buildah; hack/images.sh does it with whichever is there. docs/images.md tells of the arguments.
#
#   docker build --target operator -t registry.example/fineline/operator:0.1.0 .

# What the slim images start from: any with Python 3.11 to 3.13 as python3. BUILDER is what they are built on: the same
# Python at the same path, with venv.
ARG BASE=docker.io/library/python:3.12-slim-bookworm
ARG BUILDER=${BASE}
ARG VLLM_IMAGE=docker.io/vllm/vllm-openai:v0.32.0

# --- the tools, which stay behind --------------------------------------------------------------------------------------
FROM ${BUILDER} AS tools
USER 0
COPY locks/build.txt /build/locks/
COPY hack/images/index.sh hack/images/make-tools.sh hack/images/make-venv.sh hack/images/make-ready.sh \
     hack/images/leave_out.py hack/images/strip.py hack/images/unused.txt /build/images/
RUN --mount=type=secret,id=index --mount=type=secret,id=ca \
    sh /build/images/make-tools.sh

# --- Fineline's own wheel, once for all --------------------------------------------------------------------------------
FROM tools AS programs
COPY pyproject.toml README.md LICENSE /build/sources/
COPY core /build/sources/core
COPY operator /build/sources/operator
COPY evaluator /build/sources/evaluator
COPY analysis /build/sources/analysis
COPY cli /build/sources/cli
COPY hack/images/make-wheel.sh /build/images/
RUN sh /build/images/make-wheel.sh

# --- what each lock names ----------------------------------------------------------------------------------------------
FROM tools AS operator-packages
COPY locks/operator.txt /build/locks/
RUN --mount=type=secret,id=index --mount=type=secret,id=ca \
    sh /build/images/make-venv.sh /build/locks/operator.txt operator

FROM tools AS analysis-packages
COPY locks/analysis.txt /build/locks/
RUN --mount=type=secret,id=index --mount=type=secret,id=ca \
    sh /build/images/make-venv.sh /build/locks/analysis.txt analysis

FROM ${VLLM_IMAGE} AS evaluator-packages
USER 0
COPY --from=tools /build/tools/bin/uv /build/tools/bin/uv
COPY --from=programs /build/wheel /build/wheel
COPY hack/images/index.sh hack/images/make-ready.sh hack/images/leave_out.py hack/images/strip.py hack/images/unused.txt \
     hack/images/over-vllm.sh hack/images/over_vllm.py /build/images/
COPY locks/evaluator.txt /build/locks/
RUN --mount=type=secret,id=index --mount=type=secret,id=ca \
    sh /build/images/over-vllm.sh /build/locks/evaluator.txt /build/wheel/*.whl

# --- what the slim images share ----------------------------------------------------------------------------------------
FROM ${BASE} AS slim
USER 0
ENV PATH=/opt/fineline/bin:${PATH} \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY hack/images/without_pip.py /tmp/
RUN ["python3", "-I", "-B", "/tmp/without_pip.py"]
# Made by root: BuildKit gives it to the user otherwise.
WORKDIR /opt/fineline
# A number: kubelets can tell that it is not root. It has no name, no home, and owns nothing.
USER 65532:65532

# --- the images --------------------------------------------------------------------------------------------------------
FROM slim AS operator
COPY --from=operator-packages /opt/fineline /opt/fineline
COPY --from=programs /build/programs/opt/fineline/lib /opt/fineline/lib
COPY --from=programs /build/programs/opt/fineline/bin/fineline-operator /opt/fineline/bin/
# For docker and podman; a kubelet asks by the pod's own probes. Where settings name another healthPort, so must this.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python", "-I", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["fineline-operator"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fineline-operator" \
      org.opencontainers.image.description="Watches Fineline's resources and starts Jobs that evaluate checkpoints" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

FROM slim AS analysis
COPY --from=analysis-packages /opt/fineline /opt/fineline
COPY --from=programs /build/programs/opt/fineline/lib /opt/fineline/lib
COPY --from=programs /build/programs/opt/fineline/bin/fineline-analysis /opt/fineline/bin/
ENTRYPOINT ["fineline-analysis"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fineline-analysis" \
      org.opencontainers.image.description="Reads Fineline's results, fits, forecasts, judges and reports" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

FROM slim AS evaluator-cpu
# vLLM's CPU engine is linked to libnuma, the one library that neither Python packages nor slim bases bring.
USER 0
RUN ldconfig -p | grep -q libnuma.so.1 || \
    { apt-get update -q && apt-get install -q -y --no-install-recommends libnuma1 && rm -rf /var/lib/apt/lists/*; }
# Installed in place, with the tools beside it: a copy out of another stage would take another 6 GB of disk to build.
# The lock is copied, and so are the digests of all that makes it an environment: buildah takes a step for done that only
# mounts something else than before.
COPY --from=tools /build/made-with /usr/share/fineline/
COPY locks/evaluator-cpu.txt /usr/share/fineline/lock.txt
RUN --mount=type=bind,from=tools,source=/build,target=/build --mount=type=secret,id=index --mount=type=secret,id=ca \
    sh /build/images/make-venv.sh /usr/share/fineline/lock.txt
USER 65532:65532
COPY --from=programs /build/programs/opt/fineline/lib /opt/fineline/lib
COPY --from=programs /build/programs/opt/fineline/bin/fineline-evaluator /opt/fineline/bin/
ENV VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_DISABLE_TELEMETRY=1
ENTRYPOINT ["fineline-evaluator"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fineline-evaluator-cpu" \
      org.opencontainers.image.description="Scores checkpoints of language models with vLLM on CPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"

# vLLM's image keeps its compiler and its pip: Triton and FlashInfer compile kernels for the GPU that they find.
FROM ${VLLM_IMAGE} AS evaluator
COPY --from=evaluator-packages /opt/fineline /opt/fineline
ENV PATH=/opt/fineline/bin:${PATH} \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/.cache \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 HF_HUB_DISABLE_TELEMETRY=1
USER 65532:65532
WORKDIR /opt/fineline
ENTRYPOINT ["fineline-evaluator"]
CMD []
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="fineline-evaluator" \
      org.opencontainers.image.description="Scores checkpoints of language models with vLLM on GPUs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
