#!/bin/busybox sh
# The first process of a machine that runs the guard's tests. What they print goes to the second
# serial port, where the kernel's messages cannot get between; it is drained when it is closed.
/bin/busybox --install -s /bin
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /etc /root /run /tmp
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t bpf -o mode=700 bpf /sys/fs/bpf
echo 'root:x:0:0::/root:/bin/sh
nobody:x:65534:65534::/:/bin/false' >/etc/passwd
echo 'root:x:0:
nogroup:x:65534:' >/etc/group
# nft takes names of protocols from here.
echo 'tcp 6 TCP
udp 17 UDP
ipv6-icmp 58 IPv6-ICMP' >/etc/protocols
# The kernel's own limit is lower than any distribution's.
ulimit -n 65536
ip link set lo up
/run-tests </dev/null >/dev/ttyS1 2>&1
poweroff -f
