#!/usr/bin/perl
# Calls fdatasync for Prosody, whose Lua has no binding for it: reads one path per line from a unix socket, answers
# "ok" or the error. Ends with the socket; signals to the terminal's process group are Prosody's to handle.
use strict;
use warnings;
use Config;
use IO::Handle;
use IO::Socket::UNIX;
use POSIX ();

$SIG{$_} = 'IGNORE' for qw(INT TERM HUP);

# Prosody's sockets were inherited: kept open here, its ports would stay taken and our own socket would never end.
POSIX::close($_) for 3 .. (POSIX::sysconf(POSIX::_SC_OPEN_MAX()) < 65536 ? POSIX::sysconf(POSIX::_SC_OPEN_MAX()) : 65536);

# The number of the system call; without one, fsync does the same a little slower.
my $fdatasync = $Config{archname} =~ /^x86_64-linux/ ? 75 : $Config{archname} =~ /^aarch64-linux/ ? 83 : undef;

sub flush_to_disk {
  my ($file) = @_;
  return defined $fdatasync ? syscall($fdatasync, fileno($file)) == 0 : $file->sync;
}

my $socket = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "cannot connect to $ARGV[0]: $!\n";
my ($open_path, $open_file) = ('', undef);
while (my $path = <$socket>) {
  chomp $path;
  my $ok = 1;
  if ($path ne $open_path) {
    ($open_path, $open_file) = ($path, undef);
    $ok = open $open_file, '<', $path;
    $open_path = '' unless $ok;
  }
  $ok &&= flush_to_disk($open_file);
  syswrite $socket, $ok ? "ok\n" : "$!\n";
}
