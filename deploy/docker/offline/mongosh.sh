#!/bin/sh
# Enough for a health check: does anybody listen?
exec perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => "127.0.0.1:27017", Timeout => 2) or exit 1'
