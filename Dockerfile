# The service as an image: `docker-compose up -d` builds it from this checkout.
#
# No image name other than the one below is needed, and no compiler anywhere: everything but a font, which is
# Debian's, comes as wheels in the versions of constraints.txt. An unchanged checkout gives the same image.

ARG PYTHON=python:3.12-slim-bookworm


# What git calls this checkout. Only the answer is taken over, so that other branches change nothing.
FROM ${PYTHON} AS revision
# Where there is no .git, as in a downloaded archive: docker build --build-arg REVISION=...
ARG REVISION=""
COPY deploy/revision.py .gi[t] /git/
RUN python /git/revision.py /git "${REVISION}" > /revision


# What builds the service.
FROM ${PYTHON} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --quiet "$(grep ^setuptools== constraints.txt)"


# What it requires. Only the answer is taken over, so that no other change of setup.py matters.
FROM tools AS requirements
COPY setup.py ./
COPY deploy/requirements.py deploy/
COPY combine_health/version.py combine_health/
RUN python deploy/requirements.py all > /requirements.txt


# Dependencies and the service, in a virtual environment of their own.
FROM tools AS build
RUN python -m venv --without-pip /opt/combine
COPY --from=requirements /requirements.txt /
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/combine/bin/python install --quiet --only-binary :all: \
        --constraint constraints.txt --requirement /requirements.txt
COPY . .
COPY --from=revision /revision /revision
# The version that /health/detailed shows names the revision: 0.1.0+g1a2b3c4d5e6f.
RUN sed -i "s/^__version__ = \"\(.*\)\"/__version__ = \"\1$(cat /revision)\"/" combine_health/version.py \
    && pip --python /opt/combine/bin/python install --quiet --no-index --no-deps --no-build-isolation .


FROM ${PYTHON}
# PDF files show Chinese, Japanese and Korean text with this small font; typst brings none for it.
RUN apt-get update --quiet=2 \
    && apt-get install --quiet=2 --yes --no-install-recommends fonts-wqy-microhei \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin combine
COPY --from=build /opt/combine /opt/combine
WORKDIR /app
COPY production.ini ./
# For ini files of before 0.2, which say script_location = %(here)s/alembic.
COPY alembic ./alembic
# PYTHONFAULTHANDLER: a crash in a library's C code says where.
ENV PATH=/opt/combine/bin:${PATH} \
    ALEMBIC_CONFIG=/app/production.ini \
    COMBINE_INI=/app/production.ini \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1
USER combine
EXPOSE 8000
# Patient: on a busy machine, Python alone takes seconds to start.
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 \
    CMD ["combine", "probe", "http://127.0.0.1:8000/health"]
CMD ["pserve", "production.ini"]
