# Stands for mongo:8.2: SecantusDB, which `npm start` builds where no MongoDB can be had.
FROM debian:bookworm-slim
COPY secantusd-rs /usr/local/bin/secantusd-rs
COPY mongo-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
COPY mongosh.sh /usr/local/bin/mongosh
RUN chmod 755 /usr/local/bin/mongosh && mkdir -p /data/db
VOLUME /data/db
EXPOSE 27017
ENTRYPOINT ["sh", "/usr/local/bin/docker-entrypoint.sh"]
CMD ["mongod"]
