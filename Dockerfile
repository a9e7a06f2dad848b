# syntax=docker/dockerfile:1

# --- the wheel --------------------------------------------------------------------------------------------------
FROM python:3.13-slim-bookworm AS wheel
WORKDIR /src
COPY requirements-build.txt ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY relay ./relay
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheel .

# --- relay and what it needs, pinned by hash, in one directory ----------------------------------------------------
FROM python:3.13-slim-bookworm AS install
COPY requirements.txt /
RUN python -m venv --without-pip /opt/relay \
    && pip --python /opt/relay/bin/python install --no-cache-dir --require-hashes --only-binary :all: \
        --requirement /requirements.txt
COPY --from=wheel /wheel /wheel
RUN pip --python /opt/relay/bin/python install --no-cache-dir --no-index --no-deps /wheel/*.whl

# --- what runs: no compiler, no pip of its own, nothing written but /var/lib/relay -----------------------------------
FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="infobip-relay" \
    org.opencontainers.image.description="Reads Infobip's one-time report queues without losing a report" \
    org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/relay/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=install /opt/relay /opt/relay
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/relay
USER 10001:10001
WORKDIR /var/lib/relay
VOLUME /var/lib/relay
EXPOSE 8080
# It finishes the poll in flight, commits, flushes: give it longer than poll.timeout_seconds.
STOPSIGNAL SIGTERM
# RELAY_HTTP_PORT: only if http.port of relay.yaml is not 8080.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=6 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('RELAY_HTTP_PORT', '8080')), timeout=4); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["relay"]
CMD ["run", "-c", "/etc/relay/relay.yaml"]
