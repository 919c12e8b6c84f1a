# The XMPP server with our modules:
#   docker build -f deploy/docker/xmpp.Dockerfile -t yingchuang-im-xmpp .
# DEBIAN_IMAGE may name a digest, or an image of a registry of your own.
ARG DEBIAN_IMAGE=debian:bookworm-slim
FROM ${DEBIAN_IMAGE}
# Fixed ids, made before the package asks for its user: volumes outlive images. They are in deploy/k8s/base/xmpp, too.
RUN groupadd --gid 10001 prosody \
 && useradd --uid 10001 --gid prosody --home-dir /var/lib/prosody --no-create-home --shell /usr/sbin/nologin prosody \
 && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      prosody lua-unbound perl-base openssl ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o prosody -g prosody /var/lib/im-xmpp \
 && install -d /usr/share/doc/yingchuang-im \
 && dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' > /usr/share/doc/yingchuang-im/debian-packages.txt
COPY deploy/xmpp/prosody /opt/im/prosody
ENV XMPP_DATA_DIR=/var/lib/im-xmpp XMPP_INTERFACES=0.0.0.0 XMPP_COMPONENT_INTERFACES=0.0.0.0
VOLUME /var/lib/im-xmpp
USER 10001:10001
EXPOSE 5222 5280 5347
# The page of BOSH, because Prosody logs each connection to 5222.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["bash", "-c", \
  "exec 3<>/dev/tcp/127.0.0.1/5280 && printf 'GET /http-bind HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
CMD ["prosody", "-F", "--config", "/opt/im/prosody/prosody.cfg.lua"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="yingchuang-im-xmpp" \
      org.opencontainers.image.description="盈创 IM: Prosody with the modules of the messenger" \
      org.opencontainers.image.licenses="Apache-2.0 AND MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
