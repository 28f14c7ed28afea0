# An image for CPUs, on one machine; for GPU clusters take cluster/Dockerfile. Not tried: no Docker was at hand.
#   docker build -t vgsearch .
#   docker run --rm --shm-size=4g -v "$PWD/work:/work" vgsearch tune mvt_tsa --budget smoke
# --build-arg TORCH_INDEX=URL, the index of CPU builds that pytorch.org names, saves gigabytes of CUDA.
FROM python:3.11-slim

ARG TORCH_INDEX=
ENV PIP_NO_CACHE_DIR=1 PIP_CONSTRAINT=/vgsearch/constraints.txt
COPY constraints.txt /vgsearch/
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch

COPY pyproject.toml README.md LICENSE /vgsearch/
COPY src /vgsearch/src
COPY vgsearch /vgsearch/vgsearch
COPY search_spaces /vgsearch/search_spaces
COPY cluster /vgsearch/cluster
RUN pip install /vgsearch

# Experiments and decoded clips outlive the container in the mounted folder; Ray sends no usage reports.
ENV VGSEARCH_CACHE=/work/cache RAY_USAGE_STATS_ENABLED=0
WORKDIR /work
ENTRYPOINT ["vgsearch"]
