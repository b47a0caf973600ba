//! Where an institution's node can be reached: multiaddresses, as text.

use alloc::vec::Vec;
use consilium_primitives::text::{Address, MAX_ADDRESS_LEN};
use core::net::{Ipv4Addr, Ipv6Addr};
use frame_support::{traits::ConstU32, BoundedVec};

/// Most addresses of an institution.
pub const MAX_ADDRESSES: u32 = 4;

/// The addresses of an institution's node.
pub type AddressList = BoundedVec<Address, ConstU32<MAX_ADDRESSES>>;

/// Whether a node may be said to be reached at `address`: `/dns`, `/dns4`, `/dns6`, `/ip4` or `/ip6`, then `/tcp` and a port.
/// Unspecified addresses never; those of private networks and of one machine where `private` is set.
pub fn is_valid_address(address: &[u8], private: bool) -> bool {
    let Ok(text) = core::str::from_utf8(address) else { return false };
    let parts: Vec<&str> = text.split('/').collect();
    let ["", kind, host, "tcp", port] = parts.as_slice() else { return false };
    let port_fits = port.parse::<u16>().is_ok_and(|number| number > 0) && !port.starts_with(['+', '0']);
    let host_fits = match *kind {
        "dns" | "dns4" | "dns6" => is_host_name(host) && (private || !is_local_name(host)),
        "ip4" => host.parse::<Ipv4Addr>().is_ok_and(|ip| ip4_fits(ip, private)),
        "ip6" => host.parse::<Ipv6Addr>().is_ok_and(|ip| {
            let inner = ip.to_ipv4_mapped().is_none_or(|ip| ip4_fits(ip, private));
            let local = ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local();
            inner && !ip.is_unspecified() && !ip.is_multicast() && (private || !local)
        }),
        _ => false,
    };
    address.len() <= MAX_ADDRESS_LEN as usize && port_fits && host_fits
}

fn ip4_fits(ip: Ipv4Addr, private: bool) -> bool {
    let local = ip.is_loopback() || ip.is_private() || ip.is_link_local();
    !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast() && (private || !local)
}

fn is_host_name(host: &str) -> bool {
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && label.len() <= 63 && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    host.split('.').all(label)
}

fn is_local_name(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_host_and_a_port_and_nothing_else() {
        for good in ["/dns/node.st-mary.example/tcp/30333", "/ip4/8.8.8.8/tcp/1", "/ip6/2001:db9::1/tcp/65535"] {
            assert!(is_valid_address(good.as_bytes(), false), "{good}");
        }
        for bad in [
            "",
            "/dns/a/tcp/0",
            "/dns/a/tcp/65536",
            "/dns/a/tcp/+1",
            "/dns/a/udp/1",
            "/dns//tcp/1",
            "/dns/-a/tcp/1",
            "/dns/a b/tcp/1",
            "/dns/a/tcp/1/ws",
            "/dns/a/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
            "/ip4/0.0.0.0/tcp/1",
            "/ip6/::/tcp/1",
            "/ip4/256.0.0.1/tcp/1",
            "dns/a/tcp/1",
        ] {
            assert!(!is_valid_address(bad.as_bytes(), true), "{bad}");
        }
        assert!(!is_valid_address(b"/dns/\xff/tcp/1", true));
        for private in ["/ip4/10.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/dns/localhost/tcp/1"] {
            assert!(is_valid_address(private.as_bytes(), true), "{private}");
            assert!(!is_valid_address(private.as_bytes(), false), "{private}");
        }
        assert!(!is_valid_address(b"/ip6/::ffff:10.0.0.1/tcp/1", false));
    }
}
