#!/usr/bin/perl
# Tries to connect to Connect in a loop, from the first moment on, and counts how that went:
# `in` (connected), `denied` (EPERM), `refused` (nobody listens), `other` (also: no answer).
use strict;
use warnings;
use Errno qw(ECONNREFUSED EINPROGRESS EPERM);
use Socket qw(:DEFAULT :addrinfo AF_INET6 inet_pton pack_sockaddr_in6 SO_ERROR);
use IO::Handle;
use IO::Socket;

my $port = 3939;
my @targets = (
    [ AF_INET,  pack_sockaddr_in( $port, inet_aton('127.0.0.1') ) ],
    [ AF_INET,  pack_sockaddr_in( $port, inet_aton('0.0.0.0') ) ],
    [ AF_INET6, pack_sockaddr_in6( $port, inet_pton( AF_INET6, '::1' ) ) ],
    [ AF_INET6, pack_sockaddr_in6( $port, inet_pton( AF_INET6, '::ffff:127.0.0.1' ) ) ],
);
my %count = ( tried => 0, in => 0, denied => 0, refused => 0, other => 0 );
my $directory = '/run/vm-attacker';

while (1) {
    for my $target (@targets) {
        $count{ attempt(@$target) }++;
        $count{tried}++;
    }
    report() if $count{tried} % 40 == 0;
}

sub attempt {
    my ( $family, $address ) = @_;
    socket( my $socket, $family, SOCK_STREAM, 0 ) or die "socket: $!";
    # Closed by a reset, so that nothing of it stays.
    setsockopt( $socket, SOL_SOCKET, SO_LINGER, pack( 'll', 1, 0 ) ) or die "SO_LINGER: $!";
    $socket->blocking(0);
    return 'in' if connect( $socket, $address );
    return outcome( $! + 0 ) unless $! == EINPROGRESS;
    my $ready = '';
    vec( $ready, fileno($socket), 1 ) = 1;
    select( undef, $ready, undef, 0.5 ) or return 'other';
    return outcome( unpack( 'i', getsockopt( $socket, SOL_SOCKET, SO_ERROR ) ) );
}

sub outcome {
    my ($error) = @_;
    return 'in'      if $error == 0;
    return 'denied'  if $error == EPERM;
    return 'refused' if $error == ECONNREFUSED;
    return 'other';
}

sub report {
    open( my $file, '>', "$directory/next" ) or die "$directory/next: $!";
    print $file "$_=$count{$_}\n" for sort keys %count;
    close($file) or die "$directory/next: $!";
    rename( "$directory/next", "$directory/counts" ) or die "rename: $!";
}
