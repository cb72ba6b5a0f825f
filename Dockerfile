# The images of Windlass, for x64 and arm64: `agent` (and the controller) and `restore-helper`. docs/installation.md has the commands.
# The base is pinned by digest: there is no default, so that nobody builds on a tag that has moved.
ARG NODE_VERSION=24.21.0
ARG NODE_DIGEST

# Debian with glibc, a compiler and headers, for the native packages.
FROM node:${NODE_VERSION}-bookworm@${NODE_DIGEST} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN node scripts/build.ts && node scripts/image-trees.ts /out

# Node, the libraries that it is linked with, and one file. Velero runs it as the workload's user, or 1000.
FROM scratch AS restore-helper
COPY --from=build /out/restore-helper/ /
USER 1000:1000
ENTRYPOINT ["/velero-restore-helper"]
LABEL org.opencontainers.image.title="windlass-restore-helper" \
      org.opencontainers.image.licenses="Apache-2.0"

# Last, so that it is what a build makes unasked.
FROM scratch AS agent
COPY --from=build /out/agent/ /
WORKDIR /app
ENV HOME=/tmp NODE_ENV=production
# Volumes belong to any user: root, with the capabilities that the chart gives.
USER 0:0
ENTRYPOINT ["/usr/local/bin/node", "/app/dist/agent.cjs"]
LABEL org.opencontainers.image.title="windlass-agent" \
      org.opencontainers.image.licenses="Apache-2.0"
