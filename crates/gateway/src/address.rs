//! Which network addresses the gateway may connect to.
//!
//! Metadata services, link-local, unspecified, broadcast and multicast addresses: never. Loopback:
//! only where the administrator wrote such an address or `localhost`, so that no name can be pointed
//! at it later. Private ranges are where MCP servers live; the administrator registers every
//! URL, so they are open. What a stranger wrote, the URL of a client's document, leads to the public network alone; in development it may name this very machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chancery_wire::origin;

/// Why an address was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefused {
    /// Never a place for an MCP server.
    #[error("the address belongs to a range that is never connected to")]
    Never,
    /// Loopback behind a name that does not say so.
    #[error("the name leads to this machine but does not say so")]
    HiddenLoopback,
    /// Not of the public network, where a stranger wrote the URL.
    #[error("the address is none of the public network")]
    NotPublic,
}

/// Whether `host` is written as this machine: also as a name under `localhost`, since where it leads is checked.
pub(crate) fn names_loopback(host: &str) -> bool {
    let name = host.trim_end_matches('.');
    origin::names_loopback(name) || name.to_ascii_lowercase().ends_with(".localhost")
}

/// Refuses `address`, which the host of a registered URL stands for or resolves to.
pub(crate) fn check(address: IpAddr, host_names_loopback: bool) -> Result<(), AddressRefused> {
    let address = unmapped(address);
    if is_never(address) {
        return Err(AddressRefused::Never);
    }
    if address.is_loopback() && !host_names_loopback {
        return Err(AddressRefused::HiddenLoopback);
    }
    Ok(())
}

/// Refuses `address` for a URL that a stranger wrote, unless it is of the public network (RFC 6890, SSRF-01).
pub(crate) fn check_public(address: IpAddr) -> Result<(), AddressRefused> {
    let address = unmapped(address);
    if is_never(address) {
        return Err(AddressRefused::Never);
    }
    let is_public = match address {
        IpAddr::V4(four) => is_public_four(four),
        IpAddr::V6(six) => is_public_six(six),
    };
    is_public.then_some(()).ok_or(AddressRefused::NotPublic)
}

fn is_public_four(four: Ipv4Addr) -> bool {
    let [a, b, c, _] = four.octets();
    let is_special = four.is_private()
        || four.is_loopback()
        || four.is_documentation()
        // Shared by carriers, assigned for protocols, 6to4 relays, benchmarks.
        || (a == 100 && (b & 0xc0) == 64)
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b & 0xfe) == 18);
    !is_special
}

fn is_public_six(six: Ipv6Addr) -> bool {
    let [first, second, ..] = six.segments();
    // Of what is given out for the public network: not what is for protocols and documentation.
    let is_special = match first {
        0x2001 => second < 0x0200 || second == 0x0db8,
        0x2002 => true,
        0x3fff => second < 0x1000,
        _ => false,
    };
    (first & 0xe000) == 0x2000 && !is_special
}

/// The IPv4 address inside an IPv6 form of it, else the address itself.
fn unmapped(address: IpAddr) -> IpAddr {
    let IpAddr::V6(six) = address else {
        return address;
    };
    if let Some(four) = six.to_ipv4_mapped() {
        return IpAddr::V4(four);
    }
    // NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address that the network unwraps.
    let parts = six.segments();
    let four = match parts {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
        }
        _ => return address,
    };
    IpAddr::V4(four)
}

fn is_never(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            // Cloud metadata and platform services outside 169.254/16.
            const SERVICES: [Ipv4Addr; 3] = [
                Ipv4Addr::new(100, 100, 100, 200),
                Ipv4Addr::new(168, 63, 129, 16),
                Ipv4Addr::new(192, 0, 0, 192),
            ];
            four.octets()[0] == 0
                || four.is_link_local()
                || four.is_broadcast()
                || four.is_multicast()
                || four.octets()[0] >= 240
                || SERVICES.contains(&four)
        }
        IpAddr::V6(six) => {
            // The metadata services of clouds that have them at private addresses.
            const SERVICES: [Ipv6Addr; 4] = [
                Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
                Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
                Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
                Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
            ];
            six.is_unspecified()
                || six.is_multicast()
                || (six.segments()[0] & 0xffc0) == 0xfe80
                || (six.segments()[0] & 0xffc0) == 0xfec0
                || SERVICES.contains(&six)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn verdict(address: &str, host: &str) -> Result<(), AddressRefused> {
        check(address.parse().expect("an address"), names_loopback(host))
    }

    #[test]
    fn mcp_12_metadata_and_unroutable_addresses_are_never_connected_to() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ] {
            let host = if address.contains(':') { "x" } else { address };
            assert_eq!(
                verdict(address, host),
                Err(AddressRefused::Never),
                "{address}"
            );
        }
    }

    #[test]
    fn loopback_needs_a_host_that_says_so() {
        for (address, host) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "localhost"),
            ("::1", "[::1]"),
            ("127.0.0.1", "tools.localhost"),
            ("127.0.0.1", "LOCALHOST."),
        ] {
            assert_eq!(verdict(address, host), Ok(()), "{host}");
        }
        for (address, host) in [
            ("127.0.0.1", "tools.example"),
            ("::ffff:127.0.0.1", "tools.example"),
            ("::1", "localhost.example"),
            ("64:ff9b::127.0.0.1", "tools.example"),
        ] {
            let refused = Err(AddressRefused::HiddenLoopback);
            assert_eq!(verdict(address, host), refused, "{host}");
        }
    }

    #[test]
    fn ssrf_01_url_of_a_stranger_leads_to_the_public_network_alone() {
        for address in [
            "127.0.0.1",
            "127.1.2.3",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.0.9",
            "100.64.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "100::1",
            "3fff::1",
            "5f00::1",
            "fd00:ec2::254",
        ] {
            assert!(
                check_public(address.parse().expect("an address")).is_err(),
                "{address}"
            );
        }
        for address in [
            "1.1.1.1",
            "93.184.215.14",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "64:ff9b::1.1.1.1",
        ] {
            assert_eq!(
                check_public(address.parse().expect("an address")),
                Ok(()),
                "{address}"
            );
        }
    }

    #[test]
    fn public_and_private_addresses_are_open_to_registered_servers() {
        for address in [
            "203.0.113.7",
            "10.1.2.3",
            "192.168.0.9",
            "fd12::1",
            "2001:db8::1",
        ] {
            assert_eq!(verdict(address, "tools.example"), Ok(()), "{address}");
        }
    }
}
