# The image of the service. `docker-compose up -d` builds it from this checkout.
#
# The build needs only the base image below, and no compiler: all dependencies are wheels in the versions of
# constraints.txt, except for a font from Debian. An unchanged checkout produces the same image.

ARG PYTHON=python:3.12-slim-bookworm


# Determines the git commit of this checkout. Only the result is copied, so that changes of other branches do
# not invalidate the build cache.
FROM ${PYTHON} AS revision
# Without .git, as in a downloaded archive: docker build --build-arg REVISION=...
ARG REVISION=""
COPY deploy/revision.py .gi[t] /git/
RUN python /git/revision.py /git "${REVISION}" > /revision


# Installs the build tools.
FROM ${PYTHON} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --quiet "$(grep ^setuptools== constraints.txt)"


# Determines the dependencies. Only the result is copied, so that other changes of setup.py do not invalidate
# the build cache.
FROM tools AS requirements
COPY setup.py ./
COPY deploy/requirements.py deploy/
COPY combine_health/version.py combine_health/
RUN python deploy/requirements.py all > /requirements.txt


# Installs the dependencies and the service in a virtual environment.
FROM tools AS build
RUN python -m venv --without-pip /opt/combine
COPY --from=requirements /requirements.txt /
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/combine/bin/python install --quiet --only-binary :all: \
        --constraint constraints.txt --requirement /requirements.txt
COPY . .
COPY --from=revision /revision /revision
# The version in /health/detailed includes the commit: 0.1.0+g1a2b3c4d5e6f.
RUN sed -i "s/^__version__ = \"\(.*\)\"/__version__ = \"\1$(cat /revision)\"/" combine_health/version.py \
    && pip --python /opt/combine/bin/python install --quiet --no-index --no-deps --no-build-isolation .


FROM ${PYTHON}
# The font for Chinese, Japanese and Korean text in PDF files; typst includes none.
RUN apt-get update --quiet=2 \
    && apt-get install --quiet=2 --yes --no-install-recommends fonts-wqy-microhei \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin combine
COPY --from=build /opt/combine /opt/combine
WORKDIR /app
COPY production.ini ./
# For ini files from before 0.2, which contain script_location = %(here)s/alembic.
COPY alembic ./alembic
# PYTHONFAULTHANDLER prints a traceback if the C code of a library crashes.
ENV PATH=/opt/combine/bin:${PATH} \
    ALEMBIC_CONFIG=/app/production.ini \
    COMBINE_INI=/app/production.ini \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1
USER combine
EXPOSE 8000
# The timeout is long because Python takes seconds to start on a busy machine.
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 \
    CMD ["combine", "probe", "http://127.0.0.1:8000/health"]
CMD ["pserve", "production.ini"]
