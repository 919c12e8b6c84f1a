#!/bin/sh
# It is a replica set of one node without being told, listens everywhere, and takes none of mongod's options.
exec secantusd-rs --host 0.0.0.0 --port 27017 --storage-path /data/db --sync-on-commit \
  --cache-size 256M --log-file-max 64MB --log-level WARNING
