# The pinned environment of `make setup`, with bubblewrap, from the package registries. The image has no model and no data.
#   docker build -t spa .
#   docker run --rm --gpus all -v "$PWD:/work" -w /work spa spa run experiment=quickstart
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends bubblewrap git make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /spa
COPY Makefile pyproject.toml constraints.txt README.md LICENSE ./
COPY scripts scripts
COPY spa spa
COPY conf conf
COPY hydra_plugins hydra_plugins
COPY results/published results/published
RUN make setup
ENV PATH=/spa/.venv/bin:$PATH

CMD ["spa", "--help"]
