#!/bin/busybox sh
# The first process of a machine with a disk. At the first boot it installs what is tested, as a
# package would; then it hands over to the disk's systemd.
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev

fail() {
    echo "vm: the machine could not be set up: $1" >/dev/ttyS1
    poweroff -f
}

install() {
    cp -a /payload/. /disk/ &&
        cp -a /lib/modules /disk/usr/lib/ &&
        mkdir -p /disk/var/lib/vm &&
        echo vm >/disk/etc/hostname &&
        echo 0123456789abcdef0123456789abcdef >/disk/etc/machine-id &&
        chroot /disk sh -eux -c '
            cd /etc/connect-gateway
            systemd-sysusers connect-gateway.conf vm.conf
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
                -keyout key.pem -out chain.pem
            echo "ada:$(echo secret | connect-gateway hash-password)" >users
            chown root:connect-gateway . *
            chmod 750 .
            chmod 640 *
            systemctl enable connect-gateway-guard connect-gateway rstudio-connect \
                vm-attacker vm-checks
            # Nobody logs in, and without udev it would wait for the device.
            systemctl mask serial-getty@ttyS0'
}

for module in virtio_pci virtio_blk ext4; do
    /sbin/modprobe "$module" || fail "no $module"
done
tries=0
until [ -e /dev/vda ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || fail 'no disk'
    sleep 0.1
done
mkdir /disk
mount -t ext4 /dev/vda /disk || fail 'the disk cannot be mounted'
if [ ! -e /disk/var/lib/vm ]; then
    install >/tmp/install 2>&1 || fail "$(cat /tmp/install)"
fi
umount /proc /sys /dev
exec switch_root /disk /sbin/init
