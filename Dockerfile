# syntax=docker/dockerfile:1
# AgentMem on Debian slim: REST server, worker, migrations and everything else of the command line, with the local
# embedding model inside. It needs no network and writes to /var/lib/agentmem and /tmp alone.
#
#   docker build -t agentmem .
#   docker run --read-only --cap-drop=ALL --tmpfs /tmp -v agentmem:/var/lib/agentmem -p 8080:8080 agentmem

ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

# --- the libraries, which change seldom ---------------------------------------------------------------------------------
FROM ${PYTHON} AS libraries
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# Without pip: the image installs nothing.
RUN python3 -m venv /build/venv && python3 -m venv --without-pip /opt/agentmem
COPY requirements/image.txt /build/
RUN /build/venv/bin/python -m pip --python /opt/agentmem/bin/python install --require-hashes --only-binary=:all: \
        --requirement /build/image.txt \
 # What a program never reads: headers and tests of the libraries, what prepares models, and what downloads them.
 && find /opt/agentmem/lib -type d \( -name tests -o -name include -o -name pgxs -o -path "*/sqlalchemy/testing" \
        -o -path "*/onnxruntime/transformers" -o -path "*/onnxruntime/tools" -o -path "*/onnxruntime/quantization" \
        -o -name "hf_xet*" \) -prune -exec rm -r {} +

# --- AgentMem itself, which changes often -------------------------------------------------------------------------------
FROM libraries AS program
COPY requirements/build.txt /build/
RUN /build/venv/bin/python -m pip install --require-hashes --only-binary=:all: --requirement /build/build.txt
COPY pyproject.toml README.md LICENSE NOTICE /build/source/
COPY src /build/source/src
# Installed beside the libraries, under a prefix of its own, so that it becomes a layer of its own.
RUN /build/venv/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheel /build/source \
 && /build/venv/bin/python -m pip --python /opt/agentmem/bin/python install --no-deps --no-index --prefix /staged/opt/agentmem \
        /build/wheel/*.whl

# --- the image ----------------------------------------------------------------------------------------------------------
FROM ${PYTHON}
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="AgentMem" \
      org.opencontainers.image.description="Memory for agents" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
RUN groupadd --gid 10001 agentmem \
 && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /var/lib/agentmem --shell /usr/sbin/nologin agentmem \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/agentmem
COPY --from=libraries /opt/agentmem /opt/agentmem
COPY --from=program /staged /
ENV PATH=/opt/agentmem/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    AGENTMEM_DATA_DIRECTORY=/var/lib/agentmem \
    AGENTMEM_HOST=0.0.0.0 \
    # The container's end is the embedded database's: nobody comes after.
    AGENTMEM_LINGER=0
USER 10001:10001
WORKDIR /var/lib/agentmem
VOLUME /var/lib/agentmem
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["agentmem", "health"]
ENTRYPOINT ["agentmem"]
CMD ["serve"]
