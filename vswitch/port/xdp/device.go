package xdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// What a device does before XDP sees a frame: on which queues it receives,
// which destinations it hears, and whether it takes VLAN tags off.

// Requests of linux/ethtool.h, each by its command, and the set of strings that
// are features' names.
const (
	ethtoolStrings     = 0x1b
	ethtoolSetInfo     = 0x37
	ethtoolFeatures    = 0x3a
	ethtoolSetFeatures = 0x3b
	ethtoolChannels    = 0x3c
	featureNames       = 4
	featureNameLen     = 32
)

// request makes an ethtool request of 32-bit words and room behind them.
func request(room int, words ...uint32) []byte {
	var b []byte
	for _, w := range words {
		b = binary.NativeEndian.AppendUint32(b, w)
	}
	return append(b, make([]byte, room)...)
}

func wordAt(b []byte, i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }

// receiveQueues counts the queues that a device receives on now; a device may
// have room for more. A driver that does not tell is asked by way of /sys,
// which shows another namespace's devices to a process that has only changed
// its network namespace.
func receiveQueues(device string) int {
	r := request(8*4, ethtoolChannels)
	if ethtoolCall(device, r) == nil {
		const receiving, combined = 5, 8 // words of struct ethtool_channels
		return max(1, int(wordAt(r, receiving)+wordAt(r, combined)))
	}
	queues, _ := filepath.Glob("/sys/class/net/" + device + "/queues/rx-*")
	return max(1, len(queues))
}

// tagFeatures take VLAN tags off what is received: XDP sees the frame without,
// and nobody sees the tag, so that a frame of one VLAN is taken for another's.
var tagFeatures = []string{"rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"}

// keepTags has the device leave tags in the frames it receives.
func keepTags(device string) error {
	names, err := features(device)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil // a device without features takes nothing off
	}
	if err != nil {
		return fmt.Errorf("features of %s: %w", device, err)
	}
	active, err := activeFeatures(device, len(names))
	if err != nil {
		return fmt.Errorf("features of %s: %w", device, err)
	}
	for _, name := range tagFeatures {
		i := slices.Index(names, name)
		if i < 0 || !active(i) {
			continue
		}
		if err := clearFeature(device, len(names), i); err != nil {
			return fmt.Errorf("%s takes VLAN tags off before XDP sees a frame, and does not let it be (%s: %w): use a device without, or mode = \"generic\" over a driver that lets it be: ethtool -K %s rxvlan off", device, name, err, device)
		}
	}
	return nil
}

// features lists the names of the kernel's features, each at its bit.
func features(device string) ([]string, error) {
	// struct ethtool_sset_info: command, reserved, mask of 64 bits, then a
	// count for each bit that is set.
	info := request(0, ethtoolSetInfo, 0, 0, 0, 0)
	binary.NativeEndian.PutUint64(info[8:], 1<<featureNames)
	if err := ethtoolCall(device, info); err != nil {
		return nil, err
	}
	n := int(wordAt(info, 4))
	text := request(n*featureNameLen, ethtoolStrings, featureNames, uint32(n))
	if err := ethtoolCall(device, text); err != nil {
		return nil, err
	}
	var names []string
	for name := range slices.Chunk(text[12:], featureNameLen) {
		names = append(names, string(bytes.TrimRight(name, "\x00")))
	}
	return names, nil
}

// blocks is how many blocks of 32 features there are.
func blocks(n int) int { return (n + 31) / 32 }

// activeFeatures reads which of n features are active.
func activeFeatures(device string, n int) (func(i int) bool, error) {
	const blockWords, activeWord = 4, 2 // struct ethtool_get_features_block
	r := request(blocks(n)*blockWords*4, ethtoolFeatures, uint32(blocks(n)))
	if err := ethtoolCall(device, r); err != nil {
		return nil, err
	}
	return func(i int) bool { return wordAt(r, 2+i/32*blockWords+activeWord)>>(i%32)&1 != 0 }, nil
}

// errFixed says that a feature was asked to go and did not.
var errFixed = errors.New("it is fixed")

// clearFeature turns feature i of n off, and looks whether it is.
func clearFeature(device string, n, i int) error {
	const blockWords = 2 // valid, requested: struct ethtool_set_features_block
	r := request(blocks(n)*blockWords*4, ethtoolSetFeatures, uint32(blocks(n)))
	binary.NativeEndian.PutUint32(r[4*(2+i/32*blockWords):], 1<<(i%32))
	if err := ethtoolCall(device, r); err != nil {
		return err
	}
	active, err := activeFeatures(device, n)
	if err == nil && active(i) {
		err = errFixed
	}
	return err
}

// hear has the device hear frames that are not for its own address, as long as
// the descriptor is open: all of them for a workload's port, which is a switch
// port; for an uplink the group at which IPv6 neighbours ask for the VTEP,
// which the host, not having the address, has not joined.
func hear(index int, uplink *Filter) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // protocol 0: receives nothing
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w; it needs CAP_NET_RAW", err)
	}
	socket := os.NewFile(uintptr(fd), "promiscuity")
	all := []unix.PacketMreq{{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}}
	if uplink != nil {
		all = groups(index, uplink)
	}
	for i := range all {
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &all[i]); err != nil {
			socket.Close()
			return nil, fmt.Errorf("hear frames for others: %w", err)
		}
	}
	return socket, nil
}

// groups are the Ethernet groups of the solicited-node addresses (RFC 4291
// 2.7.1, RFC 2464 7).
func groups(index int, f *Filter) (out []unix.PacketMreq) {
	if a := f.family(false); a != (netip.Addr{}) {
		b := a.As16()
		out = append(out, unix.PacketMreq{
			Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6,
			Address: [8]uint8{0x33, 0x33, 0xff, b[13], b[14], b[15]},
		})
	}
	return out
}
