# The web page and the HTTP API, on the installation without PyTorch:
#   docker build -t derain . && docker run --rm -p 127.0.0.1:8000:8000 derain
# docs/guides/serve.md says how to run it with a read-only file system and a key; compose.yaml does.
# Other work takes other extras (docs/guides/machines.md):
#   docker build -t derain-ray --build-arg EXTRAS=cluster --build-arg PACKAGES="ray[default]" .
FROM python:3.12-slim-bookworm AS build

ARG EXTRAS=serve
ARG PACKAGES=
WORKDIR /source
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY docs/man docs/man
COPY derain derain
RUN python -m venv /opt/derain \
    && /opt/derain/bin/pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]" ${PACKAGES:+"${PACKAGES}"}

FROM python:3.12-slim-bookworm

COPY --from=build /opt/derain /opt/derain
ENV PATH=/opt/derain/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Login shells, in which KubeRay starts its commands, set PATH anew.
RUN echo "PATH=/opt/derain/bin:\$PATH" > /etc/profile.d/derain.sh

# Nobody in particular: it owns no file.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM

# The image has no curl.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

ENTRYPOINT ["derain", "serve", "--host", "0.0.0.0"]
