# The XMPP server with our modules:
#   docker build -f deploy/docker/xmpp.Dockerfile -t yingchuang-im-xmpp .
FROM debian:bookworm-slim
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends prosody perl-base openssl ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY --chown=prosody:prosody deploy/xmpp/prosody /opt/im/prosody
RUN install -d -o prosody -g prosody /var/lib/im-xmpp
ENV XMPP_DATA_DIR=/var/lib/im-xmpp XMPP_INTERFACES=0.0.0.0 XMPP_COMPONENT_INTERFACES=0.0.0.0
VOLUME /var/lib/im-xmpp
USER prosody
EXPOSE 5222 5280 5347
CMD ["prosody", "-F", "--config", "/opt/im/prosody/prosody.cfg.lua"]
