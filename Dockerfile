# The two commands of `make install`, then the program:
#   docker build -t diverseevol .
#   docker run --rm -v "$PWD:/work" diverseevol demo
#   docker run --rm --gpus all --shm-size 8g -v "$PWD:/work" diverseevol run --pool pool.jsonl --model MODEL --out runs/a
# torch from PyPI brings CUDA's libraries along; the host needs NVIDIA's driver and its container toolkit. Without a GPU a far
# smaller image does: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Files are written as user 1000; give --user "$(id -u):$(id -g)" where yours is another.
FROM python:3.12-slim

ARG TORCH_INDEX=https://pypi.org/simple
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 HF_HOME=/work/.cache/huggingface XDG_CACHE_HOME=/work/.cache

WORKDIR /source
COPY constraints.txt ./
RUN python -m pip install -c constraints.txt --index-url "$TORCH_INDEX" torch
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip install -c constraints.txt '.[judge]'

RUN useradd --uid 1000 --create-home user && mkdir /work && chown user /work
USER user
WORKDIR /work
ENTRYPOINT ["diverseevol"]
CMD ["--help"]
