#!/bin/sh
# Options of the command line come last, so they win.
[ "$1" = redis-server ] || exec "$@"
shift
exec redis-server --bind '* -::*' --protected-mode no --dir /data "$@"
