# Stands for nats:2.15.2: Debian's NATS server.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends nats-server && rm -rf /var/lib/apt/lists/*
COPY nats-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
EXPOSE 4222 8222
ENTRYPOINT ["sh", "/usr/local/bin/docker-entrypoint.sh"]
