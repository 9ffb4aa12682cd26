//! TCP ports that stay ours: outside the kernel's ephemeral range, and reserved until the run lets go of them.
//!
//! An instance that is started again, or a proxy that is opened again, must find its port free. Ports of the
//! ephemeral range cannot promise that (any outgoing connection may take one), and a port that is merely "free now"
//! may be taken by another drill a moment later. So a port is reserved by binding an abstract unix socket named after
//! it: the kernel releases it when the process dies, and every other firedrill process in the same network namespace
//! respects it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr as UnixAddress, UnixDatagram},
    },
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::net;

use crate::testbed::TestbedError;

/// Where Linux says which ports it hands out by itself.
const EPHEMERAL_RANGE_FILE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Linux' own default for that range.
const DEFAULT_EPHEMERAL_RANGE: RangeInclusive<u16> = 32_768..=60_999;
/// The lowest port that is ever handed out: below live well-known services.
const LOWEST_PORT: u16 = 10_240;
/// Fewer ports than this outside the ephemeral range are not enough to work with.
const FEWEST_PORTS: usize = 512;

/// Hands out ports. Cheap to clone; clones share their place in the range.
#[derive(Debug, Clone)]
pub struct Ports {
    candidates: Arc<Vec<u16>>,
    next: Arc<AtomicUsize>,
}

/// A port of 127.0.0.1 that nobody else is handed until this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _reservation: UnixDatagram,
}

impl Port {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Its address on the loopback interface.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

impl Default for Ports {
    fn default() -> Self {
        Self::new()
    }
}

impl Ports {
    /// Ports outside this machine's ephemeral range. Where that range leaves too few, ports from the lower part of it
    /// are used: they are still reserved and still checked, but an outgoing connection may take one between two uses.
    #[must_use]
    pub fn new() -> Self {
        let ephemeral = std::fs::read_to_string(EPHEMERAL_RANGE_FILE)
            .ok()
            .and_then(|text| parse_range(&text))
            .unwrap_or(DEFAULT_EPHEMERAL_RANGE);
        Self::from_candidates(candidates_outside(&ephemeral))
    }

    fn from_candidates(candidates: Vec<u16>) -> Self {
        // Processes that start together look in different places first.
        let start = (std::process::id() as usize).wrapping_mul(257);
        Self {
            candidates: Arc::new(candidates),
            next: Arc::new(AtomicUsize::new(start)),
        }
    }

    /// Reserves a port that nobody listens on.
    ///
    /// # Errors
    /// Every port of the range is taken.
    pub fn reserve(&self) -> Result<Port, TestbedError> {
        for _ in 0..self.candidates.len() {
            let place = self.next.fetch_add(1, Ordering::Relaxed) % self.candidates.len();
            if let Some(port) = try_reserve(self.candidates[place]) {
                return Ok(port);
            }
        }
        Err(TestbedError::Failed {
            doing: "reserving a port on 127.0.0.1".to_owned(),
            reason: format!(
                "all {} ports outside the ephemeral range are taken; `firedrill clean` removes what dead runs hold",
                self.candidates.len()
            ),
        })
    }
}

fn try_reserve(number: u16) -> Option<Port> {
    let name = UnixAddress::from_abstract_name(format!("firedrill/port/{number}")).ok()?;
    let reservation = UnixDatagram::bind_addr(&name).ok()?;
    is_free(number).ok()?;
    Some(Port {
        number,
        _reservation: reservation,
    })
}

/// Binds the way the services do (the standard library sets `SO_REUSEADDR`), so that old connections in TIME_WAIT are
/// no obstacle and a listener on any address is. It does not listen itself: a child that is being started at this moment
/// would hold a copy of the listening socket, and whoever gets the port could not listen yet.
fn is_free(number: u16) -> io::Result<()> {
    let socket = net::socket_with(
        net::AddressFamily::INET,
        net::SocketType::STREAM,
        net::SocketFlags::CLOEXEC,
        None,
    )?;
    net::sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, number)))?;
    Ok(())
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut bounds = text.split_whitespace();
    let low = bounds.next()?.parse().ok()?;
    let high = bounds.next()?.parse().ok()?;
    Some(low..=high)
}

fn candidates_outside(ephemeral: &RangeInclusive<u16>) -> Vec<u16> {
    let outside: Vec<u16> = (LOWEST_PORT..=u16::MAX)
        .filter(|port| !ephemeral.contains(port))
        .collect();
    if outside.len() >= FEWEST_PORTS {
        outside
    } else {
        (LOWEST_PORT..LOWEST_PORT + 10_000).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_lie_outside_the_ephemeral_range() {
        let candidates = candidates_outside(&(32_768..=60_999));
        assert!(candidates.contains(&32_767));
        assert!(candidates.contains(&61_000));
        assert!(
            !candidates
                .iter()
                .any(|port| (32_768..=60_999).contains(port))
        );
    }

    #[test]
    fn an_ephemeral_range_that_leaves_nothing_still_gives_ports() {
        assert!(candidates_outside(&(1_024..=u16::MAX)).len() >= FEWEST_PORTS);
    }

    #[test]
    fn the_kernels_range_is_read() {
        assert_eq!(parse_range("32768\t60999\n"), Some(32_768..=60_999));
        assert_eq!(parse_range("nonsense"), None);
    }

    #[test]
    fn a_reserved_port_is_not_handed_out_again_until_it_is_dropped() {
        let number = Ports::new().reserve().map(|port| port.number());
        let only = Ports::from_candidates(vec![number.expect("some port is free")]);
        let first = only.reserve().expect("the port is free");
        assert!(only.reserve().is_err(), "handed out twice");
        drop(first);
        assert!(only.reserve().is_ok(), "not released");
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_passed_over() {
        let port = Ports::new().reserve().expect("some port is free");
        let only = Ports::from_candidates(vec![port.number()]);
        let _listener = TcpListener::bind(port.address()).expect("it was free");
        drop(port);
        assert!(only.reserve().is_err());
    }
}
