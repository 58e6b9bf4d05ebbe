# What the stages score and train need, from the lock files alone. The code is not in here: it is mounted at run time, at
# its own absolute path, so that an image serves every commit with the same lock files. `make image` builds it.
# The wheels of torch bring their own CUDA libraries, and the driver comes from the machine: one slim base does for both.
ARG BASE=python:3.11-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE} AS locked
# Any user id may run this, also one without an entry in /etc/passwd; HOME is then where it may write.
# Without USER, libraries that ask for the user's name (getpass, torch's caches) would stop for such an id.
ENV HOME=/tmp/home USER=stepsift PYTHONUNBUFFERED=1 GIT_PYTHON_REFRESH=quiet
RUN mkdir -p /tmp/home && chmod 1777 /tmp/home
COPY requirements/lock.txt /opt/stepsift/lock.txt
RUN python -m pip install --no-cache-dir --no-deps -r /opt/stepsift/lock.txt
COPY requirements/torch.txt scripts/check_image.py /opt/stepsift/

# torch's wheels name packages of their own (CUDA's, and those of the lock file): `-c` holds the latter to their pins.
FROM locked AS cpu
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python -m pip install --no-cache-dir --retries 1 --timeout 20 --index-url "${TORCH_INDEX}" \
      -c /opt/stepsift/lock.txt -r /opt/stepsift/torch.txt || \
    python -m pip install --no-cache-dir -c /opt/stepsift/lock.txt -r /opt/stepsift/torch.txt
RUN python -m pip check && python /opt/stepsift/check_image.py /opt/stepsift/lock.txt /opt/stepsift/torch.txt
USER 10001:10001

FROM locked AS cuda
ARG TORCH_INDEX=https://download.pytorch.org/whl/cu130
# NVIDIA's container runtime reads these two.
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN python -m pip install --no-cache-dir --retries 1 --timeout 20 --index-url "${TORCH_INDEX}" \
      -c /opt/stepsift/lock.txt -r /opt/stepsift/torch.txt || \
    python -m pip install --no-cache-dir -c /opt/stepsift/lock.txt -r /opt/stepsift/torch.txt
RUN python -m pip check && python /opt/stepsift/check_image.py --cuda /opt/stepsift/lock.txt /opt/stepsift/torch.txt
USER 10001:10001
