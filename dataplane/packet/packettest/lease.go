package packettest

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"bulkhead/dataplane/packet"
)

// DHCP builds a client's question, by gopacket.
func DHCP(mac packet.MAC, message uint8, xid uint32, broadcast bool, client net.IP, options ...layers.DHCPOption) ([]byte, error) {
	d := layers.DHCPv4{
		Operation: layers.DHCPOpRequest, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: xid, ClientHWAddr: mac[:], ClientIP: client,
		YourClientIP: net.IPv4zero, NextServerIP: net.IPv4zero, RelayAgentIP: net.IPv4zero,
		Options: append(layers.DHCPOptions{layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{message})}, options...),
	}
	d.Options = append(d.Options, layers.NewDHCPOption(layers.DHCPOptEnd, nil))
	if broadcast {
		d.Flags = 0x8000
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, &d)
	return b.Bytes(), err
}

// DescribeDHCP reads an answer by gopacket.
func DescribeDHCP(b []byte) string {
	var d layers.DHCPv4
	if err := d.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%s xid %d for %s client %s your %s", d.Operation, d.Xid, d.ClientHWAddr, d.ClientIP, d.YourClientIP)
	for _, o := range d.Options {
		if o.Type != layers.DHCPOptPad && o.Type != layers.DHCPOptEnd {
			text += " " + strings.TrimSuffix(strings.TrimPrefix(o.String(), "Option("), ")")
		}
	}
	return text
}

// DHCP6 builds a client's question of options, each a code and a value.
func DHCP6(message uint8, xid uint32, options ...layers.DHCPv6Option) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(message)<<24|xid)
	for _, o := range options {
		b = binary.BigEndian.AppendUint16(b, uint16(o.Code))
		b = binary.BigEndian.AppendUint16(b, uint16(len(o.Data)))
		b = append(b, o.Data...)
	}
	return b
}

// DescribeDHCP6 reads an answer by gopacket.
func DescribeDHCP6(b []byte) string {
	var d layers.DHCPv6
	if err := d.DecodeFromBytes(b, gopacket.NilDecodeFeedback); err != nil {
		return err.Error()
	}
	text := fmt.Sprintf("%s xid %x", d.MsgType, d.TransactionID)
	for _, o := range d.Options {
		text += fmt.Sprintf(" %s:%x", o.Code, o.Data)
	}
	return text
}

// DescribeRA reads a router advertisement by gopacket.
func DescribeRA(b []byte) string {
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	ra, found := p.Layer(layers.LayerTypeICMPv6RouterAdvertisement).(*layers.ICMPv6RouterAdvertisement)
	if !found {
		return "no router advertisement"
	}
	text := fmt.Sprintf("hop limit %d flags %#02x lifetime %d", ra.HopLimit, ra.Flags, ra.RouterLifetime)
	for _, o := range ra.Options {
		text += fmt.Sprintf(" %s:%x", o.Type, o.Data)
	}
	return text
}
