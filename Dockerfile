# Soloist in a container, for one machine or as a node of a cluster.
#
#     docker build -t soloist .                                  # for processors
#     docker build -t soloist:cuda --build-arg VARIANT=cuda .    # for NVIDIA GPUs: docker run --gpus all
#     docker run --rm -v models:/models -v "$PWD:/work" soloist separate song.mp3
ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS build
ARG VARIANT=cpu
ARG EXTRAS=parquet
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# PyTorch's own index has builds without CUDA; those of the Python Package Index bring CUDA with them.
RUN python -m venv /opt/soloist \
    && case "${VARIANT}" in \
        cpu) /opt/soloist/bin/pip install --constraint constraints.txt torch --index-url https://download.pytorch.org/whl/cpu ;; \
        cuda) /opt/soloist/bin/pip install --constraint constraints.txt torch ;; \
        *) echo "VARIANT is cpu or cuda, not ${VARIANT}" >&2; exit 1 ;; \
    esac \
    && /opt/soloist/bin/pip install --constraint constraints.txt ".[${EXTRAS}]"

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/soloist /opt/soloist
RUN groupadd --gid 1000 soloist \
    && useradd --create-home --uid 1000 --gid 1000 soloist \
    && install -d -o soloist -g soloist /models /work
ENV PATH=/opt/soloist/bin:$PATH SOLOIST_HOME=/models
VOLUME ["/models"]
WORKDIR /work
USER 1000:1000
ENTRYPOINT ["soloist"]
CMD ["--help"]
